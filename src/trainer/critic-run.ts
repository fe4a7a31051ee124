import { join } from 'node:path'
import type { Critic } from '../critic.ts'
import { invalidArgument } from '../errors.ts'
import type { ResolvedOf } from '../objective-options.ts'
import {
  type CriticAdvantages,
  criticAdvantages,
  takeTokens,
  usesCritic,
} from '../objectives/critic-advantages.ts'
import type { TokenWeights } from '../objectives/token-weights.ts'
import type { RowAdvantages } from '../objectives.ts'
import type { PlanRow, Policy, UpdateStats, ValuesOptions, ValueTargets } from '../policy.ts'
import type { RolloutColumns } from '../rollouts.ts'
import type { ResolvedSettings } from './train-options.ts'

/** What the critic makes of a step's rollouts before anything is learnt from them. */
export interface CriticEstimates extends CriticAdvantages {
  /** One entry a completion token. */
  values: Float32Array
}

/** A run's critic, whichever model bears its head: `separate` is null where that is the policy itself. */
export interface CriticRun {
  objective: ResolvedOf<'ppo'>
  separate: Critic | null
  source: Pick<Critic | Policy, 'values'>
}

/** The critic that the run's objective asks for, or null; INVALID_ARGUMENT where it is missing, of no use or of another shape. */
export function criticOf(
  { policy, critic }: { policy: Policy; critic?: Critic | undefined },
  { objective }: Pick<ResolvedSettings, 'objective'>,
): CriticRun | null {
  if (!usesCritic(objective) || objective.valueModel === 'shared') {
    if (critic !== undefined) {
      throw invalidArgument('critic', "none, but for objective 'ppo' with valueModel 'separate'", 'a critic')
    }
    if (!usesCritic(objective)) return null
    if (!policy.hasValueHead) {
      throw invalidArgument('policy', "one with a value head, since valueModel is 'shared'", 'one without')
    }
    return { objective, separate: null, source: policy }
  }
  if (critic === undefined) {
    throw invalidArgument('critic', "a critic, since objective 'ppo' has valueModel 'separate'", undefined)
  }
  const [own, other] = [policy.config, critic.config]
  if (own.vocabSize > other.vocabSize || own.maxPositions > other.maxPositions) {
    throw invalidArgument(
      'critic',
      `one of at least the policy's ${own.vocabSize} tokens and ${own.maxPositions} positions`,
      `${other.vocabSize} and ${other.maxPositions}`,
    )
  }
  return { objective, separate: critic, source: critic }
}

/** Values, advantages and returns of a step's rollouts. */
export async function estimate(
  { objective, source }: CriticRun,
  columns: RolloutColumns,
  rows: RowAdvantages,
  options: ValuesOptions,
): Promise<CriticEstimates> {
  const values = await source.values(columns, options)
  const { completionMask, completionTokens, logprobs, refLogprobs } = columns
  const first = completionTokens.offsets[0]!
  const offsets = completionTokens.offsets.map((offset) => offset - first)
  const mask = completionMask.values.subarray(completionMask.offsets[0])
  const klLogprobs =
    objective.klIn === 'reward'
      ? {
          old: logprobs.values.subarray(logprobs.offsets[0]),
          ref: refLogprobs!.values.subarray(refLogprobs!.offsets[0]),
        }
      : undefined
  return { values, ...criticAdvantages(rows, { offsets, mask }, { values, klLogprobs }, objective) }
}

/** What the value head learns from in an optimiser batch. */
export function targetsOf(
  { valueClip, valueCoefficient }: ResolvedOf<'ppo'>,
  { values, returns }: CriticEstimates,
  weights: TokenWeights<Float32Array>,
  { offsets }: RolloutColumns['completionTokens'],
): ValueTargets {
  const take = (column: ArrayLike<number>) =>
    takeTokens(weights, column, offsets, new Float32Array(weights.norm.length))
  return {
    returns: take(returns),
    oldValues: take(values),
    clip: valueClip,
    coefficient: valueCoefficient ?? 1,
  }
}

/** Values, advantages and returns of a token, in every form that is alive at a time. */
const BYTES_PER_COMPLETION_TOKEN = 64

/** What a step's estimates take on the side of JavaScript, at full length of every completion. */
export function valuesRow({
  promptsPerStep,
  numGenerations,
  maxCompletionLength,
}: ResolvedSettings): PlanRow {
  const tokens = promptsPerStep * numGenerations * maxCompletionLength
  return { what: 'values and returns', bytes: tokens * BYTES_PER_COMPLETION_TOKEN }
}

/** Where a separate critic lies in a checkpoint. */
export function criticFolder(checkpoint: string): string {
  return join(checkpoint, 'critic')
}

/** Means over a step's updates; of a critic of its own also what its optimiser did. */
export function valueMetrics(
  updates: readonly UpdateStats[],
  separate: { learningRate: number } | null,
): Record<string, number> {
  if (updates.length === 0) return {}
  const sum = (pick: (stats: UpdateStats) => number) =>
    updates.reduce((total, stats) => total + pick(stats), 0)
  return {
    value_loss: sum((stats) => stats.valueLoss) / updates.length,
    value_clip_ratio:
      sum((stats) => stats.valueClipped) /
      Math.max(
        1,
        sum((stats) => stats.valueTokens),
      ),
    ...(separate && {
      'critic/grad_norm': sum((stats) => stats.gradNorm) / updates.length,
      'critic/learning_rate': separate.learningRate,
    }),
  }
}
