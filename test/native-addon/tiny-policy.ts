import { defaultConfig } from '../../src/checkpoint.ts'
import { type InitOptions, Policy } from '../../src/policy.ts'
import type { PromptRow } from '../../src/prompts.ts'
import { appendColumns, type RolloutBatch } from '../../src/rollouts.ts'

export const VOCAB = 61
export const MAX_POSITIONS = 192

export const TINY_CONFIG = defaultConfig({
  vocabSize: VOCAB,
  hiddenSize: 32,
  numLayers: 2,
  numHeads: 4,
  numKvHeads: 2,
  intermediateSize: 64,
  maxPositions: MAX_POSITIONS,
  eosTokenId: 3,
})

/** A random model of a few thousand parameters; in a second or two it does thousands of tokens. */
export function tinyPolicy(options: Partial<InitOptions> = {}): Promise<Policy> {
  return Policy.init({ config: TINY_CONFIG, seed: 1, threads: 2, ...options })
}

/** A model whose micro-batches take long enough to be interrupted. */
export function slowPolicy(): Promise<Policy> {
  const config = defaultConfig({
    vocabSize: 2048,
    hiddenSize: 256,
    numLayers: 4,
    numHeads: 4,
    intermediateSize: 1024,
    maxPositions: 512,
  })
  return Policy.init({ config, seed: 1, threads: 2 })
}

/** Prompts of the given lengths. */
export function promptsOfLength(...lengths: number[]): PromptRow[] {
  return lengths.map((length, i) => ({
    promptId: `p${i}`,
    prompt: '',
    reference: '',
    promptTokens: Int32Array.from({ length }, (_, t) => (7 * i + 5 * t + 1) % VOCAB),
  }))
}

/** Verdicts by a rule that leaves both classes in every group. */
export function judged(batch: RolloutBatch): RolloutBatch {
  const right = Array.from({ length: batch.numRows }, (_, row) => row % 3 === 0)
  return appendColumns(batch, {
    verdict: right.map((yes) => (yes ? 'right' : 'wrong')),
    reward: right.map(Number),
  })
}

/** Rows of random tokens as the engine takes them, offsets beginning at `first`. */
export function randomRows(
  rows: number,
  promptLength: number,
  completionLength: number,
  vocab = VOCAB,
  first = 0,
) {
  const list = (length: number, salt: number) => ({
    values: Int32Array.from({ length: first + rows * length }, (_, i) => (i * 31 + salt) % vocab),
    offsets: Int32Array.from({ length: rows + 1 }, (_, row) => first + row * length),
  })
  return { rows, promptTokens: list(promptLength, 3), completionTokens: list(completionLength, 11) }
}
