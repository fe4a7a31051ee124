import { getHeapSpaceStatistics } from 'node:v8'
import { type ModelConfig, modelConfigOf } from './checkpoint.ts'
import { Kernels } from './kernels.ts'
import type { NativeHeads, NativeMemoryRequest } from './native/types.ts'
import { addon, callNow } from './native.ts'
import { requireInteger, requireOneOf } from './options.ts'
import { memoryRequest, rolloutRow } from './policy/memory-request.ts'
import type { BackendOptions, PlanOptions, PlanRow } from './policy/options.ts'

export interface PlanMemoryOptions extends PlanOptions, Omit<BackendOptions, 'seed'> {
  /** The contents of the model's config.json. */
  config: Record<string, unknown>
  /** Of a run under objective ppo: where its value head is. Default: there is none. */
  valueModel?: 'separate' | 'shared'
}

/** What `Policy.plan` would say of a model, from its config alone: no parameter is read or allocated. */
export function planMemory(options: PlanMemoryOptions): PlanRow[] {
  const { config: raw, device, dtype, threads, isa, valueModel, ...work } = options
  const config = modelConfigOf(raw as never, 'planMemory: config')
  const request = memoryRequest(work, config, 'planMemory')
  const backend = {
    device: device ?? 'auto',
    dtype: requireOneOf(dtype ?? 'f32', 'planMemory.dtype', ['f32', 'bf16']),
    ...(isa !== undefined && { isa }),
    ...(threads !== undefined && { threads: requireInteger(threads, 'planMemory.threads', 1, 4096) }),
  }
  const planOf = (heads: NativeHeads, of: NativeMemoryRequest) =>
    callNow(() => addon().planMemory(config, { ...backend, heads }, of))
  const rows = planOf(valueModel === 'shared' ? 'tokens-and-value' : 'tokens', request)
  const critic =
    valueModel === 'separate'
      ? [{ what: 'critic', bytes: totalBytes(planOf('value', { ...request, generation: false })) }]
      : []
  return [...rows, ...critic, ...rolloutRow(work, request)]
}

/** What V8 lets young objects fill before it moves them: two halves of 16 MiB, unless Node.js was started with another size. */
const YOUNG_GENERATION = 32 * 2 ** 20
/** What the old objects' part grows by in a run, code that is compiled late included. */
const OLD_GENERATION_GROWTH = 8 * 2 ** 20

/**
 * What this process takes beside its policies' engines: Node.js, the program, tokenizers, prompts. What is resident now, and what
 * the heap of JavaScript will grow by.
 */
export function processRow(policies: readonly { readonly allocatedBytes: number }[] = []): PlanRow {
  const held = policies.reduce((sum, { allocatedBytes }) => sum + allocatedBytes, 0)
  const young = getHeapSpaceStatistics().find(({ space_name: name }) => name === 'new_space')
  const growth = Math.max(0, YOUNG_GENERATION - (young?.space_size ?? 0)) + OLD_GENERATION_GROWTH
  return { what: 'Node.js', bytes: Math.max(0, process.memoryUsage.rss() - held) + growth }
}

export function totalBytes(rows: readonly PlanRow[]): number {
  return rows.reduce((sum, { bytes }) => sum + bytes, 0)
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
