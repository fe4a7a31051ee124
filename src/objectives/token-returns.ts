import type { AdvantageOf } from './group-advantages.ts'
import type { JudgedRows } from './judged-rows.ts'
import { type DeviationForm, standardDeviation } from './reward-statistics.ts'
import { isActive, spanOf } from './token-weights.ts'

// Advantages of tokens: what a completion still earns from a token on. Formulas and sources stand at `Objective`.

interface ReturnOptions {
  gamma: number
  std: DeviationForm
  stdEpsilon: number
}

/** What the row earns from each of its tokens on; those that the policy did not produce are passed over and have 0. */
export function discountedReturns(rows: JudgedRows, row: number, gamma: number): Float64Array {
  const completions = rows.completions()
  const [begin, end] = spanOf(completions, row)
  const first = completions.offsets[0]!
  const returns = new Float64Array(end - begin)
  let ahead = 0
  let isLast = true
  for (let t = end - 1; t >= begin; t--) {
    if (!isActive(completions, t)) continue
    const earned = (isLast ? rows.rewards[row]! : 0) - (rows.tokenPenalties?.[t - first] ?? 0)
    isLast = false
    ahead = earned + gamma * ahead
    returns[t - begin] = ahead
  }
  return returns
}

/** The returns with mean 0 and deviation 1 over all active tokens of the batch; 0 where all of them are equal. */
export function whitenedReturns(rows: JudgedRows, { gamma, std, stdEpsilon }: ReturnOptions): AdvantageOf {
  const completions = rows.completions()
  const returnsOf = new Map<number, Float64Array>()
  const values: number[] = []
  for (let row = 0; row < rows.count; row++) {
    if (rows.counted[row] === 0) continue
    const returns = discountedReturns(rows, row, gamma)
    returnsOf.set(row, returns)
    const [begin] = spanOf(completions, row)
    returns.forEach((value, i) => {
      if (isActive(completions, begin + i)) values.push(value)
    })
  }
  const size = values.length
  const constant = values.every((value) => value === values[0])
  const mean = values.reduce((sum, value) => sum + value, 0) / size
  const squaredDeviations = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const scale = standardDeviation({ size, squaredDeviations }, std) + stdEpsilon
  return (row) => returnsOf.get(row)!.map((value) => (constant ? 0 : (value - mean) / scale))
}

/** Reward - reward of the greedy completion of the same prompt. */
export function greedyBaselineAdvantages(rows: JudgedRows): AdvantageOf {
  return (row) => rows.rewards[row]! - rows.baselines[row]!
}
