import { type ComputeDtype, defaultConfig, Policy, type PromptRow, type TokenColumns } from '../../index.ts'
import type { BenchContext } from './bench-row.ts'

/** A model that steps and generations are timed on; parameters are random, which changes no time. */
export interface BenchModel {
  name: string
  hiddenSize: number
  numLayers: number
  numHeads: number
  intermediateSize: number
  vocabSize: number
  /** Tokens of a training row. */
  length: number
  /** Rows of a training step. */
  batch: number
}

export const BENCH_MODELS: Readonly<Record<'S' | 'M', BenchModel>> = {
  S: {
    ...{ name: 'S', hiddenSize: 256, numLayers: 4, numHeads: 4, intermediateSize: 1024 },
    ...{ vocabSize: 128, length: 128, batch: 32 },
  },
  M: {
    ...{ name: 'M', hiddenSize: 512, numLayers: 8, numHeads: 8, intermediateSize: 2048 },
    ...{ vocabSize: 4096, length: 256, batch: 8 },
  },
}

export interface BenchBackend {
  device?: 'auto' | 'cpu' | 'cuda'
  dtype?: ComputeDtype
  threads?: number
  isa?: string
}

export function openModel(model: BenchModel, backend: BenchBackend): Promise<Policy> {
  const { hiddenSize, numLayers, numHeads, intermediateSize, vocabSize, length } = model
  const config = defaultConfig({
    ...{ modelType: 'llama', hiddenSize, numLayers, numHeads, intermediateSize, vocabSize },
    ...{ maxPositions: 4 * length, tieEmbeddings: true },
  })
  return Policy.init({ config, seed: 1, ...backend })
}

export function contextOf(policy: Policy): BenchContext {
  const { device, isa, threads } = policy.info
  return { device, isa, threads, dtype: policy.dtype }
}

/** Multiplications and additions of a training step, for each token: three times the forward pass. */
export function trainingFlops(model: BenchModel): number {
  const { hiddenSize, numLayers, intermediateSize, vocabSize, length } = model
  const layer = 4 * hiddenSize ** 2 + 3 * hiddenSize * intermediateSize
  const products = 2 * (numLayers * layer + vocabSize * hiddenSize)
  // Scores and values over half of the positions, on average.
  const attention = 2 * hiddenSize * length * numLayers
  return 3 * (products + attention)
}

/** Rows that predict every token but the first: the prompt is one token long. */
export function trainingRows(model: BenchModel): TokenColumns {
  const { batch, length } = model
  const token = pseudoTokens(model)
  const spans = (size: number) => Int32Array.from({ length: batch + 1 }, (_, row) => row * size)
  return {
    rows: batch,
    promptTokens: { values: Int32Array.from({ length: batch }, token), offsets: spans(1) },
    completionTokens: {
      values: Int32Array.from({ length: batch * (length - 1) }, token),
      offsets: spans(length - 1),
    },
  }
}

export function promptsOfLength(model: BenchModel, count: number, length: number): PromptRow[] {
  const token = pseudoTokens(model)
  return Array.from({ length: count }, (_, i) => ({
    promptId: String(i),
    prompt: '',
    reference: '',
    promptTokens: Int32Array.from({ length }, token),
  }))
}

/** Tokens spread over the vocabulary, the same in every run. */
function pseudoTokens(model: BenchModel): () => number {
  let state = 1
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state % model.vocabSize
  }
}
