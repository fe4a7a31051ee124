import { availableParallelism } from 'node:os'
import { machineMemory, planMemory, totalBytes } from '../../index.ts'
import type { BenchCase, BenchKind, BenchSetup } from './bench-case.ts'
import { benchRow } from './bench-row.ts'
import { passedGroups, trainingFlops } from './floors.ts'
import { generateCase } from './generate-kind.ts'
import {
  BENCH_MODELS,
  type BenchModel,
  configOf,
  contextOf,
  openModel,
  rolloutRows,
  tinyModel,
  trainingRows,
} from './model-shapes.ts'
import { peakRssMib } from './peak-rss.ts'
import { PeakMeter } from './peaks.ts'
import { timeSteps } from './policy-work.ts'
import { stepCase } from './step-kind.ts'
import { timeRuns } from './time-runs.ts'

// Tokens/s against one size at a time, from the shape of step/S. What does not fit into memory is left out and said.

const { XS, S, M, L } = BENCH_MODELS
const ROWS = 32
const LENGTH = 128

/** Leaves a case out that needs more memory than this process may use. */
export function ifItFits(model: BenchModel, longest: number, bench: BenchCase): BenchCase {
  return {
    name: bench.name,
    async *run(setup) {
      const { needed, available } = memoryOf(setup, model, longest)
      if (needed > available) {
        const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`
        setup.onSkipped(`${bench.name}: needs ${gib(needed)} of memory, ${gib(available)} are there`)
        return
      }
      yield* bench.run(setup)
    },
  }
}

function memoryOf({ backend, isQuick }: BenchSetup, model: BenchModel, longest: number) {
  const used = isQuick ? tinyModel(model) : model
  const plan = planMemory({
    ...{ ...backend, config: configOf(used, 2 * longest), generation: false },
    ...{ longestPrompt: 1, longestRow: longest + 1 },
  })
  const { totalBytes: most, freeBytes } = machineMemory()
  return { needed: totalBytes(plan), available: Math.min(most, freeBytes) }
}

function scaledStep(name: string, model: BenchModel, rows: number, length: number): BenchCase {
  return ifItFits(model, length, stepCase(`scaling/${name}`, model, rows, length))
}

/** Learning from groups whose prompt is as long as four completions, with the prompt computed once a group or once a row. */
function groupCase(samples: number, isShared: boolean): BenchCase {
  const name = `scaling/group-${samples}-${isShared ? 'shared' : 'apart'}`
  return {
    name,
    async *run({ backend, timing, isQuick }) {
      const model = isQuick ? tinyModel(S) : S
      const [rows, promptLength, length] = isQuick ? [samples, 8, 4] : [ROWS, 128, 32]
      await using policy = await openModel(model, backend, 2 * (promptLength + length))
      const groups = rows / samples
      const batch = rolloutRows(model.vocabSize, rows, isShared ? groups : rows, promptLength, length)
      const meter = new PeakMeter({ ...contextOf(policy), case: name })
      const seconds = await timeSteps(policy, batch, meter.during(timing))
      const flops = trainingFlops(model, passedGroups(groups, samples, promptLength, length, isShared))
      const words = isShared ? 'a shared prompt' : 'a prompt each'
      const measured = {
        op: 'train_step',
        shape: `${model.name}, ${groups} groups of ${samples} x ${length} tokens behind ${words} of ${promptLength}`,
        ...{ seconds, flops, tokens: rows * length, peakRssMib: peakRssMib() },
      }
      yield meter.row(measured, [{ flops, bytes: 0 }])
    },
  }
}

/** The same case with so many threads, whatever was asked for. */
function withThreads(threads: number, bench: BenchCase): BenchCase {
  return {
    name: bench.name,
    run: (setup) => bench.run({ ...setup, backend: { ...setup.backend, threads } }),
  }
}

/**
 * The pass over the rollouts for old log-probs that another trainer makes before an update, and that exactness (promise 1) makes
 * superfluous: what `score` takes for a step's rollouts.
 */
const OLD_LOGPROBS: BenchCase = {
  name: 'scaling/old-logprobs',
  async *run({ backend, timing, isQuick }) {
    const model = isQuick ? tinyModel(S) : S
    const [rows, length] = isQuick ? [2, 16] : [ROWS, LENGTH]
    await using policy = await openModel(model, backend, 2 * length)
    const batch = trainingRows(model.vocabSize, rows, length)
    const seconds = await timeRuns(timing, () => policy.score(batch, { entropies: false }))
    const shape = `${model.name}, ${rows} rows of ${length} tokens`
    const measured = { op: 'score', shape, seconds, tokens: rows * length, peakRssMib: peakRssMib() }
    yield benchRow({ ...contextOf(policy), case: OLD_LOGPROBS.name }, measured, 'work that is not done')
  },
}

/** Powers of two, as far as there are cores. */
const THREADS = Array.from({ length: 10 }, (_, i) => 2 ** i).filter(
  (threads) => threads <= availableParallelism(),
)

export const SCALING_KIND: BenchKind = {
  describe: 'tokens/s against length, rows, groups, vocabulary, model, threads and live sequences',
  cases: () => [
    ...[32, 128, 512, 2048, 8192].map((length) =>
      scaledStep(`length-${length}`, S, Math.max(1, (ROWS * LENGTH) / length), length),
    ),
    ...[1, 4, 16, 64].map((rows) => scaledStep(`rows-${rows}`, S, rows, LENGTH)),
    ...[2, 8, 32].flatMap((samples) => [groupCase(samples, true), groupCase(samples, false)]),
    ...[128, 4096, 32_768, 151_936].map((vocabSize) =>
      scaledStep(`vocab-${vocabSize}`, { ...S, name: `S, vocabulary ${vocabSize}`, vocabSize }, 16, LENGTH),
    ),
    ...[XS, S, M, L].map((model) => scaledStep(`model-${model.name}`, model, 8, LENGTH)),
    ...THREADS.map((threads) => withThreads(threads, scaledStep(`threads-${threads}`, S, ROWS, LENGTH))),
    ...THREADS.map((threads) =>
      withThreads(
        threads,
        generateCase(`scaling/generate-threads-${threads}`, S, {
          ...{ prompts: 256, samples: 1, promptLength: 16, completionLength: 64 },
        }),
      ),
    ),
    ...[1, 8, 32, 64].map((prompts) =>
      generateCase(`scaling/live-${prompts}`, S, {
        prompts,
        samples: 1,
        promptLength: 16,
        completionLength: 64,
      }),
    ),
    OLD_LOGPROBS,
  ],
}
