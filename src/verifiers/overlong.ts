import { requireInteger } from '../options.ts'
import type { Judgement, Sample } from '../verdicts.ts'

export interface OverlongOptions {
  /** Tokens from which on the punishment is whole: `--max-completion-length`, as a rule. */
  maxLength: number
  /** Tokens before that, over which it grows. */
  cache: number
}

/**
 * The soft overlong punishment of DAPO (arXiv 2503.14476, equation 13), for a completion of n tokens: 0 up to maxLength - cache, then
 * (maxLength - cache - n) / cache, and -1 above maxLength. A completion that was cut off is longer than it had room for,
 * however long that was: -1. It tells nothing of right and wrong.
 */
export function overlongVerifier({ maxLength, cache }: OverlongOptions) {
  requireInteger(maxLength, 'verifier overlong, maxLength', 1)
  requireInteger(cache, 'verifier overlong, cache', 0, maxLength)
  return ({
    completion,
    completionTokens,
    finishReason,
  }: Pick<Sample, 'completion' | 'completionTokens' | 'finishReason'>): Judgement => {
    const punished = (reward: number, reason: string): Judgement => ({ verdict: 'wrong', reward, reason })
    if (finishReason === 'cancelled') return { verdict: 'unparsed', reward: null, reason: 'cancelled' }
    if (finishReason === 'length') return punished(-1, 'cut off')
    const length = completionTokens.length
    if (length === 0 && completion !== '')
      throw new Error('overlong counts tokens: completion_tokens is missing')
    const free = maxLength - cache
    if (length <= free) return { verdict: 'wrong', reward: 0 }
    const reward = length > maxLength ? -1 : (free - length) / cache
    return punished(reward, `${length} tokens`)
  }
}
