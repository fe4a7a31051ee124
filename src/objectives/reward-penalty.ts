import type { ResolvedOptions } from '../objective-options.ts'
import type { CompletionTokens } from './token-weights.ts'

/** Indexed as the offsets of the completions count, a sliced column's first offset taken off. */
export interface KlLogprobs {
  /** Of the policy when the tokens were sampled. */
  old: ArrayLike<number>
  /** Of the reference policy. */
  ref: ArrayLike<number>
}

/**
 * The KL estimate of each row, summed over the tokens that the policy produced: what `klIn: 'reward'` takes off the rewards,
 * `beta` times. It is made of recorded log-probs, so that it is a number and no gradient passes through it.
 */
export function completionKl(
  { old, ref }: KlLogprobs,
  { offsets, mask }: CompletionTokens,
  klKind: ResolvedOptions['klKind'],
): Float64Array {
  const first = offsets[0]!
  const klOf = tokenKl({ old, ref }, klKind)
  const sums = new Float64Array(offsets.length - 1)
  for (let row = 0; row < sums.length; row++) {
    for (let t = offsets[row]!; t < offsets[row + 1]!; t++) {
      if (mask !== undefined && !mask[t]) continue
      sums[row]! += klOf(t - first)
    }
  }
  return sums
}

/** The same estimate of one token, by its index. */
export function tokenKl({ old, ref }: KlLogprobs, klKind: ResolvedOptions['klKind']): (t: number) => number {
  return (t) => {
    const d = ref[t]! - old[t]!
    return klKind === 'k1' ? -d : klKind === 'k2' ? (d * d) / 2 : Math.expm1(d) - d
  }
}
