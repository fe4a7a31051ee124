import type { Options } from 'yargs'
import {
  ACTIVATION_CHECKPOINTING,
  type ActivationCheckpointing,
  type BackendOptions,
  type ComputeDtype,
  CoppiceError,
  type CriticLoadOptions,
  DEFAULT_TOKEN_BUDGET,
  type GenerateOptions,
  type LearningRateSchedule,
  type LoadOptions,
  loadPromptTemplate,
  type MicroBatchOptions,
  type Policy,
  type PromptTemplate,
  templateNames,
  type VerifierSource,
  type VerifyOptions,
  verifierNames,
} from '../index.ts'
import { REVISION_FLAG } from './hub-files.ts'

// Flags that several verbs share, and how they become options. A flag without a default here leaves the default to the
// library, where it is documented.

export const BACKEND_FLAGS = {
  device: { type: 'string', default: 'auto', describe: 'auto, cpu, cuda or cuda:N' },
  dtype: {
    choices: ['f32', 'bf16'],
    default: 'f32',
    describe: 'type of the parameters that are computed with; bf16 takes half the memory',
  },
  threads: { type: 'number', describe: 'CPU threads [default: all cores]' },
  isa: {
    type: 'string',
    describe: 'CPU instruction set: avx512bf16, avx512, avx2, neon or portable [default: the best there is]',
  },
} as const satisfies Record<string, Options>

export const MODEL_FLAGS = {
  model: {
    type: 'string',
    demandOption: true,
    describe:
      'folder in Hugging Face layout (config.json, *.safetensors, tokenizer.json), or an id of the hub: org/name',
  },
  ...REVISION_FLAG,
  ...BACKEND_FLAGS,
} as const satisfies Record<string, Options>

export const SAMPLING_FLAGS = {
  sampling: {
    choices: ['plain', 'model'],
    default: 'plain',
    describe:
      'where the four flags below come from when they are not given: the defaults named there, or generation_config.json of the model',
  },
  temperature: { type: 'number', describe: '0 is greedy [default: 1]' },
  'top-p': { type: 'number', describe: 'keep the likeliest tokens up to this mass [default: 1]' },
  'top-k': { type: 'number', describe: 'keep the k likeliest tokens; 0: all [default: 0]' },
  'min-p': {
    type: 'number',
    describe: 'keep tokens of at least this share of the likeliest [default: 0]',
  },
  'max-completion-length': {
    type: 'number',
    describe:
      'most tokens of a completion, the stop token included [default: 256, or what the model has room for]',
  },
} as const satisfies Record<string, Options>

export const SEED_FLAG = {
  seed: { type: 'number', default: 0, describe: 'seed of every random choice' },
} as const satisfies Record<string, Options>

export const TOKEN_BUDGET_FLAG = {
  'token-budget': {
    type: 'number',
    default: DEFAULT_TOKEN_BUDGET,
    describe: 'packed tokens of a micro-batch: memory against speed',
  },
} as const satisfies Record<string, Options>

export const LIVE_SEQUENCES_FLAG = {
  'max-live-sequences': {
    type: 'number',
    default: 256,
    describe: 'sequences decoded at a time: memory against speed',
  },
} as const satisfies Record<string, Options>

/** Of work with a backward pass. */
export const MICRO_BATCH_FLAGS = {
  ...TOKEN_BUDGET_FLAG,
  'activation-checkpointing': {
    choices: ACTIVATION_CHECKPOINTING,
    default: 'none',
    describe:
      'layer keeps the inputs of the layers alone and computes them again backward: less memory, more time, the same bits',
  },
} as const satisfies Record<string, Options>

export const JSON_FLAG = {
  json: {
    type: 'boolean',
    default: false,
    describe: 'print JSON on standard output, and nothing else there',
  },
} as const satisfies Record<string, Options>

interface MicroBatchArguments {
  tokenBudget: number
  activationCheckpointing: string
}

export function microBatchOptions(args: MicroBatchArguments): Required<MicroBatchOptions> {
  const { tokenBudget, activationCheckpointing } = args
  return { tokenBudget, activationCheckpointing: activationCheckpointing as ActivationCheckpointing }
}

export interface BackendArguments {
  device: string
  dtype: string
  threads: number | undefined
  isa: string | undefined
}

export function backendOptions(args: BackendArguments): BackendOptions {
  return {
    device: args.device as 'auto',
    dtype: args.dtype as ComputeDtype,
    ...(args.threads !== undefined && { threads: args.threads }),
    ...(args.isa !== undefined && { isa: args.isa }),
  }
}

export function loadOptions(args: BackendArguments & { model: string; seed?: number }): LoadOptions {
  return { model: args.model, ...backendOptions(args), ...(args.seed !== undefined && { seed: args.seed }) }
}

/** Of a critic: without what concerns sampling. */
export function criticOptions(args: BackendArguments & { model: string }): CriticLoadOptions {
  const { seed: _, ...backend } = backendOptions(args)
  return { model: args.model, ...backend }
}

interface SamplingArguments {
  sampling: string
  temperature: number | undefined
  topP: number | undefined
  topK: number | undefined
  minP: number | undefined
  maxCompletionLength: number | undefined
}

type SamplingOptions = Pick<GenerateOptions, 'temperature' | 'topP' | 'topK' | 'minP' | 'maxCompletionLength'>

/** What was given, and under `--sampling model` what the model's folder says; the rest is left to the library. */
export function samplingOptions(
  args: SamplingArguments,
  { samplingDefaults: { unsupported, ...ofModel } }: Pick<Policy, 'samplingDefaults'>,
): SamplingOptions {
  const useModel = args.sampling === 'model'
  if (useModel && unsupported.length > 0) {
    throw new CoppiceError('INVALID_ARGUMENT', 'generation_config.json asks for what is not supported', {
      where: '--sampling model',
      expected: 'temperature, top_p, top_k and min_p alone',
      received: unsupported.join(', '),
    })
  }
  const { temperature, topP, topK, minP, maxCompletionLength } = args
  const given = Object.entries({ temperature, topP, topK, minP, maxCompletionLength })
  return { ...(useModel && ofModel), ...Object.fromEntries(given.filter(([, value]) => value !== undefined)) }
}

export const OPTIMIZER_FLAGS = {
  'warmup-steps': { type: 'number', default: 0, describe: 'steps until the peak learning rate' },
  'weight-decay': { type: 'number', default: 0.01, describe: 'decoupled decay of every tensor' },
  'adam-beta1': { type: 'number', default: 0.9, describe: 'decay of the first moment' },
  'adam-beta2': { type: 'number', default: 0.999, describe: 'decay of the second moment' },
  'adam-epsilon': { type: 'number', default: 1e-8, describe: "added to the second moment's root" },
  'max-grad-norm': { type: 'number', default: 1, describe: 'clip of the gradient norm; 0: none' },
} as const satisfies Record<string, Options>

interface OptimizerArguments {
  learningRate: number
  learningRateSchedule: LearningRateSchedule
  warmupSteps: number
  weightDecay: number
  adamBeta1: number
  adamBeta2: number
  adamEpsilon: number
  maxGradNorm: number
}

export function optimizerOptions(args: OptimizerArguments): OptimizerArguments {
  const { learningRate, learningRateSchedule, warmupSteps } = args
  const { weightDecay, adamBeta1, adamBeta2, adamEpsilon, maxGradNorm } = args
  return {
    ...{ learningRate, learningRateSchedule, warmupSteps },
    ...{ weightDecay, adamBeta1, adamBeta2, adamEpsilon, maxGradNorm },
  }
}

export const VERIFIER_FLAGS = {
  verifier: {
    type: 'string',
    array: true,
    demandOption: true,
    describe: `${verifierNames.join(', ')}, or a .ts, .js or .mjs file whose default export is a verifier or a task; of several, the first decides what is right`,
  },
  'reward-weights': {
    type: 'string',
    array: true,
    describe: 'a number a verifier: the reward is the weighted sum of theirs [default: 1 each]',
  },
  'reward-threshold': {
    type: 'number',
    describe: 'right is a weighted reward above this [default: the first verifier decides]',
  },
  'timeout-ms': { type: 'number', default: 5000, describe: 'time that the verifier has for one completion' },
  'verifier-concurrency': {
    type: 'number',
    describe: 'completions verified at once [default: cores, 4 at most]',
  },
  'verifier-memory-mb': {
    type: 'number',
    default: 512,
    describe: 'memory of a process that runs a verifier file',
  },
  'verifier-cacheable': {
    type: 'boolean',
    default: false,
    describe: 'ask a verifier file once for the same prompt, reference and completion, as built-in ones are',
  },
  'verifier-cache-mb': {
    type: 'number',
    default: 64,
    describe: 'judgements kept to be given again; 0: none',
  },
} as const satisfies Record<string, Options>

interface VerifierSourceArguments {
  verifier: readonly string[]
  rewardWeights: readonly string[] | undefined
  rewardThreshold: number | undefined
}

/** What `--verifier`, once or several times, and the weights mean. */
export function verifierOf(args: VerifierSourceArguments): VerifierSource {
  const { verifier, rewardWeights, rewardThreshold } = args
  const [first, ...others] = verifier
  if (others.length === 0 && rewardWeights === undefined && rewardThreshold === undefined) return first ?? ''
  return {
    verifiers: verifier,
    ...(rewardWeights !== undefined && { rewardWeights: rewardWeights.flatMap(numbersIn) }),
    ...(rewardThreshold !== undefined && { rewardThreshold }),
  }
}

/** `1,0.1` as well as `1 0.1`. */
function numbersIn(text: string): number[] {
  return text.split(',').map((number) => {
    if (number.trim() !== '' && Number.isFinite(Number(number))) return Number(number)
    throw new CoppiceError('INVALID_ARGUMENT', 'not a number', {
      where: '--reward-weights',
      expected: 'numbers as in 1,0.1',
      received: JSON.stringify(text),
    })
  })
}

interface VerifierArguments {
  timeoutMs: number
  verifierConcurrency: number | undefined
  verifierMemoryMb: number
  verifierCacheable: boolean
  verifierCacheMb: number
}

export function verifyOptions(args: VerifierArguments): VerifyOptions {
  return {
    timeoutMs: args.timeoutMs,
    memoryLimitMb: args.verifierMemoryMb,
    cacheable: args.verifierCacheable,
    cacheMb: args.verifierCacheMb,
    ...(args.verifierConcurrency !== undefined && { concurrency: args.verifierConcurrency }),
  }
}

export const TEMPLATE_FLAGS = {
  template: {
    type: 'string',
    default: 'none',
    describe: `what is put around a prompt: ${templateNames.join(', ')} (chat is the model's own), or a Jinja file`,
  },
  system: { type: 'string', describe: "system message [default: the template's]" },
  'enable-thinking': {
    type: 'boolean',
    describe:
      'thinking of a chat template on, or off by --no-enable-thinking [default: the template decides]',
  },
  'template-date': {
    type: 'string',
    describe:
      'YYYY-MM-DD that a template takes for today, for prompts that can be repeated [default: the clock]',
  },
} as const satisfies Record<string, Options>

interface TemplateArguments {
  model: string
  template: string
  system: string | undefined
  enableThinking: boolean | undefined
  templateDate: string | undefined
}

export function templateOf(args: TemplateArguments): Promise<PromptTemplate> {
  return loadPromptTemplate({
    template: args.template,
    model: args.model,
    ...(args.system !== undefined && { system: args.system }),
    ...(args.enableThinking !== undefined && { enableThinking: args.enableThinking }),
    ...(args.templateDate !== undefined && { date: dateOf(args.templateDate) }),
  })
}

function dateOf(text: string): Date {
  const [, year, month, day] = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text)?.map(Number) ?? []
  const date = new Date(year ?? Number.NaN, (month ?? 0) - 1, day)
  if (date.getMonth() + 1 === month && date.getDate() === day) return date
  throw new CoppiceError('INVALID_ARGUMENT', 'not a date', {
    where: '--template-date',
    expected: 'YYYY-MM-DD',
    received: JSON.stringify(text),
  })
}
