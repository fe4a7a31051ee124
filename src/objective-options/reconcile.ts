import type { ObjectiveSpec, ResolvedOptions } from '../objective-options.ts'
import { contradiction } from './contradiction.ts'
import { fitCorrection } from './importance-correction.ts'
import { fitSurrogate } from './surrogates.ts'

/** Values that an objective does not take for common options, since it would then be another one; and why. */
export type Restrictions = {
  readonly [N in keyof ResolvedOptions]?: {
    readonly only: readonly ResolvedOptions[N][]
    readonly why: string
  }
}

/** What is known of a run's batches before there are any. */
export interface BatchShape {
  /** Completions of a prompt. */
  numGenerations: number
  /** Completions of an optimiser batch. */
  rows: number
  maxCompletionLength: number
}

/** What `reconcile` must know beside the options themselves. */
export interface Circumstances {
  /** What the caller wrote. */
  given: ObjectiveSpec
  /** Where the objective differs from the common defaults. */
  defaults: Partial<ResolvedOptions>
  restrictions: Restrictions
  /** Whether a completion is measured by the others of its prompt. */
  comparesGroup: boolean
  /** Undefined where no run is planned; then nothing can be derived from it. */
  shape: BatchShape | undefined
}

/**
 * Couples the options that depend on one another and refuses those that contradict, with the reason: each other, the
 * objective, or the shape of the batches.
 */
export function reconcile(options: ResolvedOptions, circumstances: Circumstances): ResolvedOptions {
  const { given, defaults, restrictions, comparesGroup, shape } = circumstances
  const result = { ...options }
  if (given.epsilonHigh === undefined && defaults.epsilonHigh === undefined)
    result.epsilonHigh = result.epsilon
  fitSurrogate(result, given)
  fitCorrection(result, given)
  if (result.aggregation === 'constant' && result.constant === null) {
    if (shape === undefined) {
      throw contradiction('aggregation', 'constant', "the divisor is missing: give 'constant'")
    }
    result.constant = shape.rows * shape.maxCompletionLength
  }
  if (result.aggregation !== 'constant' && result.constant !== null) {
    throw contradiction(
      'constant',
      result.constant,
      `aggregation '${result.aggregation}' does not divide by it`,
    )
  }
  // Where it is the objective's own place for a KL, there may be none.
  if (result.klIn === 'reward' && result.beta === 0 && defaults.klIn !== 'reward') {
    throw contradiction('klIn', 'reward', 'beta is 0, so that there is nothing to take off')
  }
  for (const name of Object.keys(restrictions) as (keyof ResolvedOptions)[]) {
    const { only, why } = restrictions[name]!
    if (!(only as readonly unknown[]).includes(result[name])) {
      throw contradiction(name, result[name], `'${given.kind}' ${why}`)
    }
  }
  if (shape?.numGenerations === 1) {
    if (comparesGroup) {
      const why = `'${given.kind}' measures a completion by the others of its prompt, and there is none`
      throw contradiction('numGenerations', 1, why)
    }
    if (result.filterGroups === 'constant') {
      const why = 'the rewards of a group of one are all equal, so that every completion would be left out'
      throw contradiction('filterGroups', 'constant', why)
    }
  }
  return result
}
