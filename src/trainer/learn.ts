import type { CriticUpdate } from '../critic.ts'
import { adjustsWeights, adjustWeights, type RecordedLogprobs } from '../objectives/adjusted-weights.ts'
import { weighTokens } from '../objectives/token-weights.ts'
import type { RowAdvantages } from '../objectives.ts'
import type { MicroBatchOptions, OptimizerOptions, Policy, PreparedUpdate, UpdateStats } from '../policy.ts'
import { lossMetrics, lossParams } from '../policy-loss.ts'
import { type ListView, type RolloutColumns, takeLists, takeTokenRows } from '../rollouts.ts'
import { type CriticEstimates, type CriticRun, targetsOf, valueMetrics } from './critic-run.ts'
import type { ResolvedSettings } from './train-options.ts'

export interface LearnInput {
  policy: Policy
  /** The step's rollouts; with `refLogprobs` where the objective has a KL term. */
  columns: RolloutColumns
  advantages: RowAdvantages
  /** Of an objective with a critic, what that made of the rollouts. */
  critic: (CriticRun & { estimates: CriticEstimates; learnsAlone: boolean }) | null
  settings: ResolvedSettings
  learningRate: number
  microBatches: MicroBatchOptions
  /** Called after each of `updates` optimiser steps. */
  onUpdate: (done: number, updates: number, stats: UpdateStats) => void
  /** The same of the steps of a critic of its own, which come first. */
  onCriticUpdate?: (done: number, updates: number, stats: UpdateStats) => void
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
  const { policy, columns, settings, critic } = input
  const { objective } = settings
  const miniBatches = cutRows(input.advantages.keptRows, settings.miniBatchRows)
  const total = miniBatches.length * settings.numIterations
  const common = {
    lossParams: lossParams(objective),
    optimizer: optimizerOptions(settings, input.learningRate),
    ...input.microBatches,
  }
  const { completionMask, refLogprobs } = columns
  const completions = { offsets: completionMask.offsets, mask: completionMask.values }
  const firstStep = policy.policyStep
  const adjustments: Record<string, number>[] = []
  /** The mini-batches that were handed over. */
  let taken: { update: number; rows: Int32Array }[] = []

  const weigh = (update: number) => {
    const rows = miniBatches[update % miniBatches.length]!
    const weights = weighTokens(rows, input.advantages, completions, objective, 'f32')
    if (weights !== null) taken.push({ update, rows: weights.rows })
    return weights
  }

  function* criticUpdates(): Generator<CriticUpdate, void, void> {
    for (let update = 0; update < total; update++) {
      const weights = weigh(update)
      if (weights === null) continue
      yield {
        rows: takeTokenRows(columns, weights.rows),
        norm: weights.norm,
        value: targetsOf(critic!.objective, critic!.estimates, weights, columns.completionTokens),
        optimizer: optimizerOptions(settings, critic!.objective.criticLearningRate!),
        ...input.microBatches,
      }
    }
  }

  function* updates(): Generator<PreparedUpdate, void, void> {
    for (let update = 0; update < total; update++) {
      const weights = weigh(update)
      if (weights === null) continue
      const adjusted = adjustsWeights(objective)
        ? adjustWeights(weights, objective, recordedLogprobs(columns, weights.rows), {
            seed: settings.seed,
            step: firstStep + taken.length - 1,
          })
        : null
      if (adjusted !== null) adjustments.push(adjusted.metrics)
      yield {
        ...{ rows: takeTokenRows(columns, weights.rows), norm: weights.norm, ...common },
        advantages: adjusted?.advantages ?? weights.advantages,
        ...(adjusted?.oldKlMask && { oldKlMask: adjusted.oldKlMask }),
        ...(critic?.separate === null && {
          value: targetsOf(critic.objective, critic.estimates, weights, columns.completionTokens),
        }),
        ...(objective.beta !== 0 && { refLogprobs: contiguous(takeLists(refLogprobs!, weights.rows)) }),
      }
    }
  }

  const run = async (steps: AsyncIterable<UpdateStats>, onUpdate: LearnInput['onUpdate']) => {
    const done: UpdateStats[] = []
    taken = []
    try {
      for await (const stats of steps) {
        const { update } = taken[done.length]!
        done.push(stats)
        onUpdate(update + 1, total, stats)
      }
    } catch (cause) {
      const refused = taken[done.length]
      if ((cause as { code?: unknown }).code !== 'NON_FINITE' || refused === undefined) throw cause
      throw new RefusedUpdate(refused.rows, cause as Error)
    }
    return done
  }

  // The critic first: no advantage of this step depends on what it learns now.
  const ofCritic =
    critic?.separate == null
      ? []
      : await run(critic.separate.applyUpdates(criticUpdates()), input.onCriticUpdate ?? (() => {}))
  const done = critic?.learnsAlone === true ? [] : await run(policy.applyUpdates(updates()), input.onUpdate)
  const learningRate = critic?.objective.criticLearningRate
  const valueMeans =
    critic === null
      ? {}
      : valueMetrics(
          critic.separate === null ? done : ofCritic,
          learningRate == null ? null : { learningRate },
        )
  return { ...updateMetrics(done, objective.beta !== 0), ...valueMeans, ...meansOf(adjustments) }
}

/** An optimiser step that was refused because of numbers that are not finite. */
export class RefusedUpdate extends Error {
  /** Of the step's rollouts. */
  readonly rows: Int32Array
  override readonly cause: Error

  constructor(rows: Int32Array, cause: Error) {
    super(cause.message)
    this.rows = rows
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
function recordedLogprobs({ logprobs, samplerLogprobs }: RolloutColumns, rows: Int32Array): RecordedLogprobs {
  return {
    old: contiguous(takeLists(logprobs, rows)),
    sampler: samplerLogprobs === undefined ? null : contiguous(takeLists(samplerLogprobs, rows)),
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

/** The values of lists that may be views of longer ones. */
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
