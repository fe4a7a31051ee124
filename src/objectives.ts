import { CoppiceError, invalidArgument } from './errors.ts'
import {
  atLeastZero,
  COMMON_OPTIONS,
  choice,
  fillOptions,
  type ObjectiveKind,
  type ObjectiveOptions,
  type ObjectiveSpec,
  type OptionRules,
  type OptionsOf,
  type ResolvedObjective,
  type ResolvedOf,
  type ResolvedOptions,
  reconcile,
} from './objective-options.ts'
import {
  type JudgedColumns,
  type JudgedRows,
  judgeRows,
  type RewardStatistics,
  standardDeviation,
} from './objectives/judged-rows.ts'
import {
  type AdvantageColumn,
  advantageColumn,
  type CompletionTokens,
  requireRows,
} from './objectives/token-weights.ts'
import { refuseUnknownKeys, requireOneOf } from './options.ts'

export { type AdvantageColumn, advantageColumn } from './objectives/token-weights.ts'

/**
 * An algorithm: which completions are kept, and the advantage of each. The rest (ratio, clip, KL, entropy, aggregation)
 * is options, of which a rule may set other defaults.
 */
interface ObjectiveRule<K extends ObjectiveKind> {
  /** Options that this objective alone knows. */
  own: OptionRules<Required<OptionsOf<K>>>
  defaults: Partial<ResolvedOptions>
  /** Whether advantages are divided by a deviation of the rewards; only then does `scaleRewards` have a meaning. */
  scalesRewards: boolean
  keeps: (rows: JudgedRows, row: number) => boolean
  /** Called for kept rows only. Constant over the row's tokens. */
  advantage: (rows: JudgedRows, row: number, objective: ResolvedOf<K>) => number
  /** Why there is nothing to learn from when no row is kept although some could have been. */
  emptyClass: EmptyClass
}

/**
 * Why a batch makes no optimiser step: nothing right for psr, nothing wrong for nsr, or no row that takes part at all
 * (every one abstained or was masked).
 */
export type EmptyClass = 'no-right-completion' | 'no-wrong-completion' | 'no-completion'

const all = () => true

const RULES: { readonly [K in ObjectiveKind]: ObjectiveRule<K> } = {
  psr: {
    own: {},
    defaults: {},
    scalesRewards: false,
    keeps: (rows, row) => rows.right[row] === 1,
    advantage: () => 1,
    emptyClass: 'no-right-completion',
  },
  nsr: {
    own: {},
    defaults: {},
    scalesRewards: false,
    keeps: (rows, row) => rows.right[row] === 0,
    advantage: () => -1,
    emptyClass: 'no-wrong-completion',
  },
  'w-reinforce': {
    own: { lambda: atLeastZero(0.1) },
    defaults: {},
    scalesRewards: false,
    keeps: all,
    advantage: (rows, row, { lambda }) => (rows.right[row] === 1 ? lambda : -1),
    emptyClass: 'no-completion',
  },
  reinforce: {
    own: { rewards: choice(['given', 'signed'], 'given') },
    defaults: { importanceSamplingLevel: 'none' },
    scalesRewards: false,
    keeps: all,
    advantage: (rows, row, { rewards }) =>
      rewards === 'given' ? rows.rewards[row]! : rows.right[row] === 1 ? 1 : -1,
    emptyClass: 'no-completion',
  },
  grpo: {
    own: { std: choice(['sample', 'population'], 'sample'), stdEpsilon: atLeastZero(1e-4) },
    defaults: { scaleRewards: 'group' },
    scalesRewards: true,
    keeps: all,
    advantage: (rows, row, objective) => scaledDeviation(rows, row, objective),
    emptyClass: 'no-completion',
  },
}

export const OBJECTIVE_KINDS = Object.keys(RULES) as readonly ObjectiveKind[]
/** The options that every objective has. */
export const OBJECTIVE_OPTION_NAMES = Object.keys(COMMON_OPTIONS) as readonly (keyof ObjectiveOptions)[]

/**
 * (reward - group mean) / (std + stdEpsilon). A group without variance, a group of one included, has no baseline to tell
 * its members apart: its advantages are exactly 0, whatever rounding or a stdEpsilon of 0 would make of them.
 */
function scaledDeviation(rows: JudgedRows, row: number, objective: ResolvedOf<'grpo'>): number {
  const group = rows.groupOf(row)
  if (group.constant) return 0
  const deviation = rows.rewards[row]! - group.mean
  if (objective.scaleRewards === 'none') return deviation
  const scale: RewardStatistics = objective.scaleRewards === 'group' ? group : rows.batch
  return deviation / (standardDeviation(scale, objective.std) + objective.stdEpsilon)
}

/**
 * Fills in every default and refuses unknown keys, values out of range and combinations that contradict, with the reason
 * (INVALID_ARGUMENT). A resolved objective resolves to itself. `beside` holds common options that stand next to the
 * objective, as those of `Policy.update` may; the same option in both places must have the same value.
 */
export function resolveObjective(spec: ObjectiveSpec, beside: ObjectiveOptions = {}): ResolvedObjective {
  if (typeof spec !== 'object' || spec === null) {
    throw invalidArgument('objective', "an object such as { kind: 'nsr' }", spec)
  }
  refuseUnknownKeys(beside, OBJECTIVE_OPTION_NAMES, 'options beside the objective')
  const merged: ObjectiveSpec = { ...spec }
  for (const name of OBJECTIVE_OPTION_NAMES) {
    if (beside[name] === undefined) continue
    if (spec[name] !== undefined && spec[name] !== beside[name]) {
      const received = `${JSON.stringify(spec[name])} in the objective and ${JSON.stringify(beside[name])} beside it`
      throw new CoppiceError('INVALID_ARGUMENT', 'an option given twice', {
        where: `objective.${name}`,
        received,
      })
    }
    Object.assign(merged, { [name]: beside[name] })
  }
  return resolveKind(requireOneOf(spec.kind, 'objective.kind', OBJECTIVE_KINDS), merged)
}

function resolveKind<K extends ObjectiveKind>(kind: K, spec: ObjectiveSpec): ResolvedObjective {
  const rule: ObjectiveRule<K> = RULES[kind]
  refuseUnknownKeys(spec, objectiveOptionNames(kind), `objective '${kind}'`)
  const given = spec as unknown as Record<string, unknown>
  const common = fillOptions<ResolvedOptions>(COMMON_OPTIONS, given, rule.defaults)
  const own = fillOptions(rule.own, given, {})
  return {
    kind,
    ...own,
    ...reconcile(common, spec, rule.defaults, rule.scalesRewards),
  } as unknown as ResolvedObjective
}

/** Every key that an objective's specification may have, `kind` first. */
export function objectiveOptionNames(kind: ObjectiveKind): readonly string[] {
  return ['kind', ...Object.keys(RULES[kind].own), ...OBJECTIVE_OPTION_NAMES]
}

/** What a rollout batch teaches under an objective. */
export interface RowAdvantages {
  /** Rows that take part in the update, ascending. Only they are given to the learner and counted in denominators. */
  keptRows: Int32Array
  /** One a row of the batch, 0 where the row is not kept. */
  rowAdvantages: Float64Array
  /** Set when no row is kept: no optimiser step is made, moments and decay stay untouched. */
  emptyClass: EmptyClass | null
  /**
   * Known before any forward pass: `reward`, `accuracy`, `reward_std`, `frac_reward_zero_std`, `frac_all_right` (the
   * last three need group ids), `unparsed_rate`, `timed_out_rate` (need verdicts), `kept_rows`, `empty_class` (0 or 1).
   * One that has no row to be computed from is absent.
   */
  metrics: Record<string, number>
}

/**
 * Applies an objective's rule to a whole rollout batch, before it is cut into optimiser batches, so that a group's
 * statistics are those of the whole group.
 */
export function assignAdvantages(rollouts: JudgedColumns, objective: ResolvedObjective): RowAdvantages {
  return applyRule(rollouts, objective.kind, objective)
}

function applyRule<K extends ObjectiveKind>(
  rollouts: JudgedColumns,
  kind: K,
  objective: ResolvedObjective,
): RowAdvantages {
  const rule: ObjectiveRule<K> = RULES[kind]
  const rows = judgeRows(rollouts, objective)
  const rowAdvantages = new Float64Array(rows.count)
  const kept: number[] = []
  let eligible = 0
  for (let row = 0; row < rows.count; row++) {
    if (rows.eligible[row] === 0) continue
    eligible++
    if (!rule.keeps(rows, row)) continue
    kept.push(row)
    rowAdvantages[row] = rule.advantage(rows, row, objective as unknown as ResolvedOf<K>)
  }
  const emptyClass = kept.length > 0 ? null : eligible === 0 ? 'no-completion' : rule.emptyClass
  return {
    keptRows: Int32Array.from(kept),
    rowAdvantages,
    emptyClass,
    metrics: { ...rows.metrics, kept_rows: kept.length, empty_class: emptyClass === null ? 0 : 1 },
  }
}

/**
 * The advantages stage: the columns of graded rollouts in, the column `advantages: list<float32>` out, with what
 * `assignAdvantages` tells of the batch. Edits nothing.
 */
export function computeAdvantages(
  rollouts: JudgedColumns,
  completions: CompletionTokens,
  objective: ResolvedObjective,
): RowAdvantages & { column: AdvantageColumn } {
  requireRows(completions, rollouts.rewards.length)
  const advantages = assignAdvantages(rollouts, objective)
  return {
    ...advantages,
    column: advantageColumn(advantages.keptRows, advantages.rowAdvantages, completions),
  }
}
