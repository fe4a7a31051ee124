import { CoppiceError } from '../errors.ts'
import type { ResolvedObjective } from '../objective-options.ts'
import {
  adjustsWeights,
  adjustWeights,
  type Draw,
  type RecordedLogprobs,
} from '../objectives/adjusted-weights.ts'
import { criticAdvantages, usesCritic } from '../objectives/critic-advantages.ts'
import { type TokenWeights, weighTokens } from '../objectives/token-weights.ts'
import { assignAdvantages, hasGreedyBaseline, type RowAdvantages } from '../objectives.ts'
import { lossParams } from '../policy-loss.ts'
import { columnsOf, type RolloutBatch, type RolloutColumns, takeRows } from '../rollouts.ts'
import { perToken } from './native-rows.ts'
import type { ApplyUpdateOptions } from './options.ts'

/** What an objective makes of a batch that is one optimiser batch. */
export interface ObjectiveUpdate {
  rows: RowAdvantages
  /** The optimiser step that teaches it; null where there is nothing to learn from. */
  step: ObjectiveStep | null
}

export interface ObjectiveStep {
  /** Of the rows that are kept, alone. */
  columns: RolloutColumns
  /** The rows kept, their advantages and norms, one entry a token of theirs. */
  weights: TokenWeights<Float32Array>
  /** What `applyUpdate` takes of it. */
  input: Pick<ApplyUpdateOptions, 'advantages' | 'norm' | 'oldKlMask' | 'refLogprobs' | 'lossParams'>
  /** Of what the objective asks of single tokens. */
  metrics: Record<string, number>
}

/** Everything of an update that comes before the first forward pass. `where` names the caller in errors, `draw` what chance depends on. */
export function objectiveUpdate(
  batch: RolloutBatch,
  objective: ResolvedObjective,
  where: string,
  draw: Draw,
): ObjectiveUpdate {
  const columns = columnsOf(batch)
  if (columns.rewards === undefined) {
    throw new CoppiceError('INVALID_ARGUMENT', 'a column is missing', {
      where: `${where}, column 'reward'`,
      expected: 'rollouts with verdicts',
    })
  }
  const { rewards, verdicts, groupIds, finishReasons, baselineRewards } = columns
  const completions = activeTokens(columns)
  if (hasGreedyBaseline(objective) && baselineRewards === undefined) {
    throw new CoppiceError('INVALID_ARGUMENT', 'a column is missing', {
      where: `${where}, column 'baseline_reward'`,
      expected: "the reward of a greedy completion of each row's prompt, the objective's baseline",
    })
  }
  if (objective.beta !== 0 && columns.refLogprobs === undefined) {
    throw new CoppiceError('INVALID_ARGUMENT', 'a column is missing', {
      where: `${where}, column 'ref_logprobs'`,
      expected: 'log-probs of the reference policy, since beta is not 0',
    })
  }
  const klLogprobs =
    objective.klIn === 'reward' && objective.beta !== 0
      ? {
          old: perToken(columns.logprobs, 'logprobs'),
          ref: perToken(columns.refLogprobs!, 'ref_logprobs'),
        }
      : undefined
  const judged = { rewards, verdicts, groupIds, finishReasons, baselineRewards, completions, klLogprobs }
  const given = assignAdvantages(judged, objective)
  const critic = usesCritic(objective)
    ? criticAdvantages(given, completions, { values: valuesOf(columns, where), klLogprobs }, objective)
    : null
  const rows = critic === null ? given : { ...given, tokenAdvantages: critic.advantages }
  const weights = weighTokens(rows.keptRows, rows, completions, objective, 'f32')
  if (weights === null) return { rows, step: null }
  const kept = weights.rows.length === columns.rows ? columns : columnsOf(takeRows(batch, weights.rows))
  const refLogprobs = kept.refLogprobs && perToken(kept.refLogprobs, 'ref_logprobs')
  const adjusted = adjustsWeights(objective)
    ? adjustWeights(weights, objective, recordedLogprobs(kept, objective, where), draw)
    : null
  const input = {
    advantages: adjusted?.advantages ?? weights.advantages,
    norm: weights.norm,
    ...(adjusted?.oldKlMask && { oldKlMask: adjusted.oldKlMask }),
    ...(refLogprobs && { refLogprobs }),
    lossParams: lossParams(objective),
  }
  return {
    rows,
    step: { columns: kept, weights, input, metrics: { ...critic?.metrics, ...adjusted?.metrics } },
  }
}

/** The log-probs that were recorded when the rows were sampled. */
function recordedLogprobs(
  columns: RolloutColumns,
  objective: ResolvedObjective,
  where: string,
): RecordedLogprobs {
  const old = perToken(columns.logprobs, 'logprobs')
  if (objective.importanceCorrection === 'none') return { old, sampler: null }
  if (columns.samplerLogprobs === undefined) {
    throw new CoppiceError('INVALID_ARGUMENT', 'a column is missing', {
      where: `${where}, column 'sampler_logprobs'`,
      expected: "the sampler's log-probs, for importanceCorrection",
    })
  }
  return { old, sampler: perToken(columns.samplerLogprobs, 'sampler_logprobs') }
}

function valuesOf({ values }: RolloutColumns, where: string): Float32Array {
  if (values !== undefined) return perToken(values, 'values')
  throw new CoppiceError('INVALID_ARGUMENT', 'a column is missing', {
    where: `${where}, column 'values'`,
    expected: "a critic's value for every token, of which 'ppo' makes advantages",
  })
}

/** Masks counted by the offsets of the completions, wherever the two columns begin in their memory. */
function activeTokens(columns: RolloutColumns): { offsets: Int32Array; mask: Uint8Array } {
  const { offsets } = columns.completionTokens
  const first = offsets[0]!
  return {
    offsets: first === 0 ? offsets : offsets.map((offset) => offset - first),
    mask: perToken(columns.completionMask, 'completion_mask'),
  }
}
