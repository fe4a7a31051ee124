/** Rewards of the counted rows of one group, or of the whole batch. */
export interface RewardStatistics {
  /** Counted rows; may be 0. */
  size: number
  mean: number
  /** All rewards are the same number; true for a group of one. */
  constant: boolean
  /** Rows that are right. */
  right: number
  /** Sum of (reward - mean)^2. */
  squaredDeviations: number
}

export function statisticsOf(
  rows: readonly number[],
  rewards: Float64Array,
  right: Uint8Array,
  counted: Uint8Array,
): RewardStatistics {
  const members = rows.filter((row) => counted[row] === 1)
  let total = 0
  let rightRows = 0
  for (const row of members) {
    total += rewards[row]!
    rightRows += right[row]!
  }
  const mean = members.length === 0 ? 0 : total / members.length
  let squaredDeviations = 0
  for (const row of members) squaredDeviations += (rewards[row]! - mean) ** 2
  return {
    size: members.length,
    mean,
    constant: members.every((row) => rewards[row] === rewards[members[0]!]),
    right: rightRows,
    squaredDeviations,
  }
}

/** The same rows' statistics had every right one the reward +1 and every other -1. */
export function signedStatistics({ size, right }: RewardStatistics): RewardStatistics {
  return {
    size,
    mean: size === 0 ? 0 : (2 * right - size) / size,
    constant: right === 0 || right === size,
    right,
    squaredDeviations: size === 0 ? 0 : (4 * right * (size - right)) / size,
  }
}

/** `sample` divides by n - 1, `population` by n. */
export type DeviationForm = 'sample' | 'population'

/** Standard deviation of the counted rewards; 0 for fewer than two of them in either form. */
export function standardDeviation(
  { size, squaredDeviations }: Pick<RewardStatistics, 'size' | 'squaredDeviations'>,
  form: DeviationForm,
): number {
  if (size < 2) return 0
  return Math.sqrt(squaredDeviations / (form === 'sample' ? size - 1 : size))
}
