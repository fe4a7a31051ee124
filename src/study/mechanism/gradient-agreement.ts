import { tensorShapesOf } from '../../checkpoint.ts'
import { judge } from '../../judge.ts'
import type { Policy } from '../../policy.ts'
import type { PromptRow } from '../../prompts.ts'
import { columnsOf, type RolloutBatch, takeRows } from '../../rollouts.ts'
import { isRight, type Verifier } from '../../verdicts.ts'
import { createVerifierPool } from '../../verify.ts'

export interface AgreementOptions {
  /** Rollouts in all: a power of two times `block`. */
  rollouts: number
  /** Rollouts of the smallest sets that are compared. */
  block: number
  numGenerations: number
  maxCompletionLength: number
  seed: number
}

/** How far the gradients of PSR and of NSR agree at one policy, both summed over the same rollouts. */
export interface Agreement {
  /** Share of right rollouts. */
  accuracy: number
  levels: AgreementLevel[]
  /**
   * The cosine of the expected gradients, from products of gradients of two halves that share no rollout: noise has no part in
   * their expectation. Null where the noise leaves no positive square.
   */
  expectedCosine: number | null
}

/** Means over all disjoint sets of so many rollouts. */
export interface AgreementLevel {
  rollouts: number
  sets: number
  cosine: number
  /** Standard deviation over the sets; null for one. */
  cosineDeviation: number | null
  /** Norm of NSR's gradient over that of PSR's. */
  normRatio: number
}

/** Not the noise of a training step, of an evaluation or of examples. */
const FIRST_STEP = 2 ** 31

/**
 * Samples rollouts of `prompts` in turn and compares the sum of grad log pi over right completions with minus that over wrong ones,
 * for growing numbers of rollouts. In expectation the two are one, since the probabilities of all answers sum to one. The policy
 * is not changed; its last gradient is.
 */
export async function gradientAgreement(
  policy: Policy,
  prompts: readonly PromptRow[],
  verifier: Verifier,
  options: AgreementOptions,
): Promise<Agreement> {
  const { rollouts, block, numGenerations, maxCompletionLength, seed } = options
  const tensors = tensorShapesOf(policy.config)
  await using pool = await createVerifierPool(verifier)
  const promptsOfBlock = block / numGenerations
  const pairs: GradientPair[] = []
  let right = 0
  for (let i = 0; i < rollouts / block; i++) {
    const drawn = Array.from(
      { length: promptsOfBlock },
      (_, j) => prompts[(i * promptsOfBlock + j) % prompts.length]!,
    )
    const sampling = { numGenerations, maxCompletionLength, seed, step: FIRST_STEP + i }
    const batch = await judge(await policy.generateAll(drawn, sampling), pool)
    const { rewards = [], verdicts } = columnsOf(batch)
    const isRowRight = Array.from(rewards, (reward, row) => isRight(reward, verdicts?.[row]))
    right += isRowRight.filter(Boolean).length
    pairs.push({
      positive: await summedGradient(policy, batch, rowsWhere(isRowRight, true), 1, tensors),
      negative: await summedGradient(policy, batch, rowsWhere(isRowRight, false), -1, tensors),
    })
  }
  return { accuracy: right / rollouts, ...agreementOf(pairs, block) }
}

/** Sums of gradients over the right and, with the sign turned, the wrong completions of one set of rollouts. */
export interface GradientPair {
  positive: Float64Array
  negative: Float64Array
}

/** Compares the pairs, then the sums of neighbours, until one is left. The pairs' arrays are overwritten. */
export function agreementOf(
  pairs: readonly GradientPair[],
  block: number,
): Pick<Agreement, 'levels' | 'expectedCosine'> {
  const levels: AgreementLevel[] = []
  let expectedCosine: number | null = null
  let now = [...pairs]
  for (let rollouts = block; ; rollouts *= 2) {
    levels.push(levelOf(now, rollouts))
    if (now.length === 1) return { levels, expectedCosine }
    if (now.length === 2) expectedCosine = crossCosine(now[0]!, now[1]!)
    now = Array.from({ length: Math.floor(now.length / 2) }, (_, i) => sum(now[2 * i]!, now[2 * i + 1]!))
  }
}

function levelOf(pairs: readonly GradientPair[], rollouts: number): AgreementLevel {
  const squares = pairs.map(
    ({ positive, negative }) => [dot(positive, positive), dot(negative, negative)] as const,
  )
  const cosines = pairs.map(({ positive, negative }, i) => {
    const [p, n] = squares[i]!
    return p === 0 || n === 0 ? 0 : dot(positive, negative) / Math.sqrt(p * n)
  })
  const mean = cosines.reduce((a, b) => a + b, 0) / cosines.length
  const variance = cosines.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(1, cosines.length - 1)
  const total = (which: 0 | 1) => squares.reduce((a, pair) => a + pair[which], 0)
  return {
    rollouts,
    sets: pairs.length,
    cosine: short(mean),
    cosineDeviation: pairs.length === 1 ? null : short(Math.sqrt(variance)),
    normRatio: short(Math.sqrt(total(1) / total(0))),
  }
}

function crossCosine(a: GradientPair, b: GradientPair): number | null {
  const product = (dot(a.positive, b.negative) + dot(b.positive, a.negative)) / 2
  const squares = dot(a.positive, b.positive) * dot(a.negative, b.negative)
  return squares > 0 ? short(product / Math.sqrt(squares)) : null
}

/** Adds `b` to `a` in place. */
function sum(a: GradientPair, b: GradientPair): GradientPair {
  for (const key of ['positive', 'negative'] as const)
    for (let i = 0; i < a[key].length; i++) a[key][i]! += b[key][i]!
  return a
}

/** Of weight x log pi over the completions of some rows, but for the sign; all tensors one after the other. */
async function summedGradient(
  policy: Policy,
  batch: RolloutBatch,
  rows: number[],
  weight: number,
  tensors: ReturnType<typeof tensorShapesOf>,
): Promise<Float64Array> {
  const sizes = tensors.map(({ shape }) => shape.reduce((a, b) => a * b))
  const all = new Float64Array(sizes.reduce((a, b) => a + b))
  if (rows.length === 0) return all
  const kept = takeRows(batch, rows)
  const { offsets } = columnsOf(kept).completionTokens
  // grad is of the loss, -sum weight log pi: the direction of ascent has the other sign, which no cosine between the two sees.
  await policy.grad(kept, new Float32Array(offsets.at(-1)! - offsets[0]!).fill(weight))
  let at = 0
  for (const [i, { name }] of tensors.entries()) {
    all.set(await policy.gradient(name), at)
    at += sizes[i]!
  }
  return all
}

function rowsWhere(isRowRight: readonly boolean[], wanted: boolean): number[] {
  return isRowRight.flatMap((right, row) => (right === wanted ? [row] : []))
}

function dot(a: Float64Array, b: Float64Array): number {
  let total = 0
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!
  return total
}

function short(value: number): number {
  return Number(value.toPrecision(5))
}
