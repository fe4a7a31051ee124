import { CoppiceError } from '../errors.ts'
import { hasColumn, type ListView, type RolloutBatch, tokenColumnsOf } from '../rollouts.ts'

/** Columns of rollouts as they are sampled, in the words of the file. */
const SAMPLED = [
  ...['prompt_tokens', 'completion_tokens', 'completion_mask', 'logprobs', 'temperature'],
  ...['group_id', 'sample_index', 'finish_reason', 'policy_step'],
]

/** Refuses a batch that is not one of rollouts with verdicts, or not one of this vocabulary, with what would make it one. */
export function requireExplicable(batch: RolloutBatch, vocabSize: number, where: string): void {
  const missing = SAMPLED.filter((name) => !hasColumn(batch, name))
  if (missing.length > 0) {
    throw missingColumns(
      where,
      missing,
      'rollouts with their recorded log-probs, as `coppice generate` writes them',
    )
  }
  if (!hasColumn(batch, 'reward')) {
    throw missingColumns(where, ['reward'], 'rollouts with verdicts: run `coppice verify` on them first')
  }
  if (batch.numRows === 0) {
    throw new CoppiceError('INVALID_ARGUMENT', 'a batch without rows', { where })
  }
  const { promptTokens, completionTokens } = tokenColumnsOf(batch)
  requireVocabulary(promptTokens, vocabSize, `${where}, column 'prompt_tokens'`)
  requireVocabulary(completionTokens, vocabSize, `${where}, column 'completion_tokens'`)
}

function missingColumns(where: string, names: readonly string[], expected: string): CoppiceError {
  const columns = names.map((name) => `'${name}'`).join(', ')
  const message = names.length === 1 ? `column ${columns} is missing` : `columns ${columns} are missing`
  return new CoppiceError('INVALID_ARGUMENT', message, { where, expected })
}

function requireVocabulary({ values, offsets }: ListView<Int32Array>, size: number, where: string): void {
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let t = offsets[row]!; t < offsets[row + 1]!; t++) {
      const id = values[t]!
      if (id >= 0 && id < size) continue
      throw new CoppiceError('INVALID_ARGUMENT', 'a token that the model does not have', {
        where: `${where}, row ${row}, token ${t - offsets[row]!}`,
        expected: `ids below ${size}, the vocabulary of the model; are these rollouts of another one?`,
        received: `${id}`,
      })
    }
  }
}
