import { CoppiceError } from '../errors.ts'
import type { JudgedRows } from './judged-rows.ts'
import {
  type DeviationForm,
  type RewardStatistics,
  signedStatistics,
  standardDeviation,
} from './reward-statistics.ts'

// Advantages that are differences from a baseline. A group whose rewards are all equal, a group of one included, has no
// baseline that tells its members apart: their difference from its mean is exactly 0, whatever rounding would make of it.
// Formulas and sources stand at `Objective` in objective-options.ts.

/** The advantage of a row, or one for each of its tokens; called for rows that are kept. */
export type AdvantageOf = (row: number) => number | Float64Array
/** One that all tokens of the row share. */
export type RowAdvantageOf = (row: number) => number

interface Division {
  std: DeviationForm
  stdEpsilon: number
}

interface CentredOptions extends Division {
  rewards: 'given' | 'signed'
  baseline: 'none' | 'group' | 'batch'
  scaleRewards: 'none' | 'group' | 'batch'
}

/** The difference from the mean of the group, divided by nothing. */
export const GROUP_MEAN: CentredOptions = {
  rewards: 'given',
  baseline: 'group',
  scaleRewards: 'none',
  std: 'sample',
  stdEpsilon: 0,
}

/** (value - baseline) / (std + stdEpsilon), the value being the reward, or +1 and -1. */
export function centredAdvantages(rows: JudgedRows, options: CentredOptions): RowAdvantageOf {
  const signed = options.rewards === 'signed'
  const rewardOf = (row: number) => (signed ? 2 * rows.right[row]! - 1 : rows.rewards[row]!)
  if (options.baseline === 'none') return rewardOf
  const batch = signed ? signedStatistics(rows.batch) : rows.batch
  const ofGroup = (row: number) => (signed ? signedStatistics(rows.groupOf(row)) : rows.groupOf(row))
  return (row) => {
    const baseline = options.baseline === 'group' ? ofGroup(row) : batch
    if (baseline.constant) return 0
    const difference = rewardOf(row) - baseline.mean
    if (options.scaleRewards === 'none') return difference
    return divided(difference, options.scaleRewards === 'group' ? ofGroup(row) : batch, options)
  }
}

function divided(difference: number, scale: RewardStatistics, { std, stdEpsilon }: Division): number {
  return difference / (standardDeviation(scale, std) + stdEpsilon)
}

/** Reward - mean of the rewards of the group's other rows. */
export function leaveOneOutAdvantages(rows: JudgedRows): RowAdvantageOf {
  return (row) => {
    const { size, mean, constant } = rows.groupOf(row)
    return constant ? 0 : ((rows.rewards[row]! - mean) * size) / (size - 1)
  }
}

/** Reward - sum(length * reward) / sum(length) over the group. */
export function lengthWeightedAdvantages(rows: JudgedRows): RowAdvantageOf {
  const sums = new Map<RewardStatistics, { tokens: number; rewards: number }>()
  for (let row = 0; row < rows.count; row++) {
    if (rows.counted[row] === 0) continue
    const group = rows.groupOf(row)
    const sum = sums.get(group) ?? { tokens: 0, rewards: 0 }
    sum.tokens += rows.lengthOf(row)
    sum.rewards += rows.lengthOf(row) * rows.rewards[row]!
    sums.set(group, sum)
  }
  return (row) => {
    const group = rows.groupOf(row)
    const { tokens, rewards } = sums.get(group)!
    // Without a token there is nothing that the advantage could weigh.
    return group.constant || tokens === 0 ? 0 : rows.rewards[row]! - rewards / tokens
  }
}

/** Reward - group mean, then mean 0 and deviation 1 over all active tokens of the batch. */
export function whitenedAdvantages(rows: JudgedRows, { std, stdEpsilon }: Division): RowAdvantageOf {
  const differenceOf = centredAdvantages(rows, GROUP_MEAN)
  const members = [...rows.counted.keys()].filter((row) => rows.counted[row] === 1 && rows.lengthOf(row) > 0)
  const values = new Set(members.map(differenceOf))
  if (values.size < 2) return () => 0
  let size = 0
  let total = 0
  for (const row of members) {
    size += rows.lengthOf(row)
    total += rows.lengthOf(row) * differenceOf(row)
  }
  const mean = total / size
  let squaredDeviations = 0
  for (const row of members) squaredDeviations += rows.lengthOf(row) * (differenceOf(row) - mean) ** 2
  const scale = standardDeviation({ size, squaredDeviations }, std) + stdEpsilon
  return (row) => (differenceOf(row) - mean) / scale
}

/** B / (B - M) times the difference from the group's mean; M of the B rows that take part have no difference. */
export function balancedAdvantages(
  rows: JudgedRows,
  options: Division & Pick<CentredOptions, 'scaleRewards'>,
): RowAdvantageOf {
  let all = 0
  let varied = 0
  for (let row = 0; row < rows.count; row++) {
    if (rows.eligible[row] === 0) continue
    all++
    if (!rows.groupOf(row).constant) varied++
  }
  const differenceOf = centredAdvantages(rows, { ...GROUP_MEAN, ...options })
  // Without a varied group every difference is 0.
  const alpha = varied === 0 ? 1 : all / varied
  return (row) => alpha * differenceOf(row)
}

/** (reward - group mean) / (group mean + meanEpsilon). */
export function meanScaledAdvantages(rows: JudgedRows, meanEpsilon: number): RowAdvantageOf {
  const negative = rows.rewards.findIndex((reward, row) => rows.counted[row] === 1 && reward < 0)
  if (negative !== -1) {
    throw new CoppiceError('INVALID_ARGUMENT', "a reward that 'maxrl' cannot take", {
      where: `rewards, row ${negative}`,
      expected: 'at least 0, since the advantage is divided by the mean',
      received: `${rows.rewards[negative]}`,
    })
  }
  return (row) => {
    const { mean, constant } = rows.groupOf(row)
    return constant ? 0 : (rows.rewards[row]! - mean) / (mean + meanEpsilon)
  }
}
