import type { ResolvedOptions } from '../objective-options.ts'
import { type CompletionTokens, isActive, spanOf } from './token-weights.ts'

/** Indexed as the offsets of the completions count, a sliced column's first offset taken off. */
export interface KlLogprobs {
  /** Of the policy when the tokens were sampled. */
  old: ArrayLike<number>
  /** Of the reference policy. */
  ref: ArrayLike<number>
}

/**
 * The KL estimate of each completion token, 0 where the policy did not produce it: what `klIn: 'reward'` takes off the rewards,
 * `beta` times. It is made of recorded log-probs, so that it is a number and no gradient passes through it.
 */
export function tokenKl(
  { old, ref }: KlLogprobs,
  completions: CompletionTokens,
  klKind: ResolvedOptions['klKind'],
): Float64Array {
  const first = completions.offsets[0]!
  const values = new Float64Array(completions.offsets[completions.offsets.length - 1]! - first)
  for (let t = 0; t < values.length; t++) {
    if (!isActive(completions, t + first)) continue
    const d = ref[t]! - old[t]!
    values[t] = klKind === 'k1' ? -d : klKind === 'k2' ? (d * d) / 2 : Math.expm1(d) - d
  }
  return values
}

/** The sum of a completion's. */
export function completionKl(values: Float64Array, completions: CompletionTokens, row: number): number {
  const [begin, end] = spanOf(completions, row)
  const first = completions.offsets[0]!
  let sum = 0
  for (let t = begin; t < end; t++) sum += values[t - first]!
  return sum
}
