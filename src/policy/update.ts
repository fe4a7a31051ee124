import { CoppiceError, invalidArgument } from '../errors.ts'
import type {
  NativeAdamw,
  NativeEngine,
  NativeRows,
  NativeUpdateInput,
  NativeUpdateStats,
} from '../native/types.ts'
import { call, callCancellable, callSite, stopFlag } from '../native.ts'
import type { ObjectiveSpec } from '../objective-options.ts'
import { type EmptyClass, objectiveOptionNames, resolveObjective } from '../objectives.ts'
import { refuseUnknownKeys, requireInteger, requireNumber } from '../options.ts'
import { lossMetrics } from '../policy-loss.ts'
import type { RolloutBatch, TokenColumns } from '../rollouts.ts'
import { microBatchesOf } from './memory-request.ts'
import {
  completionTokenCount,
  nativeRows,
  perToken,
  type Rows,
  requirePerToken,
  tokenColumns,
} from './native-rows.ts'
import { objectiveUpdate } from './objective-update.ts'
import type {
  ApplyUpdateOptions,
  OptimizerOptions,
  PreparedUpdate,
  SupervisedOptions,
  UpdateOptions,
  UpdateResult,
  UpdateStats,
  ValueTargets,
} from './options.ts'

const OPTIMIZER_KEYS = [
  'learningRate',
  'weightDecay',
  'adamBeta1',
  'adamBeta2',
  'adamEpsilon',
  'maxGradNorm',
] as const satisfies readonly (keyof OptimizerOptions)[]
const SUPERVISED_KEYS = ['tokenBudget', 'activationCheckpointing', 'signal'] as const
const JOB_KEYS = ['temperature', ...SUPERVISED_KEYS] as const

/** One optimiser step by an objective's rule; see `Policy.update`. */
export async function updateByObjective(
  engine: NativeEngine,
  batch: RolloutBatch,
  options: UpdateOptions,
): Promise<UpdateResult> {
  const { spec, optimizer } = splitOptions(options)
  const objective = resolveObjective(spec)
  const { rows, step } = objectiveUpdate(batch, objective, 'update', {
    seed: requireInteger(options.seed ?? 0, 'update.seed', 0),
    step: engine.optimizerStep,
  })
  if (step === null) {
    const skipped: EmptyClass = rows.emptyClass ?? 'no-completion'
    return { skipped, metrics: { ...rows.metrics, empty_class: 1 } }
  }
  const stats = await applyUpdate(engine, step.columns, {
    ...step.input,
    optimizer,
    ...pick(options, JOB_KEYS),
  })
  const reference = step.input.refLogprobs !== undefined
  const metrics = { ...rows.metrics, ...updateMetrics(stats, reference), ...step.metrics }
  return { skipped: undefined, metrics }
}

/** One optimiser step on given advantages; see `Policy.applyUpdate`. */
export async function applyUpdate(
  engine: NativeEngine,
  rows: Rows,
  options: ApplyUpdateOptions,
): Promise<UpdateStats> {
  const { native, input } = nativeUpdate(rows, options)
  const { cancelled: _, ...stats } = await callCancellable(options.signal, (stop) =>
    engine.update(native, input, stop),
  )
  return stats
}

/** Steps that the engine holds at a time: it goes on to the next one while JavaScript learns of the last. */
const STEPS_AHEAD = 2

/** Optimiser steps one behind the other; see `Policy.applyUpdates`. */
export async function* applyUpdates(
  engine: NativeEngine,
  updates: Iterable<PreparedUpdate>,
): AsyncGenerator<UpdateStats, void, void> {
  const natives = {
    *[Symbol.iterator]() {
      for (const { rows, ...options } of updates) yield nativeUpdate(rows, options)
    },
  }
  yield* runUpdates(engine, natives, callSite(applyUpdates))
}

/** An optimiser step as the engine takes it. */
export interface NativeUpdate {
  native: NativeRows
  input: NativeUpdateInput
}

/** Optimiser steps one behind the other, of which the engine holds the next before it is done with the last. */
export async function* runUpdates(
  engine: NativeEngine,
  updates: Iterable<NativeUpdate>,
  site: Parameters<typeof call>[1],
): AsyncGenerator<UpdateStats, void, void> {
  const stop = stopFlag()
  const submitted: Promise<NativeUpdateStats>[] = []
  const source = updates[Symbol.iterator]()
  try {
    for (let more = true; ; ) {
      while (more && submitted.length < STEPS_AHEAD) {
        const { value, done } = source.next()
        more = done !== true
        if (done) break
        const { native, input } = value
        const running = call(() => engine.update(native, input, stop), site)
        // One behind a failure is cancelled, and nobody comes to wait for it.
        running.catch(() => {})
        submitted.push(running)
      }
      const first = submitted.shift()
      if (first === undefined) return
      const { cancelled: _, ...stats } = await first
      yield stats
    }
  } finally {
    stop.set()
    await Promise.allSettled(submitted)
    source.return?.()
  }
}

function nativeUpdate(rows: Rows, options: ApplyUpdateOptions): NativeUpdate {
  const own = ['advantages', 'norm', 'oldLogprobs', 'refLogprobs', 'oldKlMask', 'value', 'lossParams']
  refuseUnknownKeys(options, [...own, 'optimizer', ...JOB_KEYS], 'applyUpdate')
  const columns = tokenColumns(rows)
  const array = (values: Float32Array, name: string) =>
    requirePerToken(values, columns, `applyUpdate.${name}`)
  const input = {
    advantages: array(options.advantages, 'advantages'),
    norm: array(options.norm, 'norm'),
    oldLogprobs: oldLogprobsOf(columns, options),
    refLogprobs: options.refLogprobs && array(options.refLogprobs, 'refLogprobs'),
    oldKlMask: options.oldKlMask && array(options.oldKlMask, 'oldKlMask'),
    loss: options.lossParams,
    ...(options.value && nativeTargets(options.value, columns, 'applyUpdate.value')),
    optimizer: adamwOf(options.optimizer, 'applyUpdate.optimizer'),
    microBatches: microBatchesOf(options, 'applyUpdate'),
  }
  return { native: nativeRows(columns, options.temperature, 'applyUpdate'), input }
}

/** What a value head learns from, as the engine takes it. */
export function nativeTargets(
  { returns, oldValues, clip, coefficient }: ValueTargets,
  columns: TokenColumns,
  where: string,
): Pick<NativeUpdateInput, 'returns' | 'oldValues' | 'valueLoss'> {
  return {
    returns: requirePerToken(returns, columns, `${where}.returns`),
    ...(oldValues && { oldValues: requirePerToken(oldValues, columns, `${where}.oldValues`) }),
    valueLoss: {
      clip: clip === null ? Number.POSITIVE_INFINITY : requireNumber(clip, `${where}.clip`, 0),
      coef: requireNumber(coefficient, `${where}.coefficient`, 0),
    },
  }
}

/** Maximum likelihood of completions; see `Policy.supervisedStep`. */
export async function supervisedStep(
  engine: NativeEngine,
  rows: Rows,
  options: SupervisedOptions,
): Promise<UpdateResult> {
  refuseUnknownKeys(options, [...OPTIMIZER_KEYS, ...SUPERVISED_KEYS], 'supervisedStep')
  const columns = tokenColumns(rows)
  const count = completionTokenCount(columns)
  const mask = columns.completionMask && perToken(columns.completionMask, 'completion_mask')
  let active = 0
  for (let t = 0; t < count; t++) if (mask?.[t] !== 0) active++
  if (active === 0) return { skipped: 'no-completion', metrics: { empty_class: 1 } }
  const norm = new Float32Array(count)
  for (let t = 0; t < count; t++) norm[t] = mask?.[t] !== 0 ? 1 / active : 0
  const stats = await applyUpdate(engine, columns, {
    advantages: new Float32Array(count).fill(1),
    norm,
    oldLogprobs: null,
    lossParams: MAXIMUM_LIKELIHOOD,
    optimizer: pick(options, OPTIMIZER_KEYS),
    temperature: 1,
    ...pick(options, SUPERVISED_KEYS),
  })
  return {
    skipped: undefined,
    metrics: { ...stepMetrics(stats), entropy: stats.entropySum / stats.activeTokens },
  }
}

const MAXIMUM_LIKELIHOOD = {
  importance: 'none',
  clip: false,
  clipLow: 0,
  clipHigh: 0,
  dualClip: 0,
  klKind: 'k3',
  klCoef: 0,
  entropyCoef: 0,
} as const

/** Every metric of an optimiser step, TRL's keys where TRL has one. */
export function updateMetrics(stats: UpdateStats, reference: boolean): Record<string, number> {
  return { ...stepMetrics(stats), ...lossMetrics(stats, { reference, entropy: true }) }
}

function stepMetrics(stats: UpdateStats): Record<string, number> {
  return {
    loss: stats.loss,
    grad_norm: stats.gradNorm,
    num_active_tokens: stats.activeTokens,
    // The share of elements that moved in fp32 and would not have moved had bf16 been all that is kept of them.
    lost_in_bf16: stats.changedElements === 0 ? 0 : stats.lostInBf16 / stats.changedElements,
  }
}

/** Objective options may stand in `objective` or beside it, not in both places. */
function splitOptions(options: UpdateOptions): { spec: ObjectiveSpec; optimizer: OptimizerOptions } {
  const { objective } = options
  if (typeof objective !== 'object' || objective === null) {
    throw invalidArgument('update.objective', "an object such as { kind: 'nsr' }", objective)
  }
  // An unknown kind has no names of its own; resolveObjective refuses it in its words.
  const names = objectiveOptionNames(resolveObjective(objective).kind).filter((name) => name !== 'kind')
  refuseUnknownKeys(options, ['objective', 'seed', ...OPTIMIZER_KEYS, ...JOB_KEYS, ...names], 'update')
  const beside = pick(options as unknown as Record<string, unknown>, names)
  for (const name of Object.keys(beside)) {
    if (name in objective)
      throw invalidArgument(`update.${name}`, 'the option once: it is in objective too', name)
  }
  return { spec: { ...objective, ...beside } as ObjectiveSpec, optimizer: pick(options, OPTIMIZER_KEYS) }
}

function oldLogprobsOf(columns: TokenColumns, options: ApplyUpdateOptions): Float32Array | undefined {
  if (options.oldLogprobs === null) return undefined
  if (options.oldLogprobs !== undefined) {
    return requirePerToken(options.oldLogprobs, columns, 'applyUpdate.oldLogprobs')
  }
  if (columns.logprobs !== undefined) {
    return requirePerToken(perToken(columns.logprobs, 'logprobs'), columns, 'applyUpdate.oldLogprobs')
  }
  throw new CoppiceError('INVALID_ARGUMENT', 'a column is missing', {
    where: "applyUpdate, column 'logprobs'",
    expected: 'log-probs as recorded, or oldLogprobs (null: none)',
  })
}

export function adamwOf(options: OptimizerOptions, where: string): NativeAdamw {
  refuseUnknownKeys(options, OPTIMIZER_KEYS, where)
  const number = (name: keyof OptimizerOptions, fallback: number | undefined, max?: number) =>
    requireNumber(options[name] ?? fallback, `${where}.${name}`, 0, max)
  return {
    learningRate: number('learningRate', undefined),
    weightDecay: number('weightDecay', 0.01),
    beta1: number('adamBeta1', 0.9, 1 - Number.EPSILON / 2),
    beta2: number('adamBeta2', 0.999, 1 - Number.EPSILON / 2),
    eps: number('adamEpsilon', 1e-8),
    maxGradNorm: number('maxGradNorm', 1),
  }
}

/** The named keys that are present and not undefined. */
function pick<T extends object, K extends keyof T>(from: T, keys: readonly K[]): Given<Pick<T, K>> {
  const picked: Partial<T> = {}
  for (const key of keys) if (from[key] !== undefined) picked[key] = from[key]
  return picked as Given<Pick<T, K>>
}

/** The same keys without `undefined` as a value. */
type Given<T> = { [K in keyof T]: Exclude<T[K], undefined> }
