import { CoppiceError, describeValue, invalidArgument } from '../errors.ts'
import type { ResolvedOptions } from '../objective-options.ts'
import { isRight, type Sample, type Verdict } from '../verdicts.ts'
import { completionKl, type KlLogprobs, tokenKl } from './reward-penalty.ts'
import { type RewardStatistics, standardDeviation, statisticsOf } from './reward-statistics.ts'
import { activeLength, type CompletionTokens, requireRows } from './token-weights.ts'

/** What the verdicts stage knows of a batch of rollouts, one entry a row. Group members need not be neighbours. */
export interface JudgedColumns {
  /** null abstains: the row takes no part. NaN and infinities are refused. */
  rewards: ArrayLike<number | null>
  /** Says which rows are right. Absent, or null in a row: a reward above 0 does. */
  verdicts?: ArrayLike<Verdict | null> | undefined
  /** Rows with the same id are completions of one prompt. Needed by objectives with a group baseline and by `filterGroups`. */
  groupIds?: ArrayLike<number | string> | undefined
  /** Needed by `maskTruncatedCompletions`. */
  finishReasons?: ArrayLike<Sample['finishReason']> | undefined
  /** Needed by objectives in which a completion's length counts. */
  completions?: CompletionTokens | undefined
  /** Reward of the greedy completion of the row's prompt, needed by `remax`; null: there is none, and the row takes no part. */
  baselineRewards?: ArrayLike<number | null> | undefined
  /** Needed by `klIn: 'reward'`; the completions are, too. */
  klLogprobs?: KlLogprobs | undefined
}

/** Rollouts as the rules of the objectives see them. */
export interface JudgedRows {
  count: number
  /** Less the KL where `klIn` says so and the rule does not take it off by tokens; 0 where the row is not counted. */
  rewards: Float64Array
  /** 1 where the completion is right. */
  right: Uint8Array
  /** 1 where the verdict counts, in statistics and as a member of its group, and the group was not left out. */
  counted: Uint8Array
  /** 1 where the row may take part in the update: counted, and not masked for being truncated. */
  eligible: Uint8Array
  /** Rows that would be eligible, had their group not been left out by `filterGroups`. */
  filteredRows: number
  /** Statistics of the row's group; throws when the rollouts came without group ids. */
  groupOf(row: number): RewardStatistics
  /** Statistics of all counted rows. */
  batch: RewardStatistics
  /** Reward of the greedy completion of the row's prompt; 0 where the rule does not ask for it. */
  baselines: Float64Array
  /** beta times the KL estimate of each completion token, for rules that take it off by tokens; null where there is none. */
  tokenPenalties: Float64Array | null
  /** The completions' tokens; throws when the rollouts came without. */
  completions(): CompletionTokens
  /** Active tokens of the row's completion; throws when the rollouts came without completions. */
  lengthOf(row: number): number
  /** Those of all groups, left out or not. */
  metrics: Record<string, number>
}

/** What a rule asks of the rows beside rewards and verdicts. */
export interface RowDemands {
  /** The KL in the reward is taken off token by token. */
  spreadsKl?: boolean
  /** The reward of a greedy completion is the baseline. */
  greedyBaseline?: boolean
}

const VERDICTS: readonly Verdict[] = ['right', 'wrong', 'unparsed', 'timed-out']

/**
 * Applies the verdict policy (`unparsed`, `timedOut`, `maskTruncatedCompletions`, abstention) and `filterGroups`, and gathers
 * statistics.
 */
export function judgeRows(
  columns: JudgedColumns,
  options: ResolvedOptions,
  demands: RowDemands = {},
): JudgedRows {
  const count = columns.rewards.length
  const baselines = demands.greedyBaseline ? baselineRewards(columns) : undefined
  requireLength(columns.verdicts, count, 'verdicts')
  requireLength(columns.groupIds, count, 'groupIds')
  requireLength(columns.finishReasons, count, 'finishReasons')
  if (columns.completions !== undefined) requireRows(columns.completions, count)
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
    if (baselines?.[row] === null) continue
    rewards[row] = reward
    counted[row] = 1
    right[row] = isRight(reward, verdict) ? 1 : 0
    const truncated = options.maskTruncatedCompletions && columns.finishReasons?.[row] !== 'stop'
    eligible[row] = truncated ? 0 : 1
  }
  const everyRow = Array.from({ length: count }, (_, row) => row)
  const everyone = statisticsOf(everyRow, rewards, right, counted)
  const rowsOfGroup = groupRows(columns.groupIds, everyRow)
  const groups = new Map<number | string, RewardStatistics>()
  for (const [id, rows] of rowsOfGroup) groups.set(id, statisticsOf(rows, rewards, right, counted))

  const metrics: Record<string, number> = {}
  if (everyone.size > 0) {
    metrics.reward = everyone.mean
    metrics.accuracy = everyone.right / everyone.size
  }
  if (count > 0 && columns.verdicts !== undefined) {
    metrics.unparsed_rate = unparsed / count
    metrics.timed_out_rate = timedOut / count
  }
  Object.assign(metrics, groupMetrics([...groups.values()]))

  if (baselines !== undefined && everyone.size > 0) {
    const known = baselines.filter((_, row) => counted[row] === 1) as number[]
    metrics.baseline_reward = known.reduce((sum, value) => sum + value, 0) / known.length
  }

  let filteredRows = 0
  let filteredGroups = 0
  if (options.filterGroups === 'constant') {
    if (columns.groupIds === undefined) {
      throw invalidArgument('groupIds', 'a group id a row, for filterGroups', undefined)
    }
    for (const [id, rows] of rowsOfGroup) {
      const { size, constant } = groups.get(id)!
      if (size === 0 || !constant) continue
      filteredGroups++
      for (const row of rows) {
        filteredRows += eligible[row]!
        counted[row] = 0
        eligible[row] = 0
      }
    }
    metrics.filtered_groups = filteredGroups
    metrics.filtered_rows = filteredRows
  }
  let lengths: Int32Array | undefined
  const kl = options.klIn === 'reward' && options.beta !== 0 ? rewardKl(columns, options, counted) : null
  const penalised = kl !== null && !demands.spreadsKl
  if (penalised) {
    for (const row of everyRow) {
      if (counted[row] === 1) rewards[row]! -= options.beta * completionKl(kl, columns.completions!, row)
    }
    for (const [id, rows] of rowsOfGroup) groups.set(id, statisticsOf(rows, rewards, right, counted))
  }
  const completions = () => {
    if (columns.completions !== undefined) return columns.completions
    throw invalidArgument('completions', "the completions' tokens: the objective weighs lengths", undefined)
  }
  const batch =
    filteredGroups === 0 && !penalised ? everyone : statisticsOf(everyRow, rewards, right, counted)
  return {
    count,
    rewards,
    right,
    counted,
    eligible,
    filteredRows,
    batch,
    baselines: Float64Array.from({ length: count }, (_, row) => baselines?.[row] ?? 0),
    tokenPenalties: kl !== null && demands.spreadsKl ? kl.map((value) => options.beta * value) : null,
    metrics,
    groupOf(row) {
      if (columns.groupIds === undefined) {
        throw invalidArgument('groupIds', 'a group id a row: the objective has a group baseline', undefined)
      }
      return groups.get(columns.groupIds[row]!)!
    },
    completions,
    lengthOf(row) {
      lengths ??= Int32Array.from(everyRow, (each) => activeLength(completions(), each))
      return lengths[row]!
    },
  }
}

function baselineRewards({ baselineRewards: given, rewards }: JudgedColumns): (number | null)[] {
  if (given === undefined) {
    const expected = "the reward of a greedy completion of each row's prompt: it is the objective's baseline"
    throw invalidArgument('baselineRewards', expected, undefined)
  }
  requireLength(given, rewards.length, 'baselineRewards')
  return Array.from(given, (reward, row) => requireReward(reward, row, 'baselineRewards'))
}

function rewardKl(
  { completions, klLogprobs }: JudgedColumns,
  options: ResolvedOptions,
  counted: Uint8Array,
): Float64Array {
  if (completions === undefined || klLogprobs === undefined) {
    const expected = "log-probs of the reference policy, since klIn is 'reward'"
    throw invalidArgument('refLogprobs', expected, undefined)
  }
  const values = tokenKl(klLogprobs, completions, options.klKind)
  for (const [row, counts] of counted.entries()) {
    const sum = counts === 1 ? completionKl(values, completions, row) : 0
    if (Number.isFinite(sum)) continue
    throw new CoppiceError('NON_FINITE', "a completion's KL that is not finite", {
      where: `refLogprobs, row ${row}`,
      received: describeValue(sum),
    })
  }
  return values
}

/** The rows of each group in order, groups by their first row; none without ids. */
function groupRows(
  ids: JudgedColumns['groupIds'],
  everyRow: readonly number[],
): Map<number | string, number[]> {
  const rowsOfGroup = new Map<number | string, number[]>()
  for (const row of ids === undefined ? [] : everyRow) {
    const rows = rowsOfGroup.get(ids![row]!)
    if (rows === undefined) rowsOfGroup.set(ids![row]!, [row])
    else rows.push(row)
  }
  return rowsOfGroup
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
    frac_all_right: share((group) => group.right === group.size),
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

function requireReward(reward: number | null | undefined, row: number, where = 'rewards'): number | null {
  if (reward === null || (typeof reward === 'number' && Number.isFinite(reward))) return reward
  throw new CoppiceError('INVALID_ARGUMENT', 'a reward that is no number', {
    where: `${where}, row ${row}`,
    expected: 'a finite number, or null to abstain',
    received: describeValue(reward),
  })
}

function requireVerdict(verdict: Verdict | null | undefined, row: number): Verdict | null {
  if (verdict === null || verdict === undefined) return null
  if (VERDICTS.includes(verdict)) return verdict
  throw invalidArgument(`verdicts, row ${row}`, `one of ${VERDICTS.join(', ')}, or null`, verdict)
}
