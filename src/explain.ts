import { explainedRows, type WholeBatch } from './explain/explained-rows.ts'
import type { Explanation } from './explain/explanation.ts'
import { makeStep, requireStep, type StepOptions } from './explain/optimizer-step.ts'
import { requireExplicable } from './explain/require-explicable.ts'
import { distributionsAfter, distributionsBefore, shownTokens } from './explain/shown-tokens.ts'
import { tokenGradients } from './explain/token-gradients.ts'
import type { ObjectiveSpec } from './objective-options.ts'
import { resolveObjective } from './objectives.ts'
import { refuseUnknownKeys, requireInteger } from './options.ts'
import { perToken } from './policy/native-rows.ts'
import { objectiveUpdate } from './policy/objective-update.ts'
import type { MicroBatchOptions, Policy, Scores } from './policy.ts'
import { columnsOf, type RolloutBatch } from './rollouts.ts'

export type { Alternative, ExplainedRow, ExplainedToken, Explanation } from './explain/explanation.ts'
export { explanationRecord } from './explain/explanation-record.ts'
export type { SgdOptions, StepOptions } from './explain/optimizer-step.ts'

export interface ExplainOptions extends MicroBatchOptions {
  objective: ObjectiveSpec
  /** The step, which is made on a copy of the policy. */
  optimizer: StepOptions
  /** Rows to show, by their index in the batch. Default: the first that the objective keeps. */
  rows?: readonly number[]
  /** Likeliest tokens shown at each token. Default 5, or the whole of a smaller vocabulary. */
  top?: number
  /** Tokens shown of each completion, from its first on. Default: all. */
  maxTokens?: number
  /** Overrides the column `temperature`. */
  temperature?: number
  signal?: AbortSignal
  /** How errors call the batch, such as the name of its file. Default `explain`. */
  source?: string
}

const KEYS = [
  ...['objective', 'optimizer', 'rows', 'top', 'maxTokens', 'temperature', 'signal', 'source'],
  ...['tokenBudget', 'activationCheckpointing'],
] as const satisfies readonly (keyof ExplainOptions)[]

const DEFAULT_TOP = 5

/**
 * What one optimiser step on a batch of rollouts with verdicts does to the tokens of some of its rows: the weight that the
 * objective gives each, by the code that training runs, and how the distribution at each moves, measured on a copy of the policy
 * that makes the step. The policy itself stays as it is. All rows of the batch are one optimiser batch. Takes as much memory
 * again as the policy, and what an update takes. INVALID_ARGUMENT for options and columns that are missing; the rest as
 * `Policy.update`.
 */
export async function explain(
  policy: Policy,
  batch: RolloutBatch,
  options: ExplainOptions,
): Promise<Explanation> {
  refuseUnknownKeys(options, KEYS, 'explain')
  const { objective: spec, optimizer, rows, top: most, maxTokens, source = 'explain', ...work } = options
  const { activationCheckpointing: _, ...scoring } = work
  const objective = resolveObjective(spec)
  const { vocabSize } = policy.config
  requireStep(optimizer)
  requireExplicable(batch, vocabSize, source)
  const top = requireInteger(most ?? Math.min(DEFAULT_TOP, vocabSize), 'explain.top', 0, vocabSize)
  const tokens = requireInteger(maxTokens ?? Number.MAX_SAFE_INTEGER, 'explain.maxTokens', 1)
  const update = objectiveUpdate(batch, objective, source, { seed: 0, step: policy.policyStep })
  const shown = shownTokens(batch, requireRows(rows ?? [update.rows.keptRows[0] ?? 0], batch.numRows), tokens)
  const scores = await policy.score(batch, scoring)
  const whole = wholeBatch(batch, scores, update)
  const before = await distributionsBefore(policy, shown, top, scoring)
  await using copy = await policy.clone()
  const momentSteps = copy.policyStep
  const { skipped, metrics } = await makeStep(copy, batch, optimizer, { objective, ...work })
  const after = skipped === undefined ? await distributionsAfter(copy, shown, before.ids, scoring) : null
  return {
    ...{ objective, optimizer, momentSteps, batchRows: batch.numRows, skipped, metrics },
    maxRecordedGap: largestGap(batch, scores.logprobs),
    rows: explainedRows({
      shown,
      top,
      before,
      after,
      whole,
      tokenizer: policy.tokenizer,
      temperature: options.temperature,
    }),
  }
}

/** What the loss makes of the batch, and where each row's tokens stand in that. */
function wholeBatch(
  batch: RolloutBatch,
  scores: Scores,
  { rows, step }: ReturnType<typeof objectiveUpdate>,
): WholeBatch {
  if (step === null) return { rowAdvantages: rows.rowAdvantages, step: null }
  const { offsets } = columnsOf(batch).completionTokens
  const kept = (values: Float32Array) => {
    const gathered = new Float32Array(step.weights.norm.length)
    step.weights.rows.forEach((row, i) => {
      const [begin, end] = [offsets[row]! - offsets[0]!, offsets[row + 1]! - offsets[0]!]
      gathered.set(values.subarray(begin, end), step.weights.offsets[i])
    })
    return gathered
  }
  const gradients = tokenGradients(step, kept(scores.logprobs), kept(scores.entropies))
  return { rowAdvantages: rows.rowAdvantages, step: { weights: step.weights, gradients } }
}

function requireRows(rows: readonly number[], count: number): readonly number[] {
  return rows.map((row, i) => requireInteger(row, `explain.rows[${i}]`, 0, count - 1))
}

function largestGap(batch: RolloutBatch, logprobs: Float32Array): number {
  const recorded = perToken(columnsOf(batch).logprobs, 'logprobs')
  return logprobs.reduce((most, logprob, t) => Math.max(most, Math.abs(logprob - recorded[t]!)), 0)
}
