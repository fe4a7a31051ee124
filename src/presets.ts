import { CoppiceError } from './errors.ts'
import { nearest } from './options.ts'

/** Values under the names that `TrainOptions`, `EvaluateOptions` and the flags of `train` and `eval` have, in camel case. */
export type PresetValues = Readonly<Record<string, string | number | boolean | readonly string[]>>

/** A protocol by name: what `train` and `eval` take where they are not told otherwise. */
export interface Preset {
  readonly describe: string
  readonly train: PresetValues
  /** Further values for training with one objective. */
  readonly byObjective: Readonly<Record<string, PresetValues>>
  readonly eval: PresetValues
}

const COMMON: PresetValues = { dtype: 'bf16', verifier: ['math'] }

// Section 4 and appendix of "The Surprising Effectiveness of Negative Reinforcement in LLM Reasoning" (arXiv 2506.01347).
const PAPER_TRAIN: PresetValues = {
  ...COMMON,
  ...{ promptsPerStep: 1024, numGenerations: 8, miniBatchRows: 2048, numIterations: 1 },
  ...{ temperature: 1, topP: 1, topK: 0 },
  ...{ learningRate: 1e-6, learningRateSchedule: 'constant', adamBeta1: 0.9, adamBeta2: 0.999 },
  // The paper's ratio clip of 0.2 is the default of the objectives that it compares; others have their own.
  ...{ weightDecay: 0.01, maxGradNorm: 1, entropyCoefficient: 1e-4 },
}
const QWEN_MATH_SAMPLING: PresetValues = { n: 256, temperature: 0.6, topP: 0.95 }
const QWEN3_SAMPLING: PresetValues = { n: 64, temperature: 0.7, topP: 0.8, topK: 20 }

/** `both` is the model and how it is asked, for training and evaluation alike. */
function protocol(
  describe: string,
  both: PresetValues,
  train: PresetValues,
  evaluation: PresetValues,
): Preset {
  return {
    describe,
    train: { ...PAPER_TRAIN, ...both, ...train },
    byObjective: { grpo: { beta: 1e-3 } },
    eval: { ...COMMON, ...both, ...evaluation },
  }
}

const PRESETS: Readonly<Record<string, Preset>> = {
  'paper-qwen2.5-math-7b': protocol(
    'the paper: Qwen2.5-Math-7B on MATH, context 4,096',
    { model: 'Qwen/Qwen2.5-Math-7B', template: 'qwen-math', maxCompletionLength: 3072 },
    { steps: 120 },
    QWEN_MATH_SAMPLING,
  ),
  'paper-qwen3-4b': protocol(
    'the paper: Qwen3-4B without thinking on MATH, context 32,768',
    { model: 'Qwen/Qwen3-4B', template: 'qwen3-math', maxCompletionLength: 31_744 },
    { steps: 50 },
    QWEN3_SAMPLING,
  ),
  'paper-llama-3.1-8b': protocol(
    'the paper’s second version: Llama-3.1-8B-Instruct; its own chat template and the other settings of Qwen2.5-Math, since none are known',
    { model: 'meta-llama/Llama-3.1-8B-Instruct', template: 'chat', maxCompletionLength: 3072 },
    { steps: 120 },
    QWEN_MATH_SAMPLING,
  ),
  'small-qwen2.5-math-1.5b': protocol(
    'the paper’s protocol cut down for one GPU: Qwen2.5-Math-1.5B, 128 prompts a step',
    { model: 'Qwen/Qwen2.5-Math-1.5B', template: 'qwen-math', maxCompletionLength: 2048 },
    { steps: 120, promptsPerStep: 128, miniBatchRows: 256 },
    { ...QWEN_MATH_SAMPLING, n: 64 },
  ),
  'cpu-qwen2.5-0.5b': protocol(
    'the paper’s protocol cut down for a CPU and patience: Qwen2.5-0.5B-Instruct, 8 prompts a step',
    { model: 'Qwen/Qwen2.5-0.5B-Instruct', template: 'qwen-math', maxCompletionLength: 512 },
    { steps: 100, promptsPerStep: 8, miniBatchRows: 64 },
    { ...QWEN_MATH_SAMPLING, n: 16 },
  ),
}

export const presetNames: readonly string[] = Object.keys(PRESETS)

/** The preset of that name. INVALID_ARGUMENT names the nearest. */
export function presetOf(name: string): Preset {
  const preset = Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined
  if (preset !== undefined) return preset
  const near = nearest(name, presetNames)
  throw new CoppiceError('INVALID_ARGUMENT', `unknown preset '${name}'`, {
    expected: near === undefined ? `one of ${presetNames.join(', ')}` : `did you mean '${near}'?`,
  })
}
