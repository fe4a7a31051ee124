import { type ModelConfig, modelConfigOf } from './checkpoint.ts'
import { Kernels } from './kernels.ts'
import { addon, callNow } from './native.ts'
import { refuseUnknownKeys, requireInteger, requireOneOf } from './options.ts'
import { generationParams } from './policy/generate.ts'
import {
  type BackendOptions,
  DEFAULT_TOKEN_BUDGET,
  type PlanOptions,
  type PlanRow,
} from './policy/options.ts'

export interface PlanMemoryOptions extends PlanOptions, Omit<BackendOptions, 'seed'> {
  /** The contents of the model's config.json. */
  config: Record<string, unknown>
}

const KEYS = [
  ...['config', 'device', 'dtype', 'threads', 'isa'],
  ...['tokenBudget', 'numGenerations', 'maxCompletionLength', 'maxLiveSequences', 'longestPrompt'],
]

/** What `Policy.plan` would say of a model, from its config alone: no parameter is read or allocated. */
export function planMemory(options: PlanMemoryOptions): PlanRow[] {
  refuseUnknownKeys(options, KEYS, 'planMemory')
  const { config: raw, device, dtype, threads, isa, tokenBudget, longestPrompt, ...generation } = options
  const config = modelConfigOf(raw as never, 'planMemory: config')
  const params = generationParams(generation, { stopTokens: [], seed: 0n, policyStep: 0 })
  const backend = {
    device: device ?? 'auto',
    dtype: requireOneOf(dtype ?? 'f32', 'planMemory.dtype', ['f32', 'bf16']),
    ...(isa !== undefined && { isa }),
    ...(threads !== undefined && { threads: requireInteger(threads, 'planMemory.threads', 1, 4096) }),
  }
  const budget = requireInteger(tokenBudget ?? DEFAULT_TOKEN_BUDGET, 'planMemory.tokenBudget', 1)
  const longest = requireInteger(longestPrompt, 'planMemory.longestPrompt', 1, config.maxPositions)
  return callNow(() => addon().planMemory(config, backend, budget, params, longest))
}

/** Tokens a second, from products that were timed on this machine; attention and everything else come on top. */
export interface ExpectedThroughput {
  /** Of completions, with as many sequences decoded at a time as given. */
  generate: number
  /** Forward, backward and optimiser step. */
  train: number
}

/** Rows of a product above which its rate no longer grows much. */
const TRAINING_ROWS = 256
/** A product of this many parameters is beyond every cache, as a model's are together. */
const LARGEST_SAMPLE = 2 ** 25

/** Times the model's largest product for a second or two and scales to the whole model. An estimate, on the fast side. */
export async function expectedThroughput(
  rawConfig: Record<string, unknown>,
  { liveSequences = 256, ...backend }: Omit<BackendOptions, 'seed'> & { liveSequences?: number },
): Promise<ExpectedThroughput> {
  const config = modelConfigOf(rawConfig as never, 'expectedThroughput: config')
  const { dtype = 'f32', ...where } = backend
  await using kernels = await Kernels.open(where)
  const inner = config.hiddenSize
  const cols = Math.max(1, Math.min(2 * config.intermediateSize, Math.floor(LARGEST_SAMPLE / inner)))
  const rate = async (rows: number) => {
    const seconds = await kernels.time('linear', { rows, cols, inner }, { repeats: 3, warmup: 1, dtype })
    return (2 * rows * cols * inner) / seconds.sort()[1]!
  }
  const flops = 2 * productParameters(config)
  const decoding = await rate(Math.min(liveSequences, TRAINING_ROWS))
  const training = await rate(TRAINING_ROWS)
  return { generate: decoding / flops, train: training / (3 * flops) }
}

/** Parameters that every token is multiplied with. */
function productParameters(config: ModelConfig): number {
  const { hiddenSize, numLayers, numHeads, numKvHeads, headDim, intermediateSize, vocabSize } = config
  const attention = hiddenSize * headDim * (2 * numHeads + 2 * numKvHeads)
  return numLayers * (attention + 3 * hiddenSize * intermediateSize) + vocabSize * hiddenSize
}
