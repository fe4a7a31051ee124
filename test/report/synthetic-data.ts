import type {
  MetricsRow,
  ReportData,
  ReportEvaluation,
  ReportMethod,
  ReportSample,
  SampleGroup,
} from '../../src/report/report-data.ts'

// Invented figures of realistic size and shape for the tests of the report. They come from no run.

/** Deterministic numbers in (0, 1). */
function uniformsFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 2 ** 32
  }
}

interface Shape {
  name: string
  label: string
  base?: boolean
  /** Mean success rate and how strongly prompts differ (large: all or nothing). */
  skill: number
  spread: number
  /** Entropy at the end of training, from 1.27. */
  entropy: number
}

const SHAPES: Shape[] = [
  { name: 'base', label: 'Base', base: true, skill: 0.18, spread: 1.0, entropy: 1.27 },
  { name: 'psr', label: 'PSR', skill: 0.24, spread: 4.5, entropy: 0.41 },
  { name: 'nsr', label: 'NSR', skill: 0.34, spread: 2.9, entropy: 0.57 },
  { name: 'w-reinforce', label: 'W-REINFORCE 0.1', skill: 0.335, spread: 3.1, entropy: 0.36 },
  { name: 'grpo', label: 'GRPO', skill: 0.3, spread: 3.4, entropy: 0.37 },
  { name: 'reinforce', label: 'REINFORCE', skill: 0.29, spread: 3.8, entropy: 0.39 },
]

const SETS = [
  { name: 'hard', label: 'hard', description: 'Sparse graphs with about 8 valid walks each.', ease: 0 },
  { name: 'medium', label: 'medium', description: 'Graphs with about 70 valid walks each.', ease: 1.1 },
  {
    name: 'control',
    label: 'control',
    description: 'Training stopped early; nothing should separate.',
    ease: 0.6,
  },
]

export interface SyntheticSize {
  prompts: number
  n: number
  steps: number
  seeds: number[]
  /** How many of the methods, the base policy included. */
  methods: number
}

export const FULL_SIZE: SyntheticSize = { prompts: 200, n: 256, steps: 120, seeds: [1, 2], methods: 6 }

export function syntheticReport(size: Partial<SyntheticSize> = {}): ReportData {
  const { prompts, n, steps, seeds, methods } = { ...FULL_SIZE, ...size }
  const shapes = SHAPES.slice(0, methods)
  return {
    title: 'Which part of the reward buys accuracy, and which diversity?',
    summary:
      'One base policy, trained on the task “walk” (visit all 8 nodes of a directed graph once) with five objectives ' +
      'under one budget, then asked for 256 answers to each held-out prompt.',
    notes: [
      'Learning rate and number of steps were chosen on other prompts and frozen before these seeds were run.',
    ],
    sets: SETS.map(({ name, label, description }) => ({ name, label, description })),
    methods: shapes.map((shape, i) => method(shape, i, { prompts, n, steps, seeds })),
    groups: groups(shapes),
    settings: [
      {
        title: 'Task',
        values: { task: 'walk', nodes: 8, 'density, training': 0.8, 'training prompts': 256 },
      },
      { title: 'Policy', values: { d: 64, layers: 3, heads: 4, parameters: '185,344', vocabulary: 265 } },
      {
        title: 'Training',
        values: {
          steps,
          'prompts a step': 64,
          'completions a prompt': 8,
          'learning rate': 2e-4,
          'weight decay': 0.01,
          'ratio clip': '0.2 / 0.2',
          'KL coefficient': null,
        },
      },
    ],
    environment: {
      machine: 'Example processor, 2 cores at 4.1 GHz',
      cores: 2,
      threads: 2,
      instruction_set: 'avx512',
      device: 'cpu',
      dtype: 'f32',
      commit: '0123456789abcdef0123456789abcdef01234567',
      versions: { coppice: '0.1.0', node: '20.20.2', system: 'Linux 6.1 x64' },
      seeds,
      started_at: '2025-11-22T20:48:11.000Z',
      phases: [
        { name: 'demonstrations', seconds: 6.4 },
        { name: 'base policy', seconds: 151 },
        ...shapes.slice(1).map((shape, i) => ({ name: `train ${shape.name}`, seconds: 44 + 3 * i })),
        { name: 'evaluation', seconds: 83 },
      ],
    },
    bootstrap: { resamples: 2000 },
  }
}

function method(shape: Shape, index: number, size: Omit<SyntheticSize, 'methods'>): ReportMethod {
  const seeds = shape.base === true ? [size.seeds[0]!] : size.seeds
  return {
    name: shape.name,
    label: shape.label,
    ...(shape.base === true ? { base: true } : {}),
    runs: seeds.map((seed) => ({
      seed,
      evaluations: Object.fromEntries(
        SETS.map((set, s) => [set.name, evaluation(shape, set.ease, 1000 * s, 7919 * index + seed, size)]),
      ),
      ...(shape.base === true ? {} : { metrics: metrics(shape, 104729 * index + seed, size.steps) }),
    })),
  }
}

/** Prompts keep their difficulty over methods; a method's skill and a seed's luck shift it. */
function evaluation(
  shape: Shape,
  ease: number,
  setSeed: number,
  runSeed: number,
  { prompts, n }: { prompts: number; n: number },
): ReportEvaluation {
  const difficulty = uniformsFrom(setSeed + 17)
  const luck = uniformsFrom(setSeed + runSeed)
  const shift = Math.log(shape.skill / (1 - shape.skill)) + ease + 0.3 * (luck() - 0.5)
  const right_counts = Array.from({ length: prompts }, () => {
    const u = difficulty()
    const logit = shift * (0.6 + 0.4 * shape.spread) + shape.spread * Math.log(u / (1 - u)) * 0.9
    const rate = 1 / (1 + Math.exp(-logit))
    let c = 0
    for (let i = 0; i < n; i++) if (luck() < rate) c++
    return { n, c }
  })
  const rate = right_counts.reduce((sum, { c }) => sum + c / n, 0) / prompts
  return {
    right_counts,
    greedy_accuracy: Math.min(1, rate + 0.1 + 0.02 * luck()),
    entropy: shape.entropy + 0.03 * luck(),
    distinct_right: 10 / shape.spread + luck(),
    majority: Math.min(1, rate + 0.07),
    unparsed: 0.004 * luck(),
    mean_length: 9 + 0.01 * luck(),
  }
}

function metrics(shape: Shape, seed: number, steps: number): MetricsRow[] {
  const next = uniformsFrom(seed)
  return Array.from({ length: steps }, (_, i) => {
    const step = i + 1
    const done = 1 - Math.exp(-step / (steps / 4))
    const accuracy = Math.min(1, 0.64 + 0.34 * done + 0.04 * (next() - 0.5))
    return {
      step,
      reward: shape.name === 'psr' ? accuracy : 2 * accuracy - 1,
      reward_std: 0.4 * (1 - done),
      frac_reward_zero_std: 0.1 + 0.75 * done + 0.05 * next(),
      frac_all_right: 0.08 + 0.74 * done + 0.06 * (next() - 0.5),
      accuracy,
      kl: 0,
      entropy: shape.entropy + (1.27 - shape.entropy) * (1 - done) + 0.03 * (next() - 0.5),
      'clip_ratio/low_mean': 0.004 * next() * (1 - 0.5 * done),
      'clip_ratio/high_mean': 0.003 * next(),
      'completions/mean_length': 9 + 0.2 * (next() - 0.5),
      grad_norm: (0.4 + 0.5 * next()) * (1.2 - done),
      learning_rate: 2e-4,
      num_tokens: step * 64 * 8 * 9,
      greedy_accuracy:
        step % 20 === 0 || step === 1 ? 0.8 - 0.35 * done * (shape.spread / 5) + 0.02 * next() : null,
      kept_rows: Math.round(
        512 * (shape.name === 'psr' ? accuracy : shape.name === 'nsr' ? 1 - accuracy : 1),
      ),
      updates: shape.name === 'nsr' ? Math.max(1, Math.round(2 - done)) : shape.name === 'psr' ? 3 : 4,
    }
  })
}

function groups(shapes: readonly Shape[]): SampleGroup[] {
  const next = uniformsFrom(99)
  return ['train-0017', 'train-0203'].map((prompt_id) => ({
    prompt_id,
    prompt: 'graph 0:1,3,5 1:2,6 2:0,4,7 3:1,6 4:3,5 5:2,7 6:0,4 7:3,6 :',
    reference: '0 5 2 7 3 1 6 4',
    note: 'Training prompt, step 40, the first update of the batch.',
    columns: shapes.slice(1).map((shape) => ({
      method: shape.name,
      seed: 1,
      samples: Array.from({ length: 4 }, () => sample(shape.name, next)),
    })),
  }))
}

function sample(method: string, next: () => number): ReportSample {
  const right = next() < 0.5
  const nodes = [0, 1, 2, 3, 4, 5, 6, 7].map((node) => ({ node, key: next() })).sort((a, b) => a.key - b.key)
  const tokens = [...nodes.map(({ node }) => `${node} `), '\n']
  const advantage =
    method === 'psr'
      ? Number(right)
      : method === 'nsr'
        ? Number(right) - 1
        : right
          ? method === 'w-reinforce'
            ? 0.1
            : 1
          : -1
  return {
    tokens,
    logprobs: tokens.map(() => Math.log(0.15 + 0.849 * next())),
    token_weights: tokens.map(() => advantage / 4608),
    verdict: right ? 'right' : next() < 0.1 ? 'unparsed' : 'wrong',
    reward: right ? 1 : 0,
    finish_reason: 'stop',
  }
}
