import type { Critic } from '../critic.ts'
import { invalidArgument } from '../errors.ts'
import type { ObjectiveSpec, ResolvedObjective } from '../objective-options.ts'
import { hasGreedyBaseline, resolveObjective } from '../objectives.ts'
import { refuseUnknownKeys, requireInteger, requireNumber } from '../options.ts'
import type { GenerateOptions, MicroBatchOptions, PlanRow, Policy } from '../policy.ts'
import type { PromptRow } from '../prompts.ts'
import { hasColumn, type RolloutBatch } from '../rollouts.ts'
import type { VerifierSource, VerifyOptions } from '../verify.ts'
import { checkLearningRate, type LearningRateSchedule } from './learning-rate.ts'
import { checkReferenceSettings } from './moving-reference.ts'
import type { RolloutRecord } from './recorded-rollouts.ts'

/** Settings of a run that decide what comes out of it, down to the last bit; they are written to run.json. */
export interface TrainSettings {
  /** Rollout batches to train on. Default 100. */
  steps?: number
  /** Prompts of a step, chosen by a shuffle of its own for every epoch. Default 32. */
  promptsPerStep?: number
  /** Completions of a prompt. Default 8. */
  numGenerations?: number
  /**
   * Rounds in which further prompts are sampled, within a step, in place of those whose group was left out by the objective's
   * `filterGroups`, until `promptsPerStep` groups teach something: DAPO's dynamic sampling (arXiv 2503.14476; verl:
   * `filter_groups.max_num_gen_batches`). The further prompts are drawn by seed and step from those that are not the step's
   * own. Default 0: none.
   */
  refillRounds?: number
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
  /**
   * 1: the rollouts of a step are sampled before the update of the step before it, so that they are judged while that is made;
   * the ratio is to the log-probs that were recorded. The same bytes whatever takes how long. Default 0: each step samples
   * with the policy that the last one left.
   */
  asyncSteps?: number
  /**
   * Moves the reference policy after every so many steps; TRL's `sync_ref_model` with `ref_model_sync_steps`. Default 0: it
   * stays what it was.
   */
  referenceUpdateEvery?: number
  /** How far it moves: reference += referenceMixing * (policy - reference), above 0. Default 1: to the policy. TRL: `ref_model_mixup_alpha`. */
  referenceMixing?: number
  /** Greedy evaluation on `evalPrompts` after every so many steps, before the first and after the last. Default 0: none. */
  evalEvery?: number
}

/** What a run is made of and how it is kept; may differ when the run is resumed. */
export interface TrainOptions
  extends TrainSettings,
    MicroBatchOptions,
    Pick<GenerateOptions, 'maxLiveSequences'> {
  policy: Policy
  /** Needed unless `rollouts` are given. */
  prompts?: readonly PromptRow[]
  /**
   * Rollouts to learn from in place of sampling any, of whatever sampler: rows with `prompt_tokens` and `completion_tokens`.
   * A step takes all completions of `promptsPerStep` prompts. Old log-probs are those of the column `logprobs`; without it the rows
   * of a step are scored before it learns, so that their ratio is 1 on a first update. Rows with a `reward` are not judged again.
   * `policy_step` (else 0) is the step of the policy that made a row, for `staleness/mean` and `staleness/max`.
   */
  rollouts?: RolloutBatch
  /** A function, the name of a built-in verifier, or the path of a module whose default export is one. */
  verifier: VerifierSource
  objective: ObjectiveSpec
  /** The run's folder. */
  out: string
  /** Goes on from the newest checkpoint in `out`, if there is one. Default false: `out` must hold no run. */
  resume?: boolean
  /** The policy of the KL term; needed when the objective's `beta` is not 0. It is not trained, nor disposed; `referenceUpdateEvery` moves it. */
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
  refillRounds: 0,
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
  asyncSteps: 0,
  referenceUpdateEvery: 0,
  referenceMixing: 1,
  evalEvery: 0,
}

const SETTING_NAMES = Object.keys(TRAIN_DEFAULTS) as (keyof TrainSettings)[]

const OTHER_NAMES = [
  'policy',
  'prompts',
  'rollouts',
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
export function resolveSettings(
  options: TrainOptions,
  recorded: RolloutRecord | null = null,
): ResolvedSettings {
  refuseUnknownKeys(options, [...SETTING_NAMES, ...OTHER_NAMES], 'train')
  const settings = { ...TRAIN_DEFAULTS }
  for (const name of SETTING_NAMES) {
    if (options[name] !== undefined) Object.assign(settings, { [name]: options[name] })
  }
  if ((options.prompts === undefined) === (recorded === null)) {
    throw invalidArgument('prompts', 'either prompts or rollouts', recorded === null ? undefined : 'both')
  }
  if (recorded !== null) {
    settings.numGenerations = recorded.groups.reduce((most, rows) => Math.max(most, rows.length), 1)
    settings.maxCompletionLength = Math.max(settings.maxCompletionLength, recorded.longestCompletion)
  }
  requireInteger(settings.steps, 'steps', 1)
  requireInteger(settings.promptsPerStep, 'promptsPerStep', 1)
  requireInteger(settings.numGenerations, 'numGenerations', 1)
  requireInteger(settings.refillRounds, 'refillRounds', 0)
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
  if (settings.refillRounds > 0 && objective.filterGroups === 'none') {
    throw invalidArgument(
      'refillRounds',
      "0, since the objective's filterGroups 'none' leaves no group out",
      settings.refillRounds,
    )
  }
  if (objective.beta !== 0 && options.reference === undefined) {
    throw invalidArgument(
      'reference',
      'a reference policy, since the objective has a KL term (beta)',
      undefined,
    )
  }
  requireInteger(settings.asyncSteps, 'asyncSteps', 0, 1)
  checkSampling(settings, objective, recorded)
  checkReferenceSettings(settings, objective)
  if (settings.evalEvery > 0 && (options.evalPrompts ?? []).length === 0) {
    throw invalidArgument(
      'evalPrompts',
      'prompts to evaluate on, since evalEvery is set',
      options.evalPrompts,
    )
  }
  return { ...settings, objective }
}

/** Refuses what rollouts that are sampled ahead, or were made before the run, cannot have. */
function checkSampling(
  { asyncSteps, refillRounds }: ResolvedSettings | Required<TrainSettings>,
  objective: ResolvedObjective,
  recorded: RolloutRecord | null,
): void {
  if (asyncSteps > 0 && (refillRounds > 0 || hasGreedyBaseline(objective))) {
    const why =
      refillRounds > 0 ? 'refillRounds needs verdicts' : `'${objective.kind}' judges greedy completions`
    throw invalidArgument('asyncSteps', `0, since ${why} before more is sampled`, asyncSteps)
  }
  if (recorded === null) return
  for (const [name, value] of Object.entries({ asyncSteps, refillRounds })) {
    if (value > 0) throw invalidArgument(name, '0, since rollouts are given and nothing is sampled', value)
  }
  const column = (name: string, why: string) => {
    if (!hasColumn(recorded.batch, name)) throw invalidArgument(`rollouts, column '${name}'`, why, undefined)
  }
  if (hasGreedyBaseline(objective)) column('baseline_reward', `the baseline of '${objective.kind}'`)
  if (objective.importanceCorrection !== 'none')
    column('sampler_logprobs', "the sampler's log-probs, for importanceCorrection")
  if (objective.kind === 'w-reinforce' && objective.lambdaSchedule === 'adaptive') {
    throw invalidArgument(
      'objective.lambdaSchedule',
      'a schedule by steps: rollouts of a file do not follow lambda',
      'adaptive',
    )
  }
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
