import { CoppiceError, invalidArgument } from './errors.ts'
import { COMMON_OPTIONS, fillOptions } from './objective-options/option-rules.ts'
import { type BatchShape, reconcile } from './objective-options/reconcile.ts'
import { withSurrogate } from './objective-options/surrogates.ts'
import type {
  ObjectiveKind,
  ObjectiveOptions,
  ObjectiveSpec,
  OptionsOf,
  ResolvedObjective,
  ResolvedOf,
  ResolvedOptions,
} from './objective-options.ts'
import { type JudgedColumns, judgeRows } from './objectives/judged-rows.ts'
import { type EmptyClass, type ObjectiveRule, RULES } from './objectives/rules.ts'
import {
  type AdvantageColumn,
  advantageColumn,
  type CompletionTokens,
  isActive,
  requireRows,
  spanOf,
} from './objectives/token-weights.ts'
import { refuseUnknownKeys, requireOneOf } from './options.ts'

export type { BatchShape } from './objective-options/reconcile.ts'
export type { EmptyClass } from './objectives/rules.ts'
export { type AdvantageColumn, advantageColumn } from './objectives/token-weights.ts'

export const OBJECTIVE_KINDS = Object.keys(RULES) as readonly ObjectiveKind[]
/** The options that every objective has. */
export const OBJECTIVE_OPTION_NAMES = Object.keys(COMMON_OPTIONS) as readonly (keyof ObjectiveOptions)[]

/**
 * Fills in every default and refuses unknown keys, values out of range and combinations that contradict, with the reason
 * (INVALID_ARGUMENT). A resolved objective resolves to itself. `beside` holds common options that stand next to the
 * objective, as those of `Policy.update` may; the same option in both places must have the same value. `shape` is that of
 * the batches to come, where it is known: then what follows from it need not be given, and what contradicts it is refused.
 */
export function resolveObjective(
  spec: ObjectiveSpec,
  beside: ObjectiveOptions = {},
  shape?: BatchShape,
): ResolvedObjective {
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
  return resolveKind(requireOneOf(spec.kind, 'objective.kind', OBJECTIVE_KINDS), merged, shape)
}

function resolveKind<K extends ObjectiveKind>(
  kind: K,
  spec: ObjectiveSpec,
  shape: BatchShape | undefined,
): ResolvedObjective {
  const { own: ownRules, fit, restrictions, comparesGroup, ...rule }: ObjectiveRule<K> = RULES[kind]
  refuseUnknownKeys(spec, objectiveOptionNames(kind), `objective '${kind}'`)
  const given = spec as unknown as Record<string, unknown>
  const { parse, fallback } = COMMON_OPTIONS.surrogate
  const surrogate =
    spec.surrogate === undefined
      ? (rule.defaults.surrogate ?? fallback)
      : parse(spec.surrogate, 'objective.surrogate')
  const defaults = withSurrogate(rule.defaults, surrogate)
  const filled = fillOptions<Required<OptionsOf<K>>>(ownRules, given, {})
  const own = fit?.(filled, given, shape) ?? filled
  const common = reconcile(fillOptions<ResolvedOptions>(COMMON_OPTIONS, given, defaults), {
    ...{ given: spec, defaults, restrictions: restrictions(own), comparesGroup: comparesGroup(own), shape },
  })
  return { kind, ...own, ...common } as unknown as ResolvedObjective
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
  /**
   * One a completion token, offsets counted from 0, where the objective's advantages are not constant over a completion; its
   * row's advantage is then their mean over the tokens that the policy produced.
   */
  tokenAdvantages?: Float64Array
  /** Set when no row is kept: no optimiser step is made, moments and decay stay untouched. */
  emptyClass: EmptyClass | null
  /**
   * Known before any forward pass: `reward`, `accuracy`, `reward_std`, `frac_reward_zero_std`, `frac_all_right` (the
   * last three need group ids), `unparsed_rate`, `timed_out_rate` (need verdicts), `filtered_groups`, `filtered_rows` (with
   * `filterGroups`: what it left out, rows that could not take part not counted), `baseline_reward` (of greedy completions, under
   * `remax`), `kept_rows`, `empty_class` (0 or 1). One that has no row to be computed from is absent.
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
  const rows = judgeRows(rollouts, objective, rule.demands)
  const rowAdvantages = new Float64Array(rows.count)
  const advantageOf = rule.advantages(rows, objective as unknown as ResolvedOf<K>)
  const kept: number[] = []
  let eligible = 0
  let tokenAdvantages: Float64Array | undefined
  for (let row = 0; row < rows.count; row++) {
    if (rows.eligible[row] === 0) continue
    eligible++
    if (!rule.keeps(rows, row)) continue
    kept.push(row)
    const advantage = advantageOf(row)
    if (typeof advantage === 'number') rowAdvantages[row] = advantage
    else {
      const { offsets } = rows.completions()
      tokenAdvantages ??= new Float64Array(offsets[offsets.length - 1]! - offsets[0]!)
      tokenAdvantages.set(advantage, offsets[row]! - offsets[0]!)
      rowAdvantages[row] = meanOfActive(advantage, rows.completions(), row)
    }
  }
  const whyNone = eligible > 0 ? rule.emptyClass : rows.filteredRows > 0 ? 'no-mixed-group' : 'no-completion'
  const emptyClass = kept.length > 0 ? null : whyNone
  return {
    keptRows: Int32Array.from(kept),
    rowAdvantages,
    ...(tokenAdvantages && { tokenAdvantages }),
    emptyClass,
    metrics: { ...rows.metrics, kept_rows: kept.length, empty_class: emptyClass === null ? 0 : 1 },
  }
}

function meanOfActive(values: Float64Array, completions: CompletionTokens, row: number): number {
  const [begin] = spanOf(completions, row)
  const active = values.filter((_, i) => isActive(completions, begin + i))
  return active.length === 0 ? 0 : active.reduce((sum, value) => sum + value, 0) / active.length
}

/** Whether an objective measures completions by a greedy one of their prompt, which must be sampled and judged beside. */
export function hasGreedyBaseline({ kind }: Pick<ResolvedObjective, 'kind'>): boolean {
  return RULES[kind].demands?.greedyBaseline === true
}

/**
 * The advantages stage: the columns of graded rollouts in, the column `advantages: list<float32>` out, with what
 * `assignAdvantages` tells of the batch. Edits nothing.
 */
export function computeAdvantages(
  rollouts: Omit<JudgedColumns, 'completions'>,
  completions: CompletionTokens,
  objective: ResolvedObjective,
): RowAdvantages & { column: AdvantageColumn } {
  requireRows(completions, rollouts.rewards.length)
  const advantages = assignAdvantages({ ...rollouts, completions }, objective)
  return {
    ...advantages,
    column: advantageColumn(advantages.keptRows, advantages, completions),
  }
}
