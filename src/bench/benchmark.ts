import { type KernelBenchmarkOptions, Kernels, type KernelsOptions, type OpBenchmark } from '../kernels.ts'
import { addon } from '../native.ts'
import { refuseUnknownKeys } from '../options.ts'

/** An op that can be timed. */
export interface BenchmarkOp {
  op: string
  /** Names of its sizes, all whole numbers from 1. */
  sizes: readonly string[]
  /** What is timed by default, the least work first. */
  shapes: readonly Readonly<Record<string, number>>[]
}

export interface BenchmarkOptions extends KernelsOptions, KernelBenchmarkOptions {
  /** One of `benchmarkOps()`. */
  op: string
  /** Every size by its name. Default: the op's first shape. */
  shape?: Readonly<Record<string, number>>
}

/** Every op of the backend, forward and backward, with the shapes of the models that coppice is measured on. */
export function benchmarkOps(): BenchmarkOp[] {
  return addon()
    .benchmarkOps()
    .map(({ op, sizes, shapes }) => ({
      op,
      sizes,
      shapes: shapes.map((values) => Object.fromEntries(sizes.map((size, i) => [size, values[i]!]))),
    }))
}

/**
 * Times one op on random data and says what share of this machine's own peak it had, both measured in this call. Several ops:
 * `Kernels.benchmark` of one instance, which measures the peaks once. INVALID_ARGUMENT for an op or a size that is not known,
 * with those that are.
 */
export async function benchmark(options: BenchmarkOptions): Promise<OpBenchmark> {
  refuseUnknownKeys(
    options,
    ['op', 'shape', 'dtype', 'device', 'threads', 'isa', 'iterations', 'seconds', 'warmup'],
    'benchmark',
  )
  const { op, shape, device, threads, isa, ...timing } = options
  await using kernels = await Kernels.open({
    ...(device !== undefined && { device }),
    ...(threads !== undefined && { threads }),
    ...(isa !== undefined && { isa }),
  })
  // An op that is not known is refused by its name, whatever its shape.
  const first = benchmarkOps().find((known) => known.op === op)?.shapes[0] ?? {}
  return await kernels.benchmark(op, shape ?? first, timing)
}
