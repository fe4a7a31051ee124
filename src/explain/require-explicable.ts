import { CoppiceError } from '../errors.ts'
import { hasColumn, type ListView, type RolloutBatch, tokenColumnsOf } from '../rollouts.ts'

/** Columns of rollouts as they are sampled, in the words of the file. */
const SAMPLED = [
  ...['prompt_tokens', 'completion_tokens', 'completion_mask', 'logprobs', 'temperature'],
  ...['group_id', 'sample_index', 'finish_reason', 'policy_step'],
]

/** Refuses a batch that is not one of rollouts with verdicts, or not one of this vocabulary, with what would make it one. */
export function requireExplicable(batch: RolloutBatch, vocabSize: number): void {
  const missing = SAMPLED.filter((name) => !hasColumn(batch, name))
  if (missing.length > 0) {
    throw missingColumns(missing, 'rollouts with their recorded log-probs, as `coppice generate` writes them')
  }
  if (!hasColumn(batch, 'reward')) {
    throw missingColumns(['reward'], 'rollouts with verdicts: run `coppice verify` on them first')
  }
  if (batch.numRows === 0) {
    throw new CoppiceError('INVALID_ARGUMENT', 'a batch without rows', { where: 'explain' })
  }
  const { promptTokens, completionTokens } = tokenColumnsOf(batch)
  requireVocabulary(promptTokens, vocabSize, 'prompt_tokens')
  requireVocabulary(completionTokens, vocabSize, 'completion_tokens')
}

function missingColumns(names: readonly string[], expected: string): CoppiceError {
  const columns = names.map((name) => `'${name}'`).join(', ')
  return new CoppiceError('INVALID_ARGUMENT', names.length === 1 ? 'is missing' : 'are missing', {
    where: `explain: ${names.length === 1 ? 'column' : 'columns'} ${columns}`,
    expected,
  })
}

function requireVocabulary({ values, offsets }: ListView<Int32Array>, size: number, name: string): void {
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let t = offsets[row]!; t < offsets[row + 1]!; t++) {
      const id = values[t]!
      if (id >= 0 && id < size) continue
      throw new CoppiceError('INVALID_ARGUMENT', 'a token that the model does not have', {
        where: `explain: column '${name}', row ${row}, token ${t - offsets[row]!}`,
        expected: `ids below ${size}, the vocabulary of the model; are these rollouts of another one?`,
        received: `${id}`,
      })
    }
  }
}
