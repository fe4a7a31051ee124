import { CoppiceError } from '../errors.ts'
import { requireInteger } from '../options.ts'
import type { Tokenizer } from '../tokenizer.ts'

/** What the check looks at of a policy. */
export interface CheckedPolicy {
  readonly config: { readonly maxPositions: number; readonly vocabSize: number }
  readonly tokenizer: Tokenizer | undefined
  readonly stopTokens: readonly number[]
}

export interface CheckedPrompt {
  readonly promptId: string
  readonly promptTokens: Int32Array
}

/**
 * What would spoil a run and can be seen before it: a stop token that the tokenizer does not have, so that completions
 * could not end; a prompt that leaves less room than the completion limit that was asked for, or none at all (without one,
 * completions are as long as the model has room for, 256 at most). INVALID_ARGUMENT names the token or the prompt.
 */
export function requireRunnable(
  policy: CheckedPolicy,
  prompts: readonly CheckedPrompt[],
  maxCompletionLength?: number,
): void {
  const { config, tokenizer, stopTokens } = policy
  const limit = requireInteger(maxCompletionLength ?? 1, 'maxCompletionLength', 1)
  for (const token of stopTokens) {
    if (token < config.vocabSize && (tokenizer === undefined || tokenizer.hasToken(token))) continue
    throw new CoppiceError('INVALID_ARGUMENT', `the stop token ${token} cannot occur`, {
      where: 'eos_token_id',
      expected: 'ids of the vocabulary',
    })
  }
  let longest = prompts[0]
  for (const prompt of prompts) {
    if (prompt.promptTokens.length > (longest?.promptTokens.length ?? 0)) longest = prompt
  }
  const length = longest?.promptTokens.length ?? 0
  if (longest === undefined || length + limit <= config.maxPositions) return
  const room = config.maxPositions - length
  const most =
    room > 0 ? `a completion limit of at most ${room}` : `a prompt of less than ${config.maxPositions}`
  throw new CoppiceError(
    'INVALID_ARGUMENT',
    `${length} tokens and a completion of up to ${limit} do not fit into max_position_embeddings ${config.maxPositions}`,
    { where: `prompt ${JSON.stringify(longest.promptId)}`, expected: most },
  )
}
