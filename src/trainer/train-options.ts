import type { Critic } from '../critic.ts'
import { invalidArgument } from '../errors.ts'
import type { ObjectiveSpec, ResolvedObjective } from '../objective-options.ts'
import { resolveObjective } from '../objectives.ts'
import { refuseUnknownKeys, requireInteger, requireNumber } from '../options.ts'
import type { GenerateOptions, MicroBatchOptions, PlanRow, Policy } from '../policy.ts'
import type { PromptRow } from '../prompts.ts'
import type { RolloutBatch } from '../rollouts.ts'
import type { VerifierSource, VerifyOptions } from '../verify.ts'
import { checkLearningRate, type LearningRateSchedule } from './learning-rate.ts'

/** Settings of a run that decide what comes out of it, down to the last bit; they are written to run.json. */
export interface TrainSettings {
  /** Rollout batches to train on. Default 100. */
  steps?: number
  /** Prompts of a step, chosen by a shuffle of its own for every epoch. Default 32. */
  promptsPerStep?: number
  /** Completions of a prompt. Default 8. */
  numGenerations?: number
  /** Temperature of the rollouts. Default 1. */
  temperature?: number
  /** Default 1: off. */
  topP?: number
  /** Default 0: off. */
  topK?: number
  /** Default 0: off. */
  minP?: number
  /** Most tokens of a completion, the stop token included. Default 256. */
  maxCompletionLength?: number
  /** Tokens that end a completion. Default: what config.json and the tokenizer name. */
  stopTokens?: readonly number[] | null
  /** Rows of one optimiser batch. Default null: all that the objective keeps of a step make one. */
  miniBatchRows?: number | null
  /** Passes over a step's optimiser batches; the ratio's old log-probs stay those recorded. Default 1. */
  numIterations?: number
  /** Peak learning rate. Default 1e-6. */
  learningRate?: number
  /** Default `constant`. */
  learningRateSchedule?: LearningRateSchedule
  /** Steps until the peak is reached. Default 0. */
  warmupSteps?: number
  /** Default 0.01. */
  weightDecay?: number
  /** Default 0.9. */
  adamBeta1?: number
  /** Default 0.999. */
  adamBeta2?: number
  /** Default 1e-8. */
  adamEpsilon?: number
  /** Largest norm of the whole gradient; 0 switches clipping off. Default 1. */
  maxGradNorm?: number
  /** Seeds the order of the prompts and the sampling noise. Default 0. */
  seed?: number
  /** Greedy evaluation on `evalPrompts` after every so many steps, before the first and after the last. Default 0: none. */
  evalEvery?: number
}

/** What a run is made of and how it is kept; may differ when the run is resumed. */
export interface TrainOptions
  extends TrainSettings,
    MicroBatchOptions,
    Pick<GenerateOptions, 'maxLiveSequences'> {
  policy: Policy
  prompts: readonly PromptRow[]
  /** A function, the name of a built-in verifier, or the path of a module whose default export is one. */
  verifier: VerifierSource
  objective: ObjectiveSpec
  /** The run's folder. */
  out: string
  /** Goes on from the newest checkpoint in `out`, if there is one. Default false: `out` must hold no run. */
  resume?: boolean
  /** The policy of the KL term; needed when the objective's `beta` is not 0. It is not trained, nor disposed. */
  reference?: Policy
  /** Of objective ppo with `valueModel: 'separate'`, and of no other. It is trained in place, and not disposed. */
  critic?: Critic
  evalPrompts?: readonly PromptRow[]
  /** A checkpoint after every so many steps. Default 0: only one at the end. */
  saveEvery?: number
  /** How many of the newest checkpoints stay. Default 2. */
  keepCheckpoints?: number
  /** Time limits and isolation of the verifier. */
  verify?: VerifyOptions
  /**
   * Stops the run: rollouts under way are given up, updates under way are finished, then a checkpoint is saved and the
   * generator rejects with the signal's reason.
   */
  signal?: AbortSignal
  /** Told before the first step what memory the run takes, by class; it is all taken then. */
  onPlan?: (rows: readonly PlanRow[]) => void
  /** Where the current step stands, a few times a second. */
  onProgress?: (progress: TrainProgress) => void
}

export type TrainPhase = 'generate' | 'verify' | 'update' | 'evaluate' | 'save'

export interface TrainProgress {
  /** The step being worked on, from 1. */
  step: number
  steps: number
  phase: TrainPhase
  /** Share of the phase that is done, 0 to 1. */
  share: number
}

/** One step of a run, as `train` yields it. */
export interface TrainStep {
  step: number
  steps: number
  /** The line that was appended to metrics.jsonl. */
  metrics: Readonly<Record<string, number>>
  /** The step's rollouts with verdicts and advantages. */
  rollouts: RolloutBatch
  /** The checkpoint that was saved after this step, if one was. */
  checkpoint: string | undefined
}

/** Settings with every default in force; survives JSON. */
export interface ResolvedSettings extends Required<TrainSettings> {
  objective: ResolvedObjective
}

/** Every default of `TrainSettings`. */
export const TRAIN_DEFAULTS: Required<TrainSettings> = {
  steps: 100,
  promptsPerStep: 32,
  numGenerations: 8,
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  maxCompletionLength: 256,
  stopTokens: null,
  miniBatchRows: null,
  numIterations: 1,
  learningRate: 1e-6,
  learningRateSchedule: 'constant',
  warmupSteps: 0,
  weightDecay: 0.01,
  adamBeta1: 0.9,
  adamBeta2: 0.999,
  adamEpsilon: 1e-8,
  maxGradNorm: 1,
  seed: 0,
  evalEvery: 0,
}

const SETTING_NAMES = Object.keys(TRAIN_DEFAULTS) as (keyof TrainSettings)[]

const OTHER_NAMES = [
  'policy',
  'prompts',
  'verifier',
  'objective',
  'out',
  'resume',
  'reference',
  'critic',
  'evalPrompts',
  'saveEvery',
  'keepCheckpoints',
  'tokenBudget',
  'activationCheckpointing',
  'maxLiveSequences',
  'onPlan',
  'verify',
  'signal',
  'onProgress',
]

/** Fills in every default and refuses unknown keys and values out of range, each by its name. */
export function resolveSettings(options: TrainOptions): ResolvedSettings {
  refuseUnknownKeys(options, [...SETTING_NAMES, ...OTHER_NAMES], 'train')
  const settings = { ...TRAIN_DEFAULTS }
  for (const name of SETTING_NAMES) {
    if (options[name] !== undefined) Object.assign(settings, { [name]: options[name] })
  }
  requireInteger(settings.steps, 'steps', 1)
  requireInteger(settings.promptsPerStep, 'promptsPerStep', 1)
  requireInteger(settings.numGenerations, 'numGenerations', 1)
  requireNumber(settings.temperature, 'temperature', 0)
  requireNumber(settings.topP, 'topP', 0, 1)
  requireInteger(settings.topK, 'topK', 0)
  requireNumber(settings.minP, 'minP', 0, 1)
  requireInteger(settings.maxCompletionLength, 'maxCompletionLength', 1)
  for (const token of settings.stopTokens ?? []) requireInteger(token, 'stopTokens', 0)
  if (settings.miniBatchRows !== null) requireInteger(settings.miniBatchRows, 'miniBatchRows', 1)
  requireInteger(settings.numIterations, 'numIterations', 1)
  checkLearningRate(settings)
  requireNumber(settings.weightDecay, 'weightDecay', 0)
  requireNumber(settings.adamBeta1, 'adamBeta1', 0, 1)
  requireNumber(settings.adamBeta2, 'adamBeta2', 0, 1)
  requireNumber(settings.adamEpsilon, 'adamEpsilon', 0)
  requireNumber(settings.maxGradNorm, 'maxGradNorm', 0)
  requireInteger(settings.seed, 'seed', 0)
  requireInteger(settings.evalEvery, 'evalEvery', 0)
  const objective = objectiveOfRun(options.objective, settings)
  if (objective.beta !== 0 && options.reference === undefined) {
    throw invalidArgument(
      'reference',
      'a reference policy, since the objective has a KL term (beta)',
      undefined,
    )
  }
  if (settings.evalEvery > 0 && (options.evalPrompts ?? []).length === 0) {
    throw invalidArgument(
      'evalPrompts',
      'prompts to evaluate on, since evalEvery is set',
      options.evalPrompts,
    )
  }
  return { ...settings, objective }
}

/** The settings of a run on which the meaning of an objective's options may depend. */
export type BatchSettings = {
  [K in 'promptsPerStep' | 'numGenerations' | 'miniBatchRows' | 'maxCompletionLength']?:
    | TrainSettings[K]
    | undefined
}

/**
 * An objective with every option as it holds in a run: `constant` follows from the settings where it is not given, and what
 * the settings make senseless is refused. INVALID_ARGUMENT gives the reason.
 */
export function objectiveOfRun(spec: ObjectiveSpec, settings: BatchSettings): ResolvedObjective {
  const numGenerations = settings.numGenerations ?? TRAIN_DEFAULTS.numGenerations
  const maxCompletionLength = settings.maxCompletionLength ?? TRAIN_DEFAULTS.maxCompletionLength
  const rows = (settings.promptsPerStep ?? TRAIN_DEFAULTS.promptsPerStep) * numGenerations
  const shape = { numGenerations, rows: Math.min(rows, settings.miniBatchRows ?? rows), maxCompletionLength }
  return resolveObjective(spec, {}, shape)
}
