import { Random } from '../statistics/random.ts'
import type { TokenWeights } from './token-weights.ts'

// The tokens whose log-prob and advantage vary together most: those that a step of the policy gradient makes more certain still
// (arXiv 2505.22617). The covariance is that of the whole optimiser batch, from the log-probs that were recorded when the
// tokens were sampled, which are known before the pass: on a batch's first update they are the policy's own.

/** What chance decides by: the same seed and step choose the same tokens. */
export interface Draw {
  seed: number
  /** The optimiser step, a number of its own for each. */
  step: number
}

interface Covariances {
  /** Active tokens, ascending. */
  tokens: number[]
  /** (A - mean A) (log-prob - mean log-prob), one for each of them. */
  values: Float64Array
}

function covariancesOf(
  { advantages, norm, activeTokens }: TokenWeights<Float32Array | Float64Array>,
  logprobs: ArrayLike<number>,
): Covariances {
  const tokens: number[] = []
  let advantageSum = 0
  let logprobSum = 0
  for (let t = 0; t < norm.length; t++) {
    if (norm[t] === 0) continue
    tokens.push(t)
    advantageSum += advantages[t]!
    logprobSum += logprobs[t]!
  }
  const [meanAdvantage, meanLogprob] = [advantageSum / activeTokens, logprobSum / activeTokens]
  const values = Float64Array.from(
    tokens,
    (t) => (advantages[t]! - meanAdvantage) * (logprobs[t]! - meanLogprob),
  )
  return { tokens, values }
}

/** How many tokens a share is: rounded down, but at least one. */
function countOf(ratio: number, tokens: number): number {
  return Math.max(1, Math.floor(ratio * tokens))
}

/** Some of the tokens whose covariance lies between the bounds, chosen at random; ascending. */
export function tokensWithin(
  weights: TokenWeights<Float32Array | Float64Array>,
  logprobs: ArrayLike<number>,
  { covRatio, covLow, covHigh }: { covRatio: number; covLow: number; covHigh: number },
  { seed, step }: Draw,
): number[] {
  const { tokens, values } = covariancesOf(weights, logprobs)
  const within = tokens.filter((_, i) => values[i]! > covLow && values[i]! < covHigh)
  const count = Math.min(countOf(covRatio, tokens.length), within.length)
  const random = new Random(seed, 'covariance tokens').at(step)
  for (let i = 0; i < count; i++) {
    const j = random.between(i, within.length - 1)
    const held = within[i]!
    within[i] = within[j]!
    within[j] = held
  }
  return within.slice(0, count).sort((a, b) => a - b)
}

/** The tokens with the largest covariances, of equal ones the earlier; ascending. */
export function tokensOnTop(
  weights: TokenWeights<Float32Array | Float64Array>,
  logprobs: ArrayLike<number>,
  covRatio: number,
): number[] {
  const { tokens, values } = covariancesOf(weights, logprobs)
  const order = Array.from(tokens.keys()).sort((a, b) => values[b]! - values[a]! || a - b)
  return order
    .slice(0, countOf(covRatio, tokens.length))
    .map((i) => tokens[i]!)
    .sort((a, b) => a - b)
}
