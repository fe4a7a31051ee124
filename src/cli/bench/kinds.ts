import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Kernels, type Policy } from '../../index.ts'
import { type BenchRow, benchRow } from './bench-row.ts'
import {
  BENCH_MODELS,
  type BenchBackend,
  type BenchModel,
  contextOf,
  openModel,
  promptsOfLength,
  trainingFlops,
  trainingRows,
} from './model-shapes.ts'

export interface BenchOptions {
  backend: BenchBackend
  /** Runs that are timed. */
  repeats: number
}

export type BenchKind = 'op' | 'head' | 'step' | 'generate' | 'eventloop'

/** What each kind measures; rows come one by one. */
export const BENCH_KINDS: Readonly<Record<BenchKind, (options: BenchOptions) => AsyncGenerator<BenchRow>>> = {
  op: benchOps,
  head: benchHead,
  step: benchSteps,
  generate: benchGenerate,
  eventloop: benchEventLoop,
}

type OpCase = [op: string, shape: Record<string, number>, flops: number | undefined]

const product = (rows: number, cols: number, inner: number): OpCase[] => {
  const flops = 2 * rows * cols * inner
  const shape = { rows, cols, inner }
  return [
    ['linear', shape, flops],
    ['linear_backward_input', shape, flops],
    ['linear_backward_weight', shape, flops],
  ]
}
const attention = (sequences: number, length: number, heads: number, size: number): OpCase[] => {
  const shape = { sequences, length, num_heads: heads, num_kv_heads: heads, head_dim: size }
  const forward = 2 * sequences * heads * size * length * (length + 1)
  return [
    ['attention', shape, forward],
    ['attention_backward', shape, 2.5 * forward],
  ]
}

const OPS: readonly OpCase[] = [
  ...[1, 8, 32, 256].map(
    (rows): OpCase => ['linear', { rows, cols: 1024, inner: 256 }, 2 * rows * 1024 * 256],
  ),
  ...product(4096, 1024, 256),
  ...product(2048, 2048, 512),
  ...attention(32, 128, 4, 64),
  ...attention(8, 256, 8, 64),
  ['rmsnorm', { rows: 4096, cols: 256 }, undefined],
  ['rmsnorm_backward', { rows: 4096, cols: 256 }, undefined],
  ['swiglu', { rows: 4096, cols: 1024 }, undefined],
  ['swiglu_backward', { rows: 4096, cols: 1024 }, undefined],
  ['sample', { rows: 256, vocab: 4096, cols: 512 }, 2 * 256 * 4096 * 512],
  ['adamw', { elements: 4_000_000 }, undefined],
]

const HEADS: readonly OpCase[] = [
  [4096, 128, 256],
  [2048, 4096, 512],
  [512, 151_936, 896],
].flatMap(([rows, vocab, cols]): OpCase[] => {
  const shape = { rows: rows!, vocab: vocab!, cols: cols! }
  const flops = 2 * rows! * vocab! * cols!
  return [
    ['head', shape, flops],
    // The logits once more, then the gradients of hidden states and head.
    ['head_backward', shape, 3 * flops],
  ]
})

async function* timeOps(
  cases: readonly OpCase[],
  { backend, repeats }: BenchOptions,
): AsyncGenerator<BenchRow> {
  const { dtype = 'f32', ...options } = backend
  await using kernels = await Kernels.open(options)
  for (const [op, shape, flops] of cases) {
    const heavy = (flops ?? 0) > 1e10
    const seconds = await kernels.time(op, shape, {
      dtype,
      repeats: heavy ? Math.min(repeats, 5) : repeats,
      warmup: heavy ? 1 : 3,
    })
    yield benchRow(
      { ...kernels.info, dtype },
      op,
      describeShape(shape),
      seconds,
      flops === undefined ? {} : { flops },
    )
  }
}

function benchOps(options: BenchOptions): AsyncGenerator<BenchRow> {
  return timeOps(OPS, options)
}

function benchHead(options: BenchOptions): AsyncGenerator<BenchRow> {
  return timeOps(HEADS, options)
}

/** Optimiser steps of the models S and M. */
async function* benchSteps({ backend, repeats }: BenchOptions): AsyncGenerator<BenchRow> {
  for (const model of [BENCH_MODELS.S, BENCH_MODELS.M]) {
    await using policy = await openModel(model, backend)
    const tokens = model.batch * model.length
    const seconds = await timeRuns(repeatsFor(model, repeats), () => trainOnce(policy, model))
    const per = { tokens, flops: tokens * trainingFlops(model) }
    yield benchRow(contextOf(policy), 'train_step', describeModel(model), seconds, per)
  }
}

/** 256 sequences of 64 tokens: one completion of each prompt, and groups of eight that share theirs. */
async function* benchGenerate({ backend, repeats }: BenchOptions): AsyncGenerator<BenchRow> {
  const model = BENCH_MODELS.S
  await using policy = await openModel(model, backend)
  for (const [count, numGenerations] of [
    [256, 1],
    [32, 8],
  ] as const) {
    const prompts = promptsOfLength(model, count, 16)
    let step = 0
    const run = () =>
      policy.generateAll(prompts, { numGenerations, maxCompletionLength: 64, stopTokens: [], step: step++ })
    const seconds = await timeRuns(repeatsFor(model, repeats), run)
    const shape = `${model.name}, ${count} prompts of 16 x ${numGenerations} completions of 64`
    yield benchRow(contextOf(policy), 'generate', shape, seconds, { tokens: 256 * 64 })
  }
}

/** How late the event loop is while training runs beside it. */
async function* benchEventLoop({ backend, repeats }: BenchOptions): AsyncGenerator<BenchRow> {
  const model = BENCH_MODELS.S
  await using policy = await openModel(model, backend)
  await trainOnce(policy, model)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  for (let i = 0; i < repeats; i++) await trainOnce(policy, model)
  delay.disable()
  // The histogram counts from the timer's own period of a millisecond on.
  const late = (percentile: number) => Math.max(0, delay.percentile(percentile) / 1e9 - 0.001)
  const row = benchRow(
    contextOf(policy),
    'event_loop_delay',
    `training ${model.name}`,
    [20, 50, 80].map(late),
  )
  yield {
    ...row,
    ...Object.fromEntries(
      [20, 50, 80].map((share) => [`p${share}_ms`, Number((1000 * late(share)).toFixed(3))]),
    ),
    p99_ms: Number((1000 * late(99)).toFixed(3)),
  }
}

function trainOnce(policy: Policy, model: BenchModel): Promise<unknown> {
  return policy.supervisedStep(trainingRows(model), { learningRate: 1e-5 })
}

async function timeRuns(repeats: number, run: () => Promise<unknown>): Promise<number[]> {
  await run()
  const seconds: number[] = []
  for (let i = 0; i < repeats; i++) {
    const begin = performance.now()
    await run()
    seconds.push((performance.now() - begin) / 1000)
  }
  return seconds
}

/** Large models are timed less often: their times vary less, too. */
function repeatsFor(model: BenchModel, repeats: number): number {
  return Math.max(3, Math.round((repeats * 26) / Math.max(26, trainingFlops(model) / 1e6)))
}

function describeShape(shape: Readonly<Record<string, number>>): string {
  return Object.entries(shape)
    .map(([name, size]) => `${name} ${size}`)
    .join(', ')
}

function describeModel({ name, batch, length }: BenchModel): string {
  return `${name}, ${batch} rows of ${length} tokens`
}
