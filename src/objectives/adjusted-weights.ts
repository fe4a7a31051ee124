import type { ResolvedObjective } from '../objective-options.ts'
import { type Draw, tokensOnTop, tokensWithin } from './covariance-tokens.ts'
import { importanceWeights } from './importance-weights.ts'
import type { TokenWeights } from './token-weights.ts'

export type { Draw } from './covariance-tokens.ts'

/** What an objective asks of single tokens: what is known of them before the pass, in the order of the weights' arrays. */
export interface RecordedLogprobs {
  /** Of the policy when the tokens were sampled. */
  old: ArrayLike<number>
  /** Of the distribution that they were drawn from; null: the same. */
  sampler: ArrayLike<number> | null
}

export interface Adjustment<A extends Float32Array | Float64Array> {
  advantages: A
  /** 1 at the tokens of the objective's penalty on |log-prob - old log-prob|; null: there is none. */
  oldKlMask: Float32Array | null
  metrics: Record<string, number>
}

/** Whether `adjustWeights` does anything under an objective. */
export function adjustsWeights(objective: ResolvedObjective): boolean {
  return (
    objective.kind === 'clip-cov' || objective.kind === 'kl-cov' || objective.importanceCorrection !== 'none'
  )
}

/**
 * Takes single tokens of an optimiser batch out of the surrogate, weighs them by how far the sampler was from the policy, and
 * chooses those of a penalty. All of it is made of recorded log-probs and therefore a constant of the gradient. A token's
 * weight goes into its advantage, since every surrogate is linear in it; KL term, entropy bonus and denominators stay.
 */
export function adjustWeights<A extends Float32Array | Float64Array>(
  weights: TokenWeights<A>,
  objective: ResolvedObjective,
  recorded: RecordedLogprobs,
  draw: Draw,
): Adjustment<A> {
  const advantages = weights.advantages.slice() as A
  const metrics: Record<string, number> = {}
  let oldKlMask: Float32Array | null = null
  if (objective.kind === 'clip-cov') {
    const chosen = tokensWithin(weights, recorded.old, objective, draw)
    for (const t of chosen) advantages[t] = 0
    metrics.cov_token_ratio = chosen.length / weights.activeTokens
  }
  if (objective.kind === 'kl-cov') {
    const chosen = tokensOnTop(weights, recorded.old, objective.covRatio)
    oldKlMask = new Float32Array(weights.norm.length)
    for (const t of chosen) oldKlMask[t] = 1
    metrics.cov_token_ratio = chosen.length / weights.activeTokens
  }
  if (objective.importanceCorrection !== 'none') {
    const importance = importanceWeights(weights, recorded.old, recorded.sampler, objective)
    for (let t = 0; t < advantages.length; t++) {
      if (weights.norm[t] !== 0) advantages[t]! *= importance.values[t]!
    }
    Object.assign(metrics, importance.metrics)
  }
  return { advantages, oldKlMask, metrics }
}
