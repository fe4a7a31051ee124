import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { BenchKind, BenchSetup } from './bench-case.ts'
import { type BenchRow, benchRow } from './bench-row.ts'
import { BENCH_MODELS, contextOf, openModel, tinyModel, trainingRows } from './model-shapes.ts'
import { peakRssMib } from './peak-rss.ts'
import { timeSteps } from './policy-work.ts'

const NAME = 'eventloop/S'

/** How late the event loop is while training runs beside it. */
async function* delayOfTraining({ backend, timing, isQuick }: BenchSetup): AsyncGenerator<BenchRow> {
  const model = isQuick ? tinyModel(BENCH_MODELS.S) : BENCH_MODELS.S
  const [rows, length] = isQuick ? [2, 16] : [32, 128]
  await using policy = await openModel(model, backend, 2 * length)
  const batch = trainingRows(model.vocabSize, rows, length)
  await policy.supervisedStep(batch, { learningRate: 1e-5 })
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await timeSteps(policy, batch, timing)
  delay.disable()
  // The histogram counts from the timer's own period of a millisecond on.
  const late = (percentile: number) => Math.max(0, delay.percentile(percentile) / 1e9 - 0.001)
  const shares = [20, 50, 80]
  const row = benchRow(
    { ...contextOf(policy), case: NAME },
    {
      ...{ op: 'event_loop_delay', shape: `training ${model.name}`, seconds: shares.map(late) },
      peakRssMib: peakRssMib(),
    },
    'a delay, not work',
  )
  yield {
    ...row,
    ...Object.fromEntries(shares.map((share) => [`p${share}_ms`, Number((1000 * late(share)).toFixed(3))])),
    p99_ms: Number((1000 * late(99)).toFixed(3)),
  }
}

export const EVENTLOOP_KIND: BenchKind = {
  describe: 'how late the event loop is while a model trains',
  cases: () => [{ name: NAME, run: delayOfTraining }],
}
