import { CoppiceError, describeValue, invalidArgument } from './errors.ts'
import { addon, callNow } from './native.ts'
import type { ObjectiveSpec, ResolvedObjective, ResolvedOptions } from './objective-options.ts'
import { adjustsWeights, adjustWeights, type Draw } from './objectives/adjusted-weights.ts'
import { criticAdvantages, usesCritic } from './objectives/critic-advantages.ts'
import type { JudgedColumns } from './objectives/judged-rows.ts'
import {
  divide,
  type FlagColumn,
  flatten,
  offsetsOf,
  requireFlags,
  type TokenColumn,
} from './objectives/token-columns.ts'
import {
  type ArrayOf,
  requireRows,
  type TokenDtype,
  type TokenWeights,
  weighTokens,
} from './objectives/token-weights.ts'
import { assignAdvantages, type EmptyClass, resolveObjective } from './objectives.ts'
import { refuseUnknownKeys, requireInteger, requireOneOf } from './options.ts'

export type FloatArray = Float32Array | Float64Array

/** The parameters of the native op `policy_loss`; formulas in native/ops/ops.h. */
export interface PolicyLossParams {
  importance: 'none' | 'token' | 'sequence' | 'sequence-token'
  clip: boolean
  /** The ratio is clamped to [1 - clipLow, 1 + clipHigh]; Infinity leaves a side open. */
  clipLow: number
  clipHigh: number
  /** 0: off. */
  dualClip: number
  klKind: 'k1' | 'k2' | 'k3'
  klCoef: number
  entropyCoef: number
  /** What is made of ratio and advantage. Default clip. */
  surrogate?: ResolvedOptions['surrogate']
  /** Of surrogate sapo. Default 1 and 1.05. */
  sapoTemperaturePos?: number
  sapoTemperatureNeg?: number
  /** Weight of |logprob - old logprob| at the tokens of `oldKlMask`. Default 0. */
  oldKlCoef?: number
}

/** One value a token, all arrays of one length and one type; sequence i is [offsets[i], offsets[i + 1]). */
export interface PolicyLossInputs<A extends FloatArray = FloatArray> {
  logprobs: A
  oldLogprobs: A
  /** null: no reference policy, klCoef is 0. */
  refLogprobs: A | null
  /** null: entropyCoef is 0. */
  entropies: A | null
  advantages: A
  /** mask / denominator; a token is active where it is not 0. */
  norm: A
  /** 1 at the tokens that `oldKlCoef` is for, 0 elsewhere; null: it is 0. */
  oldKlMask?: Float32Array | null
  offsets: Int32Array
}

/** Sums over active tokens, so that those of micro-batches add up (but for the maximum). */
export interface PolicyLossStats {
  activeTokens: number
  /** Tokens whose gradient the lower or upper bound took away; under cispo and topr, those whose ratio it cut. */
  clippedLow: number
  clippedHigh: number
  /** Of the chosen estimator, against the reference policy. */
  klSum: number
  entropySum: number
  /** Of exp(logprob - old logprob). */
  ratioSum: number
  maxAbsLogRatio: number
}

export interface PolicyLossResult<A extends FloatArray = FloatArray> {
  loss: number
  /** dL/dlogprobs, 0 where inactive. */
  dLogprobs: A
  /** dL/dentropies; null when no entropies came in. */
  dEntropies: A | null
  stats: PolicyLossStats
}

/** A `policy_loss` op: the native one, in the precision of the arrays that it is given, or a stand-in for tests. */
export interface PolicyLossKernel {
  policyLoss<A extends FloatArray>(inputs: PolicyLossInputs<A>, params: PolicyLossParams): PolicyLossResult<A>
}

/** The op that training runs. The addon is loaded at the first call. */
export const nativePolicyLoss: PolicyLossKernel = {
  policyLoss: (inputs, params) => callNow(() => addon().policyLoss(inputs, params)),
}

/** The numbers by which the native op knows an objective. */
export function lossParams(options: ResolvedObjective): PolicyLossParams {
  return {
    importance: options.importanceSamplingLevel,
    surrogate: options.surrogate,
    clip: options.epsilon !== null || options.epsilonHigh !== null,
    clipLow: options.epsilon ?? Number.POSITIVE_INFINITY,
    clipHigh: options.epsilonHigh ?? Number.POSITIVE_INFINITY,
    dualClip: options.delta ?? 0,
    klKind: options.klKind,
    klCoef: options.klIn === 'loss' ? options.beta : 0,
    entropyCoef: options.entropyCoefficient,
    ...(options.sapoTemperaturePos !== null && { sapoTemperaturePos: options.sapoTemperaturePos }),
    ...(options.sapoTemperatureNeg !== null && { sapoTemperatureNeg: options.sapoTemperatureNeg }),
    ...(options.kind === 'kl-cov' && { oldKlCoef: options.oldKlCoefficient }),
  }
}

/** Metrics that a pass over an optimiser batch yields; the summed stats of its micro-batches in, TRL's keys out. */
export function lossMetrics(
  stats: PolicyLossStats,
  known: { reference: boolean; entropy: boolean },
): Record<string, number> {
  const tokens = stats.activeTokens
  const metrics: Record<string, number> = { num_active_tokens: tokens }
  if (tokens === 0) return metrics
  metrics['clip_ratio/low_mean'] = stats.clippedLow / tokens
  metrics['clip_ratio/high_mean'] = stats.clippedHigh / tokens
  metrics['clip_ratio/region_mean'] = (stats.clippedLow + stats.clippedHigh) / tokens
  metrics.ratio_mean = stats.ratioSum / tokens
  metrics.max_abs_log_ratio = stats.maxAbsLogRatio
  if (known.reference) metrics.kl = stats.klSum / tokens
  if (known.entropy) metrics.entropy = stats.entropySum / tokens
  return metrics
}

/** A batch of graded rollouts, taken as one optimiser batch. */
export interface PolicyLossBatch extends Omit<JudgedColumns, 'completions' | 'klLogprobs'> {
  /** log pi of each completion token under the policy that is being trained. */
  logprobs: TokenColumn
  /** The same as recorded when the token was sampled. Absent: equal to `logprobs`, as on a batch's first update. */
  oldLogprobs?: TokenColumn
  /** Of the distribution that the tokens were drawn from. Needed by `importanceCorrection`. */
  samplerLogprobs?: TokenColumn
  /** Under the reference policy. Needed when `beta` is not 0; given without, it yields the metric `kl`. */
  refLogprobs?: TokenColumn
  /** What a critic expects from each token on. Needed by ppo. */
  values?: TokenColumn
  /** Of the policy's distribution at each token. Needed when `entropyCoefficient` is not 0. */
  entropies?: TokenColumn
  /** 0 or false for a token that the policy did not produce. Absent: it produced all of them. */
  mask?: FlagColumn
  /** Needed with flat columns, refused with ragged ones: rows + 1 entries from 0 to the number of tokens. */
  offsets?: ArrayLike<number>
  /** The precision of the computation: `f64` (default) or `f32`, the one that training runs in. */
  dtype?: TokenDtype
  /** What `clip-cov` chooses tokens by, with `step`. Both default to 0. */
  seed?: number
  /** The optimiser step. */
  step?: number
}

/** `G` is the form of the batch's `logprobs`: an array for each completion, or one flat array. */
export interface PolicyLoss<G extends FloatArray | FloatArray[]> {
  loss: number
  /** dL/dlogprobs of every token; 0 where the row was dropped or the token masked. */
  tokenGradients: G
  /** dL/dentropies; present when entropies were given. */
  entropyGradients?: G
  /** Set when there is nothing to learn from; loss and gradients are 0 then, and a trainer makes no step. */
  emptyClass: EmptyClass | null
  metrics: Record<string, number>
}

/** The form of a batch's log-probs, which its gradients take: ragged or flat. */
export type FormOf<B extends PolicyLossBatch> = B['logprobs'] extends readonly (
  | FloatArray
  | readonly number[]
)[]
  ? FloatArray[]
  : FloatArray

const BATCH_KEYS = [
  'logprobs',
  'oldLogprobs',
  'samplerLogprobs',
  'refLogprobs',
  'values',
  'entropies',
  'mask',
  'offsets',
  'dtype',
  'seed',
  'step',
  'rewards',
  'verdicts',
  'groupIds',
  'finishReasons',
  'baselineRewards',
] as const satisfies readonly (keyof PolicyLossBatch)[]

/**
 * The loss of an objective on one optimiser batch and its gradient with respect to every token's log-prob (and entropy),
 * by the op that training runs (`kernel` replaces it, for tests). Errors: INVALID_ARGUMENT (options, values, missing columns), SHAPE_MISMATCH (columns that
 * do not fit one another), NON_FINITE (an active token's log-prob or entropy is not finite).
 */
export function policyLoss<const B extends PolicyLossBatch>(
  batch: B,
  spec: ObjectiveSpec,
  kernel: PolicyLossKernel = nativePolicyLoss,
): PolicyLoss<FormOf<B>> {
  refuseUnknownKeys(batch, BATCH_KEYS, 'policyLoss')
  const dtype = requireOneOf(batch.dtype ?? 'f64', 'policyLoss.dtype', ['f64', 'f32'])
  const objective = resolveObjective(spec)
  const tokens = readTokens(batch, objective)
  const klLogprobs =
    tokens.refLogprobs === null ? undefined : { old: tokens.oldLogprobs, ref: tokens.refLogprobs }
  const rows = assignAdvantages({ ...batch, completions: tokens, klLogprobs }, objective)
  const critic = usesCritic(objective)
    ? criticAdvantages(rows, tokens, { values: tokens.values!, klLogprobs }, objective)
    : null
  const advantages = critic === null ? rows : { ...rows, tokenAdvantages: critic.advantages }
  const weights = weighTokens(rows.keptRows, advantages, tokens, objective, dtype)
  const draw = {
    seed: requireInteger(batch.seed ?? 0, 'policyLoss.seed', 0),
    step: requireInteger(batch.step ?? 0, 'policyLoss.step', 0),
  }
  const result = weights === null ? null : runKernel(kernel, tokens, weights, objective, dtype, draw)

  const inForm = (gradients: FloatArray | null | undefined): FormOf<B> => {
    const flat = scatter(gradients, weights, tokens.offsets, dtype)
    return (batch.offsets === undefined ? divide(flat, tokens.offsets) : flat) as FormOf<B>
  }
  const emptyClass = rows.emptyClass ?? (weights === null ? 'no-completion' : null)
  const loss = result?.loss ?? 0
  const known = { reference: tokens.refLogprobs !== null, entropy: tokens.entropies !== null }
  return {
    loss,
    tokenGradients: inForm(result?.dLogprobs),
    ...(tokens.entropies === null ? {} : { entropyGradients: inForm(result?.dEntropies) }),
    emptyClass,
    metrics: {
      ...rows.metrics,
      ...critic?.metrics,
      ...(result === null ? {} : { ...lossMetrics(result.stats, known), ...result.metrics }),
      loss,
      empty_class: emptyClass === null ? 0 : 1,
    },
  }
}

/** The batch's token columns in flat form. */
interface FlatTokens {
  offsets: Int32Array
  mask: Float64Array | undefined
  logprobs: Float64Array
  oldLogprobs: Float64Array
  samplerLogprobs: Float64Array | null
  refLogprobs: Float64Array | null
  values: Float64Array | null
  entropies: Float64Array | null
}

/** Brings the token columns to flat form; refuses those that are missing or do not fit before anything is computed. */
function readTokens(batch: PolicyLossBatch, objective: ResolvedObjective): FlatTokens {
  if (batch.rewards === undefined) throw invalidArgument('rewards', 'a reward a row', undefined)
  if (objective.beta !== 0 && batch.refLogprobs === undefined) {
    throw invalidArgument('refLogprobs', 'reference log-probs, since beta is not 0', undefined)
  }
  if (objective.importanceCorrection !== 'none' && batch.samplerLogprobs === undefined) {
    throw invalidArgument('samplerLogprobs', "the sampler's log-probs, for importanceCorrection", undefined)
  }
  if (objective.entropyCoefficient !== 0 && batch.entropies === undefined) {
    throw invalidArgument('entropies', 'entropies, since entropyCoefficient is not 0', undefined)
  }
  if (usesCritic(objective) && batch.values === undefined) {
    throw invalidArgument(
      'values',
      "a critic's value for every token, of which 'ppo' makes advantages",
      undefined,
    )
  }
  const offsets = offsetsOf(batch.logprobs, batch.offsets)
  requireRows({ offsets }, batch.rewards.length)
  const read = (column: TokenColumn | FlagColumn | undefined, where: string) =>
    column === undefined ? null : flatten(column, offsets, where)
  const mask = read(batch.mask, 'mask')
  const logprobs = flatten(batch.logprobs, offsets, 'logprobs')
  return {
    offsets,
    mask: mask === null ? undefined : requireFlags(mask, 'mask'),
    logprobs,
    oldLogprobs: read(batch.oldLogprobs, 'oldLogprobs') ?? logprobs,
    samplerLogprobs: read(batch.samplerLogprobs, 'samplerLogprobs'),
    refLogprobs: read(batch.refLogprobs, 'refLogprobs'),
    values: read(batch.values, 'values'),
    entropies: read(batch.entropies, 'entropies'),
  }
}

function runKernel<D extends TokenDtype>(
  kernel: PolicyLossKernel,
  tokens: FlatTokens,
  weights: TokenWeights<ArrayOf<D>>,
  objective: ResolvedObjective,
  dtype: D,
  draw: Draw,
): PolicyLossResult<ArrayOf<D>> & { metrics: Record<string, number> } {
  // Dropped rows and masked tokens never reach the op: what stands there, NaN included, cannot matter.
  const gather = (
    where: 'logprobs' | 'oldLogprobs' | 'samplerLogprobs' | 'refLogprobs' | 'entropies',
  ): ArrayOf<D> | null => {
    const values = tokens[where]
    if (values === null) return null
    const gathered = floats(dtype, weights.norm.length)
    forEachActive(weights, tokens.offsets, (source, target) => {
      const value = values[source]!
      if (!Number.isFinite(value)) throw nonFinite(where, tokens.offsets, source, value)
      gathered[target] = value
    })
    return gathered
  }
  const oldLogprobs = gather('oldLogprobs')!
  const adjusted = adjustsWeights(objective)
    ? adjustWeights(weights, objective, { old: oldLogprobs, sampler: gather('samplerLogprobs') }, draw)
    : null
  const result = kernel.policyLoss<ArrayOf<D>>(
    {
      logprobs: gather('logprobs')!,
      oldLogprobs,
      refLogprobs: gather('refLogprobs'),
      entropies: gather('entropies'),
      advantages: adjusted?.advantages ?? weights.advantages,
      norm: weights.norm,
      oldKlMask: adjusted?.oldKlMask ?? null,
      offsets: weights.offsets,
    },
    lossParams(objective),
  )
  return { ...result, metrics: adjusted?.metrics ?? {} }
}

/** Gradients of the kept rows' tokens laid back over the whole batch, 0 elsewhere. */
function scatter(
  gradients: FloatArray | null | undefined,
  weights: TokenWeights<FloatArray> | null,
  offsets: Int32Array,
  dtype: TokenDtype,
): FloatArray {
  const flat: FloatArray = floats(dtype, offsets.at(-1)!)
  if (gradients && weights !== null) {
    forEachActive(weights, offsets, (source, target) => {
      flat[source] = gradients[target]!
    })
  }
  return flat
}

function floats<D extends TokenDtype>(dtype: D, length: number): ArrayOf<D> {
  return (dtype === 'f32' ? new Float32Array(length) : new Float64Array(length)) as ArrayOf<D>
}

/** Visits the active tokens of the kept rows with their index in the whole batch and in the op's arrays. */
function forEachActive(
  weights: TokenWeights<FloatArray>,
  offsets: Int32Array,
  visit: (source: number, target: number) => void,
): void {
  for (let i = 0; i < weights.rows.length; i++) {
    const shift = offsets[weights.rows[i]!]! - weights.offsets[i]!
    for (let t = weights.offsets[i]!; t < weights.offsets[i + 1]!; t++) {
      if (weights.norm[t] !== 0) visit(t + shift, t)
    }
  }
}

function nonFinite(column: string, offsets: Int32Array, token: number, value: number): CoppiceError {
  let row = 0
  while (offsets[row + 1]! <= token) row++
  return new CoppiceError('NON_FINITE', 'a value that is not finite at an active token', {
    where: `${column}, row ${row}, token ${token - offsets[row]!}`,
    received: describeValue(value),
  })
}
