import { adjustsWeights, adjustWeights, type RecordedLogprobs } from '../objectives/adjusted-weights.ts'
import { weighTokens } from '../objectives/token-weights.ts'
import type { RowAdvantages } from '../objectives.ts'
import type { MicroBatchOptions, OptimizerOptions, Policy, PreparedUpdate, UpdateStats } from '../policy.ts'
import { lossMetrics, lossParams } from '../policy-loss.ts'
import {
  dropColumns,
  float32List,
  type ListView,
  type RolloutBatch,
  takeRows,
  tokenColumnsOf,
} from '../rollouts.ts'
import type { ResolvedSettings } from './train-options.ts'

export interface LearnInput {
  policy: Policy
  /** The step's rollouts with verdicts; with `ref_logprobs` where the objective has a KL term. */
  rollouts: RolloutBatch
  advantages: RowAdvantages
  settings: ResolvedSettings
  learningRate: number
  microBatches: MicroBatchOptions
  /** Called after each of `updates` optimiser steps. */
  onUpdate: (done: number, updates: number, stats: UpdateStats) => void
}

/**
 * Takes the optimiser steps of one rollout batch: the kept rows, in order, in mini-batches of `miniBatchRows`, gone
 * through `numIterations` times. A mini-batch's denominators are its own; the ratio's old log-probs stay those that were
 * recorded. Returns metrics of the updates, empty but for `updates` when there is nothing to learn from.
 *
 * @throws RefusedUpdate when a step was refused for numbers that are not finite; the parameters are then those after
 *   the mini-batches before
 */
export async function learn(input: LearnInput): Promise<Record<string, number>> {
  const { policy, rollouts, settings } = input
  const { objective } = settings
  const miniBatches = cutRows(input.advantages.keptRows, settings.miniBatchRows)
  const total = miniBatches.length * settings.numIterations
  const common = {
    lossParams: lossParams(objective),
    optimizer: optimizerOptions(settings, input.learningRate),
    ...input.microBatches,
  }
  const corrects = objective.importanceCorrection !== 'none'
  const tokens = columnsToLearnFrom(rollouts, corrects ? ['sampler_logprobs'] : [])
  const completionMask = tokenColumnsOf(tokens).completionMask!
  const completions = { offsets: completionMask.offsets, mask: completionMask.values }
  /** The mini-batches that were handed over. */
  const firstStep = policy.policyStep
  const adjustments: Record<string, number>[] = []
  const taken: { update: number; rows: Int32Array }[] = []

  function* updates(): Generator<PreparedUpdate, void, void> {
    for (let update = 0; update < total; update++) {
      const rows = miniBatches[update % miniBatches.length]!
      const weights = weighTokens(rows, input.advantages.rowAdvantages, completions, objective, 'f32')
      if (weights === null) continue
      taken.push({ update, rows: weights.rows })
      const miniBatch = takeRows(tokens, weights.rows)
      const adjusted = adjustsWeights(objective)
        ? adjustWeights(weights, objective, recordedLogprobs(miniBatch), {
            seed: settings.seed,
            step: firstStep + taken.length - 1,
          })
        : null
      if (adjusted !== null) adjustments.push(adjusted.metrics)
      const advantages = adjusted?.advantages ?? weights.advantages
      const { norm } = weights
      yield {
        ...{ rows: miniBatch, advantages, norm, ...common },
        ...(adjusted?.oldKlMask && { oldKlMask: adjusted.oldKlMask }),
        ...(objective.beta !== 0 && { refLogprobs: contiguous(float32List(miniBatch, 'ref_logprobs')) }),
      }
    }
  }

  const done: UpdateStats[] = []
  try {
    for await (const stats of policy.applyUpdates(updates())) {
      const { update } = taken[done.length]!
      done.push(stats)
      input.onUpdate(update + 1, total, stats)
    }
  } catch (cause) {
    const refused = taken[done.length]
    if ((cause as { code?: unknown }).code !== 'NON_FINITE' || refused === undefined) throw cause
    throw new RefusedUpdate(takeRows(rollouts, refused.rows), cause as Error)
  }
  return { ...updateMetrics(done, objective.beta !== 0), ...meansOf(adjustments) }
}

const LEARNT_COLUMNS = [
  'prompt_tokens',
  'completion_tokens',
  'completion_mask',
  'logprobs',
  'temperature',
  'ref_logprobs',
]

/** The rollouts without texts and all else that would be copied into mini-batches for nothing. */
function columnsToLearnFrom(rollouts: RolloutBatch, besides: readonly string[]): RolloutBatch {
  const names = rollouts.schema.fields.map(({ name }) => name)
  return dropColumns(
    rollouts,
    names.filter((name) => !LEARNT_COLUMNS.includes(name) && !besides.includes(name)),
  )
}

/** An optimiser step that was refused because of numbers that are not finite. */
export class RefusedUpdate extends Error {
  readonly rollouts: RolloutBatch
  override readonly cause: Error

  constructor(rollouts: RolloutBatch, cause: Error) {
    super(cause.message)
    this.rollouts = rollouts
    this.cause = cause
  }
}

/** The part of a run's settings that the optimiser wants, at a step's learning rate. */
export function optimizerOptions(
  settings: Required<Omit<OptimizerOptions, 'learningRate'>>,
  learningRate: number,
): Required<OptimizerOptions> {
  const { weightDecay, adamBeta1, adamBeta2, adamEpsilon, maxGradNorm } = settings
  return { learningRate, weightDecay, adamBeta1, adamBeta2, adamEpsilon, maxGradNorm }
}

function cutRows(rows: Int32Array, size: number | null): Int32Array[] {
  if (rows.length === 0) return []
  const step = size ?? rows.length
  return Array.from({ length: Math.ceil(rows.length / step) }, (_, i) =>
    rows.subarray(i * step, (i + 1) * step),
  )
}

/** Without a column of the sampler's the policy itself was the sampler. */
function recordedLogprobs(rows: RolloutBatch): RecordedLogprobs {
  const sampled = rows.schema.fields.some(({ name }) => name === 'sampler_logprobs')
  return {
    old: contiguous(float32List(rows, 'logprobs')),
    sampler: sampled ? contiguous(float32List(rows, 'sampler_logprobs')) : null,
  }
}

/** The mean of each figure over the updates. */
function meansOf(updates: readonly Record<string, number>[]): Record<string, number> {
  const names = Object.keys(updates[0] ?? {})
  return Object.fromEntries(
    names.map((name) => [
      name,
      updates.reduce((total, metrics) => total + metrics[name]!, 0) / updates.length,
    ]),
  )
}

/** The values of a list column that may be a slice of a longer one. */
function contiguous({ values, offsets }: ListView<Float32Array>): Float32Array {
  return values.subarray(offsets[0], offsets.at(-1))
}

/** Means over the step's updates, weighted by active tokens where a figure is one of tokens. */
function updateMetrics(updates: readonly UpdateStats[], reference: boolean): Record<string, number> {
  const first = updates[0]
  if (first === undefined) return { updates: 0 }
  const sum = (pick: (stats: UpdateStats) => number) =>
    updates.reduce((total, stats) => total + pick(stats), 0)
  const tokens = lossMetrics(
    {
      activeTokens: sum((stats) => stats.activeTokens),
      clippedLow: sum((stats) => stats.clippedLow),
      clippedHigh: sum((stats) => stats.clippedHigh),
      klSum: sum((stats) => stats.klSum),
      entropySum: sum((stats) => stats.entropySum),
      ratioSum: sum((stats) => stats.ratioSum),
      maxAbsLogRatio: Math.max(...updates.map((stats) => stats.maxAbsLogRatio)),
    },
    { reference, entropy: false },
  )
  const changed = sum((stats) => stats.changedElements)
  return {
    updates: updates.length,
    loss: sum((stats) => stats.loss) / updates.length,
    grad_norm: sum((stats) => stats.gradNorm) / updates.length,
    ...tokens,
    // Nothing has moved since the rollouts were sampled: exactly 0 where sampling and learning agree bit for bit.
    'sampling/sampling_logp_difference/max': first.maxAbsLogRatio,
    lost_in_bf16: changed === 0 ? 0 : sum((stats) => stats.lostInBf16) / changed,
  }
}
