import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readSafetensorsHeader } from '../../src/checkpoint.ts'

const FOLDER = fileURLToPath(new URL('fixtures', import.meta.url))

/** Model folders with log-probs, entropies and gradients; made by make_fixtures.py. */
export const GRADIENT_FIXTURES = ['qwen2-tied', 'qwen3-untied', 'llama-llama3', 'mistral-window'] as const

export function fixturePath(...parts: string[]): string {
  return join(FOLDER, ...parts)
}

export interface ExpectedScores {
  loss: number
  /** One a completion token, rows in order. */
  logprobs: number[]
  entropies: number[]
}

export interface ExpectedSteps {
  setting: {
    importance: 'none' | 'token'
    clip: number
    kl_coef: number
    entropy_coef: number
    learning_rate: number
    weight_decay: number
    max_grad_norm: number
  }
  /** Before each of ten steps. */
  losses: number[]
  grad_norms: number[]
}

export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8'))
}

/** Rows of a JSONL file. */
export function readRows<T>(path: string): T[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}

/** Every tensor of a file in F32, by name. */
export function readFloats(path: string): Map<string, Float32Array> {
  const file = openSync(path, 'r')
  try {
    return new Map(
      [...readSafetensorsHeader(path).tensors.values()].map(({ name, dtype, offset, bytes }) => {
        if (dtype !== 'F32') throw new Error(`${path}: ${name} is ${dtype}`)
        const values = new Float32Array(bytes / 4)
        if (readSync(file, values, 0, bytes, offset) !== bytes) throw new Error(`${path}: ${name} ends early`)
        return [name, values]
      }),
    )
  } finally {
    closeSync(file)
  }
}

/** One weight a completion token: a row has a list of them, or a number that stands for all. */
export function tokenWeightsOf(
  rows: readonly { completion_tokens: number[]; token_weights: number | number[] }[],
): Float32Array {
  return Float32Array.from(
    rows.flatMap(({ completion_tokens: tokens, token_weights: weights }) =>
      typeof weights === 'number' ? tokens.map(() => weights) : weights,
    ),
  )
}

export function maxDifference(values: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (values.length !== expected.length) return Number.POSITIVE_INFINITY
  let worst = 0
  for (let i = 0; i < expected.length; i++) worst = largerOrNaN(worst, Math.abs(values[i]! - expected[i]!))
  return worst
}

/** Norm of the difference over norm of the expected, the latter at least `floor`. */
export function relativeDifference(
  values: ArrayLike<number>,
  expected: ArrayLike<number>,
  floor = 1e-6,
): number {
  if (values.length !== expected.length) return Number.POSITIVE_INFINITY
  let difference = 0
  let reference = 0
  for (let i = 0; i < expected.length; i++) {
    difference += (values[i]! - expected[i]!) ** 2
    reference += expected[i]! ** 2
  }
  return Math.sqrt(difference) / Math.max(floor, Math.sqrt(reference))
}

/** Math.max that keeps NaN wherever it stands. */
function largerOrNaN(a: number, b: number): number {
  return a >= b ? a : b > a ? b : Number.NaN
}
