import { Random } from '../../statistics/random.ts'
import { GradientStep, type TabularOptimizer } from './tabular-optimizer.ts'

// The question of the study with everything taken away that can hide the answer: a policy that is one softmax.

/**
 * A policy that is one softmax over strategies, shared by all prompts. Some strategies are good; a prompt accepts each good one
 * with a probability of its own split, a bad one never. Held-out prompts accept fewer of them, so that keeping several pays.
 */
export interface TabularSettings {
  strategies: number
  /** How many of them are good. */
  good: number
  /** The probability that a training prompt accepts a good strategy. */
  acceptance: number
  heldoutAcceptance: number
  heldoutPrompts: number
  /** Size of the pool that training prompts are drawn from; null: every step has fresh ones. */
  prompts: number | null
  promptsPerStep: number
  numGenerations: number
  steps: number
  /** Mini-batches of a rollout batch, equal parts of its kept rows. */
  updates: number
  /** Bounds of the ratio, 1 minus and 1 plus this; null: the ratio is not clipped. */
  epsilon: number | null
  /** Rows that the loss is divided by: those that the method keeps, or all of the mini-batch's share. */
  denominator: 'kept' | 'all'
  /** `exact`: the expected gradient over the step's prompts, in place of sampled rollouts; one update. */
  gradient: 'sampled' | 'exact'
  optimizer: TabularOptimizer
}

export type TabularMethod = 'psr' | 'nsr' | 'w-reinforce' | 'reinforce' | 'grpo'

export interface TabularOutcome {
  /** Expected pass@k over the held-out prompts, by k; exact, not sampled. */
  passAtK: Record<string, number>
  /** Expected accuracy on the training prompts. */
  trainAccuracy: number
  /** Nats. */
  entropy: number
}

/** Several changes of one tabular setting, each with every method and seed. */
export interface TabularStudy {
  seeds: number[]
  methods: TabularMethod[]
  reference: TabularSettings
  conditions: { name: string; title: string; change: Partial<TabularSettings> }[]
}

export const TABULAR_KS = [1, 4, 16, 64, 256] as const
const LAMBDA = 0.1

/** Trains one method with one seed and judges it without sampling. Float64 throughout. */
export function runTabular(settings: TabularSettings, method: TabularMethod, seed: number): TabularOutcome {
  const { strategies, steps, promptsPerStep, prompts } = settings
  const random = new Random(seed, 'tabular')
  const logits = Float64Array.from({ length: strategies }, () => normal(random))
  const good = random.shuffle(Array.from({ length: strategies }, (_, i) => i)).slice(0, settings.good)
  const accepting = (count: number, probability: number) =>
    Array.from({ length: count }, () => {
      const accepts = new Uint8Array(strategies)
      for (const strategy of good) accepts[strategy] = random.chance(probability) ? 1 : 0
      return accepts
    })
  // A fresh prompt differs from one of a pool in that it never comes again: no strategy is better than another for long.
  const pool = accepting(prompts ?? settings.heldoutPrompts, settings.acceptance)
  const heldout = accepting(settings.heldoutPrompts, settings.heldoutAcceptance)
  const optimizer = new GradientStep(settings.optimizer, strategies)
  for (let step = 0; step < steps; step++) {
    const drawn =
      prompts === null
        ? accepting(promptsPerStep, settings.acceptance)
        : Array.from({ length: promptsPerStep }, () => random.pick(pool))
    if (settings.gradient === 'exact') {
      const gradient = expectedGradient(softmax(logits), drawn, method, settings.denominator)
      if (gradient !== null) optimizer.apply(logits, gradient)
    } else {
      const rows = keptRows(sampleRows(random, softmax(logits), drawn, settings.numGenerations), method)
      for (const rowsOfUpdate of cut(rows, settings.updates)) {
        const all = (promptsPerStep * settings.numGenerations) / settings.updates
        const gradient = surrogateGradient(logits, rowsOfUpdate, settings, all)
        if (gradient !== null) optimizer.apply(logits, gradient)
      }
    }
  }
  return judge(softmax(logits), pool, heldout)
}

interface Row {
  strategy: number
  right: boolean
  /** Rows of one prompt are of one group. */
  group: number
  /** The strategy's probability when it was drawn. */
  probability: number
}

interface WeighedRow extends Row {
  advantage: number
}

function sampleRows(
  random: Random,
  policy: Float64Array,
  drawn: readonly Uint8Array[],
  tries: number,
): Row[] {
  const rows = drawn.flatMap((accepts, group) =>
    Array.from({ length: tries }, () => {
      const strategy = drawFrom(policy, random.uniform())
      return { strategy, right: accepts[strategy] === 1, group, probability: policy[strategy]! }
    }),
  )
  // Mini-batches are parts of the whole, not prompts of their own.
  return random.shuffle(rows)
}

/** The rows that a method learns from, with their advantages. */
function keptRows(rows: readonly Row[], method: TabularMethod): WeighedRow[] {
  const weigh = (kept: readonly Row[], advantage: (row: Row) => number) =>
    kept.map((row) => ({ ...row, advantage: advantage(row) }))
  switch (method) {
    case 'psr':
      return weigh(
        rows.filter(({ right }) => right),
        () => 1,
      )
    case 'nsr':
      return weigh(
        rows.filter(({ right }) => !right),
        () => -1,
      )
    case 'w-reinforce':
      return weigh(rows, ({ right }) => (right ? LAMBDA : -1))
    case 'reinforce':
      return weigh(rows, ({ right }) => (right ? 1 : -1))
    case 'grpo': {
      const shares = groupShares(rows)
      return weigh(rows, ({ right, group }) => {
        const share = shares.get(group)!
        const deviation = Math.sqrt(share * (1 - share))
        return deviation === 0 ? 0 : ((right ? 1 : 0) - share) / deviation
      })
    }
  }
}

function groupShares(rows: readonly Row[]): Map<number, number> {
  const counts = new Map<number, [right: number, all: number]>()
  for (const { group, right } of rows) {
    const [r, n] = counts.get(group) ?? [0, 0]
    counts.set(group, [r + (right ? 1 : 0), n + 1])
  }
  return new Map([...counts].map(([group, [r, n]]) => [group, r / n]))
}

function cut<T>(rows: readonly T[], parts: number): T[][] {
  return Array.from({ length: parts }, (_, i) =>
    rows.slice(Math.floor((i * rows.length) / parts), Math.floor(((i + 1) * rows.length) / parts)),
  )
}

/** The direction of ascent of the clipped surrogate; null where there is nothing to learn from. */
function surrogateGradient(
  logits: Float64Array,
  rows: readonly WeighedRow[],
  { epsilon, denominator }: TabularSettings,
  allRows: number,
): Float64Array | null {
  if (!rows.some(({ advantage }) => advantage !== 0)) return null
  const policy = softmax(logits)
  const gradient = new Float64Array(logits.length)
  const norm = denominator === 'kept' ? rows.length : allRows
  let total = 0
  for (const { strategy, advantage, probability } of rows) {
    const ratio = policy[strategy]! / probability
    if (isClipped(ratio, advantage, epsilon)) continue
    const weight = (advantage * ratio) / norm
    gradient[strategy]! += weight
    total += weight
  }
  // d log pi(s) / d logit(v) = [v = s] - pi(v)
  for (let v = 0; v < gradient.length; v++) gradient[v]! -= total * policy[v]!
  return gradient
}

function isClipped(ratio: number, advantage: number, epsilon: number | null): boolean {
  if (epsilon === null) return false
  return advantage > 0 ? ratio > 1 + epsilon : ratio < 1 - epsilon
}

/**
 * The expected gradient of the mean over one rollout of each prompt drawn, or over those of them that are kept. The sum over right and
 * wrong answers of pi grad log pi is 0: psr and nsr have one gradient, and differ in the share of kept rows alone.
 */
export function expectedGradient(
  policy: Float64Array,
  drawn: readonly Uint8Array[],
  method: TabularMethod,
  denominator: TabularSettings['denominator'],
): Float64Array | null {
  const gradient = new Float64Array(policy.length)
  let kept = 0
  for (const accepts of drawn) {
    const solved = dot(policy, accepts)
    const spread = Math.sqrt(solved * (1 - solved))
    const weights: Record<TabularMethod, readonly [right: number, wrong: number]> = {
      psr: [1, 0],
      nsr: [0, -1],
      'w-reinforce': [LAMBDA, -1],
      reinforce: [1, -1],
      grpo: spread === 0 ? [0, 0] : [(1 - solved) / spread, -solved / spread],
    }
    const [right, wrong] = weights[method]
    kept += method === 'psr' ? solved : method === 'nsr' ? 1 - solved : 1
    const mean = right * solved + wrong * (1 - solved)
    for (let v = 0; v < gradient.length; v++)
      gradient[v]! += policy[v]! * ((accepts[v] === 1 ? right : wrong) - mean)
  }
  if (kept === 0) return null
  const norm = denominator === 'kept' ? kept : drawn.length
  return gradient.map((value) => value / norm)
}

function judge(
  policy: Float64Array,
  pool: readonly Uint8Array[],
  heldout: readonly Uint8Array[],
): TabularOutcome {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const solved = heldout.map((accepts) => dot(policy, accepts))
  return {
    passAtK: Object.fromEntries(
      TABULAR_KS.map((k) => [
        String(k),
        mean(solved.map((p) => -Math.expm1(k * Math.log1p(-Math.min(p, 1))))),
      ]),
    ),
    trainAccuracy: mean(pool.map((accepts) => dot(policy, accepts))),
    entropy: -policy.reduce((sum, p) => (p > 0 ? sum + p * Math.log(p) : sum), 0),
  }
}

function softmax(logits: Float64Array): Float64Array {
  const largest = logits.reduce((a, b) => Math.max(a, b))
  const out = logits.map((logit) => Math.exp(logit - largest))
  const sum = out.reduce((a, b) => a + b)
  return out.map((value) => value / sum)
}

function dot(policy: Float64Array, accepts: Uint8Array): number {
  return Math.min(
    1,
    policy.reduce((sum, p, i) => sum + p * accepts[i]!, 0),
  )
}

function drawFrom(policy: Float64Array, uniform: number): number {
  let rest = uniform
  for (let i = 0; i < policy.length - 1; i++) {
    rest -= policy[i]!
    if (rest < 0) return i
  }
  return policy.length - 1
}

/** Standard normal, by Box and Muller. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform())
}
