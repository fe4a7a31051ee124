import {
  type ComputeDtype,
  defaultConfig,
  type JsonObject,
  Policy,
  type PromptRow,
  type TokenColumns,
} from '../../index.ts'
import type { BenchContext } from './bench-row.ts'
import type { ModelSize } from './floors.ts'

/** A model that steps and generations are timed on; parameters are random, which changes no time. */
export interface BenchModel extends ModelSize {
  name: string
  modelType: 'llama' | 'qwen2'
}

function llama(name: string, hiddenSize: number, numLayers: number, vocabSize: number): BenchModel {
  const numHeads = hiddenSize / 64
  return {
    ...{ name, modelType: 'llama', hiddenSize, numLayers, numHeads, numKvHeads: numHeads, headDim: 64 },
    ...{ intermediateSize: 4 * hiddenSize, vocabSize },
  }
}

/** The widths of Qwen2.5-0.5B; its slice is one layer and the head. */
function qwen(name: string, numLayers: number): BenchModel {
  return {
    ...{ name, modelType: 'qwen2', hiddenSize: 896, numLayers, numHeads: 14, numKvHeads: 2, headDim: 64 },
    ...{ intermediateSize: 4864, vocabSize: 151_936 },
  }
}

export const BENCH_MODELS = {
  XS: llama('XS', 128, 2, 128),
  S: llama('S', 256, 4, 128),
  M: llama('M', 512, 8, 4096),
  L: llama('L', 1024, 8, 4096),
  halfBillion: qwen('Qwen2.5-0.5B', 24),
  slice: qwen('Qwen2.5-0.5B-slice', 1),
} as const satisfies Record<string, BenchModel>

/** A model of the same kind that takes no time, for trying a bench out. */
export function tinyModel(model: BenchModel): BenchModel {
  return {
    ...{ ...model, name: `${model.name} made tiny`, hiddenSize: 32, numLayers: 1, numHeads: 2, headDim: 16 },
    ...{ numKvHeads: Math.min(2, model.numKvHeads), intermediateSize: 64 },
    vocabSize: Math.min(128, model.vocabSize),
  }
}

export interface BenchBackend {
  device?: 'auto' | 'cpu' | 'cuda'
  dtype?: ComputeDtype
  threads?: number
  isa?: string
}

/** The model's config.json. */
export function configOf(model: BenchModel, maxPositions: number): JsonObject {
  const { name, ...sizes } = model
  return defaultConfig({ ...sizes, maxPositions, tieEmbeddings: true })
}

export function openModel(model: BenchModel, backend: BenchBackend, maxPositions: number): Promise<Policy> {
  return Policy.init({ config: configOf(model, maxPositions), seed: 1, ...backend })
}

export function contextOf(policy: Policy): BenchContext {
  const { device, isa, threads } = policy.info
  return { device, isa, threads, dtype: policy.dtype }
}

/** Rows of `length` tokens that are learnt from, and one before them, which is the prompt. */
export function trainingRows(vocabSize: number, rows: number, length: number): TokenColumns {
  return rolloutRows(vocabSize, rows, rows, 1, length)
}

/**
 * Rows of prompt and completion: `prompts` different prompts, one after the other in equally many neighbouring rows each, as the
 * rows of a group stand.
 */
export function rolloutRows(
  vocabSize: number,
  rows: number,
  prompts: number,
  promptLength: number,
  length: number,
): TokenColumns {
  const token = pseudoTokens(vocabSize)
  const own = Array.from({ length: prompts }, () => Int32Array.from({ length: promptLength }, token))
  const spans = (size: number) => Int32Array.from({ length: rows + 1 }, (_, row) => row * size)
  const values = new Int32Array(rows * promptLength)
  for (let row = 0; row < rows; row++)
    values.set(own[Math.floor((row * prompts) / rows)]!, row * promptLength)
  return {
    rows,
    promptTokens: { values, offsets: spans(promptLength) },
    completionTokens: { values: Int32Array.from({ length: rows * length }, token), offsets: spans(length) },
  }
}

export function promptsOfLength(vocabSize: number, count: number, length: number): PromptRow[] {
  const token = pseudoTokens(vocabSize)
  return Array.from({ length: count }, (_, i) => ({
    promptId: String(i),
    prompt: '',
    reference: '',
    promptTokens: Int32Array.from({ length }, token),
  }))
}

/** Tokens spread over the vocabulary, the same in every run. */
function pseudoTokens(vocabSize: number): () => number {
  let state = 1
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * vocabSize)
  }
}
