import type { Schema } from 'apache-arrow'
import { CoppiceError, invalidArgument } from '../errors.ts'
import type { NativeEngine, NativeGeneration, NativeGenerationParams, NativeGroup } from '../native/types.ts'
import { call, callNow, callSite } from '../native.ts'
import { refuseUnknownKeys, requireInteger, requireNumber, requireOneOf } from '../options.ts'
import type { PromptRow } from '../prompts.ts'
import { rolloutSchema } from '../rollouts.ts'
import type { Tokenizer } from '../tokenizer.ts'
import { type FinishedGroup, finishedGroup } from './group-batch.ts'
import type { GenerateOptions, GenerateProgress } from './options.ts'

const KNOWN = [
  ...[
    'numGenerations',
    'temperature',
    'topP',
    'topK',
    'minP',
    'maxCompletionLength',
    'stopTokens',
    'seed',
    'step',
  ],
  ...[
    'promptIndices',
    'entropies',
    'maxLiveSequences',
    'maxWaitingGroups',
    'signal',
    'onAbort',
    'onProgress',
  ],
] as const satisfies readonly (keyof GenerateOptions)[]

const PROGRESS_INTERVAL_MS = 200

/** What a generation needs of the policy that runs it. */
export interface GenerationContext {
  engine: NativeEngine
  tokenizer: Tokenizer | undefined
  stopTokens: readonly number[]
  seed: bigint
  policyStep: number
}

/**
 * One group for each prompt, in the order in which their completions end. `ahead`: groups that are asked for at once. The engine
 * hands groups over between two token steps: asked for one by one, those that end together would come one a step.
 */
export async function* generateGroups(
  { engine, tokenizer, ...defaults }: GenerationContext,
  prompts: readonly PromptRow[],
  options: GenerateOptions,
  ahead: number,
): AsyncGenerator<FinishedGroup, void, void> {
  const params = generationParams(options, defaults)
  const { signal, onProgress } = options
  const onAbort = requireOneOf(options.onAbort ?? 'throw', 'generate.onAbort', ['throw', 'finish'])
  const promptIndex = promptIndices(options.promptIndices, prompts.length)
  const { values, offsets } = flatten(prompts)
  signal?.throwIfAborted()
  const generation = callNow(() => engine.generate(values, offsets, promptIndex, params, defaults.policyStep))
  const abort = () => {
    if (onAbort === 'finish') generation.cancel()
    else void generation.close()
  }
  signal?.addEventListener('abort', abort, { once: true })
  const progress = onProgress && new ProgressTimer(generation, prompts.length, onProgress)
  const requests: Promise<NativeGroup | null>[] = []
  const site = callSite(generateGroups)
  try {
    for (let toRequest = prompts.length; ; ) {
      for (; requests.length < ahead && toRequest > 0; --toRequest) {
        const request = call(() => generation.next(), site)
        // One that nobody comes to wait for any more may fail for the same reason as the one before it.
        request.catch(() => {})
        requests.push(request)
      }
      const group = (await requests.shift()) ?? null
      progress?.report()
      if (onAbort === 'throw') signal?.throwIfAborted()
      if (group === null) return
      yield finishedGroup(group, prompts[group.prompt]!, tokenizer)
    }
  } finally {
    progress?.stop()
    signal?.removeEventListener('abort', abort)
    await generation.close()
  }
}

/** Tells now and then, and when it is asked to, how far a generation is. */
class ProgressTimer {
  readonly #report: () => void
  readonly #timer: NodeJS.Timeout
  #failure: { cause: unknown } | undefined

  constructor(
    generation: NativeGeneration,
    groups: number,
    onProgress: (progress: GenerateProgress) => void,
  ) {
    this.#report = () => onProgress({ groups, ...generation.progress() })
    this.#timer = setInterval(() => {
      try {
        this.#report()
      } catch (cause) {
        this.#failure ??= { cause }
      }
    }, PROGRESS_INTERVAL_MS)
    // A consumer that stops asking must not keep the process alive.
    this.#timer.unref()
  }

  /** Throws what the callback threw, now or since the last time. */
  report(): void {
    if (this.#failure !== undefined) throw this.#failure.cause
    this.#report()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}

/** The engine's parameters of a generation, every default filled in and every value checked. */
export function generationParams(
  options: GenerateOptions,
  defaults: { stopTokens: readonly number[]; seed: bigint; policyStep: number },
): NativeGenerationParams {
  refuseUnknownKeys(options, KNOWN, 'generate')
  const integer = (name: keyof GenerateOptions, fallback: number, min: number, max = 2 ** 31 - 1) =>
    requireInteger(options[name] ?? fallback, `generate.${name}`, min, max)
  const number = (name: keyof GenerateOptions, fallback: number, min: number, max?: number) =>
    requireNumber(options[name] ?? fallback, `generate.${name}`, min, max)
  const stopTokens = options.stopTokens ?? defaults.stopTokens
  return {
    numGenerations: integer('numGenerations', 8, 1),
    temperature: number('temperature', 1, 0),
    topK: integer('topK', 0, 0),
    topP: number('topP', 1, Number.MIN_VALUE, 1),
    minP: number('minP', 0, 0, 1),
    maxCompletionLength: integer('maxCompletionLength', 256, 1),
    stopTokens: Int32Array.from(stopTokens, (token, i) =>
      requireInteger(token, `generate.stopTokens[${i}]`, 0, 2 ** 31 - 1),
    ),
    seed: options.seed === undefined ? defaults.seed : requireSeed(options.seed, 'generate.seed'),
    step: integer('step', defaults.policyStep, 0, 2 ** 32 - 1),
    maxLiveSequences: integer('maxLiveSequences', 256, 1),
    maxWaitingGroups: integer('maxWaitingGroups', 64, 1),
    entropies: options.entropies ?? false,
  }
}

/** The columns of what `generate` yields with these options. */
export function sampledSchema(options: GenerateOptions): Schema {
  const { temperature = 1, topK = 0, topP = 1, minP = 0, entropies = false } = options
  const isTruncated = temperature > 0 && (topK > 0 || topP < 1 || minP > 0)
  return rolloutSchema({ samplerLogprobs: isTruncated, entropies })
}

/** A whole number from 0 to 2^64 - 1. */
export function requireSeed(seed: unknown, where: string): bigint {
  const whole = typeof seed === 'number' && Number.isSafeInteger(seed) ? BigInt(seed) : seed
  if (typeof whole === 'bigint' && whole >= 0n && whole < 2n ** 64n) return whole
  throw invalidArgument(where, 'a whole number from 0 to 2^53 - 1, or a bigint from 0 to 2^64 - 1', seed)
}

function promptIndices(given: ArrayLike<number> | undefined, count: number): Int32Array {
  if (given === undefined) return Int32Array.from({ length: count }, (_, i) => i)
  if (given.length !== count) {
    throw new CoppiceError('SHAPE_MISMATCH', 'one index a prompt', {
      where: 'generate.promptIndices',
      expected: `${count} indices`,
      received: `${given.length}`,
    })
  }
  return Int32Array.from(given, (index, i) =>
    requireInteger(index, `generate.promptIndices[${i}]`, 0, 2 ** 31 - 1),
  )
}

function flatten(prompts: readonly PromptRow[]): { values: Int32Array; offsets: Int32Array } {
  const offsets = new Int32Array(prompts.length + 1)
  prompts.forEach(({ promptTokens }, i) => {
    if (!(promptTokens instanceof Int32Array)) {
      throw invalidArgument(`prompt ${i}: promptTokens`, 'an Int32Array', promptTokens)
    }
    offsets[i + 1] = offsets[i]! + promptTokens.length
  })
  const values = new Int32Array(offsets[prompts.length]!)
  prompts.forEach(({ promptTokens }, i) => {
    values.set(promptTokens, offsets[i])
  })
  return { values, offsets }
}
