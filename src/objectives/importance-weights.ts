import type { ResolvedOptions } from '../objective-options.ts'
import type { TokenWeights } from './token-weights.ts'

type Correction = Pick<
  ResolvedOptions,
  'importanceCorrection' | 'importanceCorrectionMin' | 'importanceCorrectionMax'
>

export interface ImportanceWeights {
  /** One a token of the optimiser batch, 0 where it is not active. */
  values: Float64Array
  /** `importance_weight/mean`, `importance_weight/truncated` and `importance_weight/masked`: over the active tokens. */
  metrics: Record<string, number>
}

/**
 * What the tokens weigh because a sampler other than the policy drew them: exp(old log-prob - the sampler's log-prob), bounded.
 * Formulas stand at `ObjectiveOptions.importanceCorrection`. Without the sampler's log-probs it was the policy, and all weigh 1.
 */
export function importanceWeights(
  { norm, offsets, activeTokens }: TokenWeights<Float32Array | Float64Array>,
  oldLogprobs: ArrayLike<number>,
  samplerLogprobs: ArrayLike<number> | null,
  options: Correction,
): ImportanceWeights {
  const { importanceCorrection: kind } = options
  const low = options.importanceCorrectionMin ?? 0
  const high = options.importanceCorrectionMax ?? Number.POSITIVE_INFINITY
  const truncates = kind.endsWith('truncate')
  const values = new Float64Array(norm.length)
  let [sum, truncated, masked] = [0, 0, 0]
  const bound = (weight: number): number => {
    if (weight >= low && weight <= high) return weight
    // Not a number is outside, too: it reaches the loss, whose guard refuses the step.
    return truncates ? Math.min(Math.max(weight, low), high) : Number.isNaN(weight) ? weight : 0
  }
  for (let row = 0; row + 1 < offsets.length; row++) {
    const active: number[] = []
    for (let t = offsets[row]!; t < offsets[row + 1]!; t++) if (norm[t] !== 0) active.push(t)
    const logWeights = active.map((t) =>
      samplerLogprobs === null ? 0 : oldLogprobs[t]! - samplerLogprobs[t]!,
    )
    const logSum = logWeights.reduce((total, value) => total + value, 0)
    for (const [i, t] of active.entries()) {
      const raw =
        kind === 'sequence-geometric-mask'
          ? Math.exp(logSum / active.length)
          : Math.exp(kind.startsWith('sequence') ? logSum : logWeights[i]!)
      const bounded = bound(raw)
      if (bounded !== raw) truncates ? truncated++ : masked++
      // The mean of a whole completion decides whether it counts and says nothing of how much.
      values[t] = kind === 'sequence-geometric-mask' && bounded === raw ? 1 : bounded
      sum += values[t]!
    }
  }
  return {
    values,
    metrics: {
      'importance_weight/mean': sum / activeTokens,
      'importance_weight/truncated': truncated / activeTokens,
      'importance_weight/masked': masked / activeTokens,
    },
  }
}
