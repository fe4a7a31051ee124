import { CoppiceError, describeValue, invalidArgument } from '../errors.ts'
import type { ResolvedOptions } from '../objective-options.ts'
import { isRight, type Sample, type Verdict } from '../verdicts.ts'

/** What the verdicts stage knows of a batch of rollouts, one entry a row. Group members need not be neighbours. */
export interface JudgedColumns {
  /** null abstains: the row takes no part. NaN and infinities are refused. */
  rewards: ArrayLike<number | null>
  /** Says which rows are right. Absent, or null in a row: a reward above 0 does. */
  verdicts?: ArrayLike<Verdict | null> | undefined
  /** Rows with the same id are completions of one prompt. Needed by objectives with a group baseline. */
  groupIds?: ArrayLike<number | string> | undefined
  /** Needed by `maskTruncatedCompletions`. */
  finishReasons?: ArrayLike<Sample['finishReason']> | undefined
}

/** Rewards of the counted rows of one group, or of the whole batch. */
export interface RewardStatistics {
  /** Counted rows; may be 0. */
  size: number
  mean: number
  /** All rewards are the same number; true for a group of one. */
  constant: boolean
  allRight: boolean
  /** Sum of (reward - mean)^2. */
  squaredDeviations: number
}

/** Rollouts as the rules of the objectives see them. */
export interface JudgedRows {
  count: number
  /** 0 where the row is not counted. */
  rewards: Float64Array
  /** 1 where the completion is right. */
  right: Uint8Array
  /** 1 where the verdict counts: in statistics, in metrics, as a member of its group. */
  counted: Uint8Array
  /** 1 where the row may take part in the update: counted, and not masked for being truncated. */
  eligible: Uint8Array
  /** Statistics of the row's group; throws when the rollouts came without group ids. */
  groupOf(row: number): RewardStatistics
  batch: RewardStatistics
  metrics: Record<string, number>
}

const VERDICTS: readonly Verdict[] = ['right', 'wrong', 'unparsed', 'timed-out']

/** Applies the verdict policy (`unparsed`, `timedOut`, `maskTruncatedCompletions`, abstention) and gathers statistics. */
export function judgeRows(columns: JudgedColumns, options: ResolvedOptions): JudgedRows {
  const count = columns.rewards.length
  requireLength(columns.verdicts, count, 'verdicts')
  requireLength(columns.groupIds, count, 'groupIds')
  requireLength(columns.finishReasons, count, 'finishReasons')
  if (options.maskTruncatedCompletions && columns.finishReasons === undefined) {
    throw invalidArgument('finishReasons', 'a finish reason a row, for maskTruncatedCompletions', undefined)
  }
  const rewards = new Float64Array(count)
  const right = new Uint8Array(count)
  const counted = new Uint8Array(count)
  const eligible = new Uint8Array(count)
  let unparsed = 0
  let timedOut = 0
  for (let row = 0; row < count; row++) {
    const reward = requireReward(columns.rewards[row], row)
    const verdict = requireVerdict(columns.verdicts?.[row], row)
    if (verdict === 'unparsed') unparsed++
    if (verdict === 'timed-out') timedOut++
    if (reward === null) continue
    if (verdict === 'unparsed' && options.unparsed === 'mask') continue
    if (verdict === 'timed-out' && options.timedOut === 'mask') continue
    rewards[row] = reward
    counted[row] = 1
    right[row] = isRight(reward, verdict) ? 1 : 0
    const truncated = options.maskTruncatedCompletions && columns.finishReasons?.[row] !== 'stop'
    eligible[row] = truncated ? 0 : 1
  }
  const everyRow = Array.from({ length: count }, (_, row) => row)
  const batch = statisticsOf(everyRow, rewards, right, counted)
  const rowsOfGroup = new Map<number | string, number[]>()
  for (const row of columns.groupIds === undefined ? [] : everyRow) {
    const id = columns.groupIds![row]!
    const rows = rowsOfGroup.get(id)
    if (rows === undefined) rowsOfGroup.set(id, [row])
    else rows.push(row)
  }
  const groups = new Map<number | string, RewardStatistics>()
  for (const [id, rows] of rowsOfGroup) groups.set(id, statisticsOf(rows, rewards, right, counted))

  const metrics: Record<string, number> = {}
  if (batch.size > 0) {
    metrics.reward = batch.mean
    metrics.accuracy = sum(right) / batch.size
  }
  if (count > 0 && columns.verdicts !== undefined) {
    metrics.unparsed_rate = unparsed / count
    metrics.timed_out_rate = timedOut / count
  }
  Object.assign(metrics, groupMetrics([...groups.values()]))
  return {
    count,
    rewards,
    right,
    counted,
    eligible,
    batch,
    metrics,
    groupOf(row) {
      if (columns.groupIds === undefined) {
        throw invalidArgument('groupIds', 'a group id a row: the objective has a group baseline', undefined)
      }
      return groups.get(columns.groupIds[row]!)!
    },
  }
}

/** Standard deviation of the counted rewards; 0 for fewer than two of them in either form. */
export function standardDeviation(statistics: RewardStatistics, form: 'sample' | 'population'): number {
  const { size, squaredDeviations } = statistics
  if (size < 2) return 0
  return Math.sqrt(squaredDeviations / (form === 'sample' ? size - 1 : size))
}

function statisticsOf(
  rows: readonly number[],
  rewards: Float64Array,
  right: Uint8Array,
  counted: Uint8Array,
): RewardStatistics {
  const members = rows.filter((row) => counted[row] === 1)
  let total = 0
  for (const row of members) total += rewards[row]!
  const mean = members.length === 0 ? 0 : total / members.length
  let squaredDeviations = 0
  for (const row of members) squaredDeviations += (rewards[row]! - mean) ** 2
  return {
    size: members.length,
    mean,
    constant: members.every((row) => rewards[row] === rewards[members[0]!]),
    allRight: members.length > 0 && members.every((row) => right[row] === 1),
    squaredDeviations,
  }
}

/** TRL's names: reward_std is the mean over groups of the group's standard deviation (n - 1). */
function groupMetrics(groups: readonly RewardStatistics[]): Record<string, number> {
  const counted = groups.filter((group) => group.size > 0)
  if (counted.length === 0) return {}
  const share = (test: (group: RewardStatistics) => boolean) => counted.filter(test).length / counted.length
  let deviations = 0
  for (const group of counted) deviations += group.constant ? 0 : standardDeviation(group, 'sample')
  return {
    reward_std: deviations / counted.length,
    frac_reward_zero_std: share((group) => group.constant),
    frac_all_right: share((group) => group.allRight),
  }
}

function requireLength(column: ArrayLike<unknown> | undefined, count: number, where: string): void {
  if (column !== undefined && column.length !== count) {
    throw new CoppiceError('SHAPE_MISMATCH', 'one entry a row', {
      where,
      expected: `${count} entries, as in rewards`,
      received: `${column.length}`,
    })
  }
}

function requireReward(reward: number | null | undefined, row: number): number | null {
  if (reward === null || (typeof reward === 'number' && Number.isFinite(reward))) return reward
  throw new CoppiceError('INVALID_ARGUMENT', 'a reward that is no number', {
    where: `rewards, row ${row}`,
    expected: 'a finite number, or null to abstain',
    received: describeValue(reward),
  })
}

function requireVerdict(verdict: Verdict | null | undefined, row: number): Verdict | null {
  if (verdict === null || verdict === undefined) return null
  if (VERDICTS.includes(verdict)) return verdict
  throw invalidArgument(`verdicts, row ${row}`, `one of ${VERDICTS.join(', ')}, or null`, verdict)
}

function sum(flags: Uint8Array): number {
  let total = 0
  for (const value of flags) total += value
  return total
}
