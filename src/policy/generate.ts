import type { Schema } from 'apache-arrow'
import { CoppiceError, invalidArgument } from '../errors.ts'
import type { NativeEngine, NativeGeneration, NativeGenerationParams, NativeGroup } from '../native/types.ts'
import { call, callNow } from '../native.ts'
import { refuseUnknownKeys, requireInteger, requireNumber, requireOneOf } from '../options.ts'
import type { PromptRow } from '../prompts.ts'
import { type ColumnValues, makeBatch, type RolloutBatch, rolloutSchema } from '../rollouts.ts'
import type { Tokenizer } from '../tokenizer.ts'
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

/** All completions of one prompt; `prompt` is its place among the prompts given. */
export interface FinishedGroup {
  prompt: number
  batch: RolloutBatch
}

/** One group for each prompt, in the order in which their completions end. */
export async function* generateGroups(
  { engine, tokenizer, ...defaults }: GenerationContext,
  prompts: readonly PromptRow[],
  options: GenerateOptions,
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
  try {
    for (;;) {
      const group = await watched(generation, prompts.length, onProgress)
      if (onAbort === 'throw') signal?.throwIfAborted()
      if (group === null) return
      yield { prompt: group.prompt, batch: rolloutBatch(group, prompts[group.prompt]!, tokenizer) }
    }
  } finally {
    signal?.removeEventListener('abort', abort)
    await generation.close()
  }
}

/** Waits for the next group and tells now and then how far the generation is. */
async function watched(
  generation: NativeGeneration,
  groups: number,
  onProgress: ((progress: GenerateProgress) => void) | undefined,
): Promise<NativeGroup | null> {
  if (onProgress === undefined) return call(() => generation.next())
  const report = () => onProgress({ groups, ...generation.progress() })
  let failure: { cause: unknown } | undefined
  const timer = setInterval(() => {
    try {
      report()
    } catch (cause) {
      failure ??= { cause }
    }
  }, PROGRESS_INTERVAL_MS)
  try {
    const group = await call(() => generation.next())
    if (failure !== undefined) throw failure.cause
    report()
    return group
  } finally {
    clearInterval(timer)
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

/** A finished group as a batch: native memory under the numbers, text made here. */
function rolloutBatch(group: NativeGroup, prompt: PromptRow, tokenizer: Tokenizer | undefined): RolloutBatch {
  const { rows, completionTokens, completionOffsets } = group
  const repeated = (text: string) => new Array<string>(rows).fill(text)
  const perToken = <A extends Float32Array | Uint8Array | Int32Array>(values: A) => ({
    values,
    offsets: completionOffsets,
  })
  const completion = (_: unknown, row: number) =>
    textOf(completionTokens.subarray(completionOffsets[row], completionOffsets[row + 1]), tokenizer)
  const columns: Record<string, ColumnValues> = {
    prompt_id: repeated(prompt.promptId),
    prompt: repeated(prompt.prompt),
    reference: repeated(prompt.reference),
    prompt_tokens: { values: group.promptTokens, offsets: group.promptOffsets },
    group_id: group.groupIds,
    sample_index: group.sampleIndex,
    completion_tokens: perToken(completionTokens),
    completion: Array.from({ length: rows }, completion),
    completion_mask: perToken(group.completionMask),
    logprobs: perToken(group.logprobs),
    ...(group.samplerLogprobs && { sampler_logprobs: perToken(group.samplerLogprobs) }),
    ...(group.entropies && { entropies: perToken(group.entropies) }),
    temperature: group.temperature,
    finish_reason: group.finishReasons,
    seed: group.seed,
    policy_step: group.policyStep,
  }
  return makeBatch(rows, columns)
}

/** The text of tokens without the special ones; an embedding may have rows that the tokenizer has no token for. */
function textOf(tokens: Int32Array, tokenizer: Tokenizer | undefined): string {
  if (tokenizer === undefined) return ''
  const decode = (ids: Iterable<number>) => tokenizer.decode(ids, { skipSpecialTokens: true })
  try {
    return decode(tokens)
  } catch {
    const isKnown = (id: number) => {
      try {
        return decode([id]) !== undefined
      } catch {
        return false
      }
    }
    return decodeAround(tokens, isKnown, decode)
  }
}

/** Runs of known tokens decoded each as a whole, and a replacement character for every other token. */
function decodeAround(
  tokens: Int32Array,
  isKnown: (id: number) => boolean,
  decode: (ids: Iterable<number>) => string,
): string {
  let text = ''
  let begin = 0
  for (let i = 0; i <= tokens.length; i++) {
    if (i < tokens.length && isKnown(tokens[i]!)) continue
    text += decode(tokens.subarray(begin, i)) + (i < tokens.length ? '\uFFFD' : '')
    begin = i + 1
  }
  return text
}
