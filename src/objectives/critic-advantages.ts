import { CoppiceError, describeValue } from '../errors.ts'
import type { ResolvedObjective, ResolvedOf } from '../objective-options.ts'
import { generalisedAdvantages, type TokenEstimates } from './gae.ts'
import { type KlLogprobs, tokenKl } from './reward-penalty.ts'
import { type CompletionTokens, isActive, type TokenWeights } from './token-weights.ts'

/** Added to the variance that whitening divides by. */
const WHITENING_EPSILON = 1e-8

/** Whether an objective's advantages are made of a critic's values. */
export function usesCritic(objective: ResolvedObjective): objective is ResolvedOf<'ppo'> {
  return objective.kind === 'ppo'
}

/** What is known of the tokens of a batch, indexed as the offsets count, a sliced column's first offset taken off. */
export interface CriticColumns {
  values: ArrayLike<number>
  /** Needed by `klIn: 'reward'`. */
  klLogprobs?: KlLogprobs | undefined
}

/** Estimates of all tokens of a batch; those of rows that are not kept are 0. */
export interface CriticAdvantages extends TokenEstimates {
  metrics: Record<string, number>
}

/**
 * Advantages and returns of every token that the policy produced in the kept rows: a row's reward comes with the last of its
 * tokens, the KL of `klIn: 'reward'` goes off each. Whitening is over all of them, before any cut into optimiser batches.
 * Metrics: `value_mean`, `return_mean`, and `explained_variance` 1 - var(return - value) / var(return) where the returns differ.
 */
export function criticAdvantages(
  rows: { keptRows: ArrayLike<number>; rowAdvantages: ArrayLike<number> },
  completions: CompletionTokens,
  { values, klLogprobs }: CriticColumns,
  objective: ResolvedOf<'ppo'>,
): CriticAdvantages {
  const first = completions.offsets[0]!
  const offsets = Int32Array.from(completions.offsets, (offset) => offset - first)
  const tokens = offsets.at(-1)!
  const mask = new Uint8Array(tokens)
  const rewards = new Float64Array(tokens)
  const penalised = objective.klIn === 'reward' && objective.beta !== 0
  const kl = penalised ? tokenKl(klLogprobs!, completions, objective.klKind) : null
  const steps: number[] = []
  for (let i = 0; i < rows.keptRows.length; i++) {
    const row = rows.keptRows[i]!
    let last = -1
    for (let t = offsets[row]!; t < offsets[row + 1]!; t++) {
      if (!isActive(completions, t + first)) continue
      requireFinite(values[t]!, 'values', row, t - offsets[row]!)
      mask[t] = 1
      if (kl !== null)
        rewards[t] = -objective.beta * requireFinite(kl[t]!, 'refLogprobs', row, t - offsets[row]!)
      steps.push(t)
      last = t
    }
    if (last !== -1) rewards[last]! += rows.rowAdvantages[row]!
  }
  const estimates = generalisedAdvantages(
    { offsets, mask, rewards, values },
    objective.gamma,
    objective.gaeLambda,
  )
  const metrics = criticMetrics(steps, values, estimates.returns)
  if (objective.whitenAdvantages) whiten(estimates.advantages, steps)
  return { ...estimates, metrics }
}

/** What a batch's tokens have, for those of an optimiser batch: into `target`, which it returns. */
export function takeTokens<A extends Float32Array | Float64Array>(
  { rows, offsets }: Pick<TokenWeights<A>, 'rows' | 'offsets'>,
  column: ArrayLike<number>,
  columnOffsets: ArrayLike<number>,
  target: A,
): A {
  const first = columnOffsets[0]!
  for (let i = 0; i < rows.length; i++) {
    const shift = columnOffsets[rows[i]!]! - first - offsets[i]!
    for (let t = offsets[i]!; t < offsets[i + 1]!; t++) target[t] = column[t + shift]!
  }
  return target
}

function whiten(advantages: Float64Array, steps: readonly number[]): void {
  const { mean, squares } = momentsOf(steps, (t) => advantages[t]!)
  const scale = Math.sqrt(squares / Math.max(1, steps.length - 1) + WHITENING_EPSILON)
  for (const t of steps) advantages[t] = (advantages[t]! - mean) / scale
}

function criticMetrics(
  steps: readonly number[],
  values: ArrayLike<number>,
  returns: Float64Array,
): Record<string, number> {
  if (steps.length === 0) return {}
  const ofReturns = momentsOf(steps, (t) => returns[t]!)
  const ofErrors = momentsOf(steps, (t) => returns[t]! - values[t]!)
  return {
    value_mean: momentsOf(steps, (t) => values[t]!).mean,
    return_mean: ofReturns.mean,
    ...(ofReturns.squares > 0 && { explained_variance: 1 - ofErrors.squares / ofReturns.squares }),
  }
}

/** The mean and the sum of the squared differences from it. */
function momentsOf(steps: readonly number[], at: (t: number) => number): { mean: number; squares: number } {
  let sum = 0
  for (const t of steps) sum += at(t)
  const mean = sum / Math.max(1, steps.length)
  let squares = 0
  for (const t of steps) squares += (at(t) - mean) ** 2
  return { mean, squares }
}

function requireFinite(value: number, column: string, row: number, token: number): number {
  if (Number.isFinite(value)) return value
  throw new CoppiceError('NON_FINITE', 'a value that is not finite at an active token', {
    where: `${column}, row ${row}, token ${token}`,
    received: describeValue(value),
  })
}
