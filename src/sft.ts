import { refuseUnknownKeys, requireInteger, requireNumber } from './options.ts'
import {
  DEFAULT_TOKEN_BUDGET,
  type MicroBatchOptions,
  type OptimizerOptions,
  type PlanRow,
  type Policy,
} from './policy.ts'
import type { TokenColumns } from './rollouts.ts'
import type { SupervisedBatches } from './sft/supervised-batches.ts'
import { checkLearningRate, type LearningRateSchedule, learningRateAt } from './trainer/learning-rate.ts'
import { openRun } from './trainer/open-run.ts'
import { microBatchesOf, reserveMemory } from './trainer/reserve-memory.ts'
import type { RunFolder } from './trainer/run-folder.ts'
import { environmentOf, type RunRecord, snakeCaseKeys } from './trainer/run-record.ts'
import { PhaseClock } from './trainer/step-metrics.ts'

export type { SupervisedBatches, SupervisedRow } from './sft/supervised-batches.ts'
export { demonstrationBatches, readSupervisedRows, shuffledBatches } from './sft/supervised-batches.ts'

export interface SftOptions extends Partial<Omit<OptimizerOptions, 'learningRate'>>, MicroBatchOptions {
  policy: Policy
  /** Where the batches come from: `shuffledBatches`, `demonstrationBatches` or one's own. */
  batches: SupervisedBatches
  steps: number
  /** Peak learning rate. Default 1e-3. */
  learningRate?: number
  /** Default `constant`. */
  learningRateSchedule?: LearningRateSchedule
  /** Steps until the peak is reached. Default 0. */
  warmupSteps?: number
  /** The run's folder. Default: nothing is written. */
  out?: string
  /** Goes on from the newest checkpoint in `out`, if there is one. Default false: `out` must hold no run. */
  resume?: boolean
  /** A checkpoint after every so many steps. Default 0: only one at the end. */
  saveEvery?: number
  /** How many of the newest checkpoints stay. Default 1. */
  keepCheckpoints?: number
  /** Told before the first step what memory the run takes, by class; it is all taken then. */
  onPlan?: (rows: readonly PlanRow[]) => void
  /** Ends the run after the current step, a checkpoint saved; the generator rejects with the signal's reason. */
  signal?: AbortSignal
}

export interface SftStep {
  step: number
  steps: number
  /** The line of metrics.jsonl: loss, grad_norm, entropy, learning_rate, num_tokens ... */
  metrics: Readonly<Record<string, number>>
  /** The checkpoint that was saved after this step, if one was. */
  checkpoint: string | undefined
}

const DEFAULTS = {
  learningRate: 1e-3,
  learningRateSchedule: 'constant',
  warmupSteps: 0,
  weightDecay: 0.01,
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  maxGradNorm: 1,
} as const satisfies Partial<SftOptions>

const SETTING_NAMES = Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]
const OTHER_NAMES = [
  ...['policy', 'batches', 'steps', 'out', 'resume', 'saveEvery', 'keepCheckpoints', 'signal'],
  ...['tokenBudget', 'activationCheckpointing', 'onPlan'],
]

/**
 * Maximum likelihood of the batches' completions, a batch an optimiser step: the same path through the engine as
 * reinforcement learning, at advantage 1 and without a ratio. Changes the policy in place and yields every step; writes,
 * is stopped and is resumed as `train` is.
 */
export async function* sft(options: SftOptions): AsyncGenerator<SftStep, void, void> {
  const settings = resolveSettings(options)
  const { policy, batches, signal } = options
  const { run, state } = await openFolder(options, settings)
  const microBatches = microBatchesOf(options)
  if (state.step < settings.steps) {
    const { maxPositions } = policy.config
    const longestRow = Math.min(
      maxPositions,
      batches.longestRow ?? options.tokenBudget ?? DEFAULT_TOKEN_BUDGET,
    )
    const work = { generation: false, longestPrompt: 1, longestRow, ...microBatches }
    await reserveMemory([{ policy, work: [work] }], options.onPlan)
  }
  let { numTokens } = state
  for (let step = state.step + 1; step <= settings.steps; step++) {
    const clock = new PhaseClock()
    const learningRate = learningRateAt(step, settings)
    const columns = batches.batchOf(step)
    const { weightDecay, adamBeta1, adamBeta2, adamEpsilon, maxGradNorm } = settings
    const { metrics: learned } = await clock.time('update', () =>
      policy.supervisedStep(columns, {
        ...{ learningRate, weightDecay, adamBeta1, adamBeta2, adamEpsilon, maxGradNorm },
        ...microBatches,
      }),
    )
    numTokens += tokensIn(columns)
    const metrics = {
      step,
      ...learned,
      learning_rate: learningRate,
      num_tokens: numTokens,
      ...clock.metrics(),
    }
    run?.appendMetrics(metrics)
    const stopped = signal?.aborted === true
    const last = step === settings.steps
    const due = last || stopped || ((options.saveEvery ?? 0) > 0 && step % options.saveEvery! === 0)
    if (run !== undefined && due) {
      await run.saveCheckpoint({ step, numTokens }, options.keepCheckpoints ?? 1, (directory) =>
        policy.saveTrainingState(directory),
      )
    }
    const checkpoint = due ? run?.checkpointPath(step) : undefined
    yield { step, steps: settings.steps, metrics, checkpoint }
    if (stopped && !last) throw signal.reason
  }
}

type Settings = ReturnType<typeof resolveSettings>

function resolveSettings(options: SftOptions) {
  refuseUnknownKeys(options, [...SETTING_NAMES, ...OTHER_NAMES], 'sft')
  const given = Object.fromEntries(
    SETTING_NAMES.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  )
  const settings = { ...DEFAULTS, ...given, steps: options.steps } as Required<
    Pick<SftOptions, keyof typeof DEFAULTS>
  > & {
    steps: number
  }
  requireInteger(settings.steps, 'steps', 1)
  checkLearningRate(settings)
  for (const name of ['weightDecay', 'adamEpsilon', 'maxGradNorm'] as const)
    requireNumber(settings[name], name, 0)
  for (const name of ['adamBeta1', 'adamBeta2'] as const) requireNumber(settings[name], name, 0, 1)
  if (options.saveEvery !== undefined) requireInteger(options.saveEvery, 'saveEvery', 0)
  return settings
}

async function openFolder(
  options: SftOptions,
  settings: Settings,
): Promise<{ run: RunFolder | undefined; state: { step: number; numTokens: number } }> {
  if (options.out === undefined) return { run: undefined, state: { step: 0, numTokens: 0 } }
  const { policy, batches } = options
  const record: RunRecord = {
    format: 1,
    settings: { ...snakeCaseKeys(settings), batches: batches.record, model: snakeCaseKeys(policy.config) },
    environment: environmentOf(policy),
  }
  return openRun(options.out, record, policy, options.resume ?? false)
}

function tokensIn({ promptTokens, completionTokens }: TokenColumns): number {
  return [promptTokens, completionTokens].reduce((sum, { offsets }) => sum + offsets.at(-1)! - offsets[0]!, 0)
}
