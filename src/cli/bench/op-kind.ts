import { benchmarkOps, type ComputeDtype, Kernels, type OpBenchmark } from '../../index.ts'
import type { BenchCase, BenchKind } from './bench-case.ts'
import { type BenchRow, benchRow, type RowFloor } from './bench-row.ts'
import { peakRssMib } from './peak-rss.ts'
import { NO_CPU } from './peaks.ts'
import { MIN_RUNS } from './time-runs.ts'

type Shape = Readonly<Record<string, number>>

function opCase(op: string, shape: Shape): BenchCase {
  const name = `op/${op}-${Object.values(shape).join('x')}`
  return {
    name,
    async *run({ backend, timing, isQuick }) {
      const { dtype = 'f32', ...options } = backend
      const { repeats, seconds, signal } = timing
      signal?.throwIfAborted()
      await using kernels = await Kernels.open(options)
      const used = isQuick ? quickShape(shape) : shape
      const iterations = Math.max(MIN_RUNS, repeats)
      yield opRow(name, dtype, await kernels.benchmark(op, used, { dtype, iterations, seconds }))
    },
  }
}

function opRow(name: string, dtype: ComputeDtype, found: OpBenchmark): BenchRow {
  const { op, shape, seconds, flops, bytes, device, isa, threads } = found
  const measured = {
    ...{ op, shape: describeShape(shape), seconds: [...seconds], bytes, peakRssMib: peakRssMib() },
    ...(flops > 0 && { flops }),
  }
  return benchRow({ device, isa, threads, dtype, case: name }, measured, floorOf(found))
}

/** The one peak that the floor comes from, in its own unit; `peak_of` says which. */
function floorOf({ floor, peak, peakOf }: OpBenchmark): RowFloor {
  if (floor === null || peak === null || peakOf === null) return NO_CPU
  const isArithmetic = peakOf === 'f32' || peakOf === 'bf16'
  return { seconds: floor, ...(isArithmetic ? { gflops: peak } : { gbytes: peak }), peakOf }
}

function quickShape(shape: Shape): Shape {
  return Object.fromEntries(Object.entries(shape).map(([size, value]) => [size, Math.min(32, value)]))
}

/** `rows 8, cols 16`. */
export function describeShape(shape: Shape): string {
  return Object.entries(shape)
    .map(([name, size]) => `${name} ${size}`)
    .join(', ')
}

export const OP_KIND: BenchKind = {
  describe: 'single ops, forward and backward',
  cases: () => benchmarkOps().flatMap(({ op, shapes }) => shapes.map((shape) => opCase(op, shape))),
}
