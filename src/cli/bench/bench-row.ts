import { availableParallelism } from 'node:os'
import { type Environment, environment, medianOf, type OpBenchmark, quantileOf } from '../../index.ts'
import { significant } from './significant.ts'

/** One measured thing. Times are of one run of it, in milliseconds. */
export interface BenchRow {
  /** What `--cases` knows it by; several rows may come of one case. */
  case: string
  op: string
  shape: string
  dtype: string
  device: string
  threads: number
  p20_ms: number
  p50_ms: number
  p80_ms: number
  /** 10^9 floating-point operations a second at the median; null where they are not what counts. */
  gflops: number | null
  /** 10^9 bytes a second at the median, where they are what counts. */
  gbytes_per_second?: number
  /** `floor_ms / p50_ms`: 1 is as quick as this machine can be. Null where there is no floor, for the reason in `no_floor`. */
  peak_share: number | null
  /** What the work takes at least by the peaks that the same run measured. */
  floor_ms?: number
  /** What the floor is computed from: 10^9 operations and 10^9 bytes a second, as far as it goes by them. */
  peak_gflops?: number
  peak_gbytes?: number
  /** What the inner loop of fp32 products reached by turns with the runs: well below `peak_gflops` where cores are shared. */
  product_gflops?: number
  /** Of an op: the peak that its floor comes from. */
  peak_of?: PeakOf
  no_floor?: string
  tokens_per_second?: number
  answers_per_second?: number
  rows_per_second?: number
  /** Columns of a batch whose numbers do not stand in the memory that they came in. */
  copied_columns?: number
  p99_ms?: number
  /** The most memory that this process had held when the row was done: the row's own only where its case runs alone. */
  peak_rss_mib: number
  isa: string
  commit: string
  machine: string
  /** That this process may use. */
  cores: number
  /** Of coppice, Node and the system's kernel, by name. */
  versions: Record<string, string>
}

/** What all rows of one run have in common. */
export interface BenchContext {
  device: string
  dtype: string
  isa: string
  threads: number
}

/** What was measured, before it is compared with anything. */
export interface Measured {
  op: string
  shape: string
  /** Of single runs. */
  seconds: readonly number[]
  /** What one run does. */
  flops?: number
  bytes?: number
  tokens?: number
  answers?: number
  rows?: number
  /** From before anything else was measured. */
  peakRssMib: number
}

/** `f32` multiply-adds, products of `bf16` pairs, reading, or reading and writing. */
export type PeakOf = NonNullable<OpBenchmark['peakOf']>

/** What a run takes at least, in seconds, and the peaks that say so; or why nobody can say. */
export type RowFloor =
  | { seconds: number; gflops?: number; productGflops?: number; gbytes?: number; peakOf?: PeakOf }
  | string

let shared: Environment | undefined

export function benchRow(
  context: BenchContext & { case: string },
  measured: Measured,
  floor: RowFloor,
): BenchRow {
  const { op, shape, seconds, flops, bytes, tokens, answers, rows } = measured
  const median = medianOf(seconds)
  const ms = (share: number) => significant(1000 * quantileOf(seconds, share))
  const rate = (count: number) => Math.round(count / median)
  shared ??= environment()
  return {
    ...{ case: context.case, op, shape, dtype: context.dtype, device: context.device },
    threads: context.threads,
    ...{ p20_ms: ms(0.2), p50_ms: ms(0.5), p80_ms: ms(0.8) },
    gflops: flops === undefined ? null : significant(flops / median / 1e9),
    ...(bytes !== undefined && { gbytes_per_second: significant(bytes / median / 1e9) }),
    ...floorKeys(floor, median),
    ...(tokens !== undefined && { tokens_per_second: rate(tokens) }),
    ...(answers !== undefined && { answers_per_second: rate(answers) }),
    ...(rows !== undefined && { rows_per_second: rate(rows) }),
    peak_rss_mib: Math.round(measured.peakRssMib),
    isa: context.isa,
    commit: shared.commit,
    machine: shared.machine,
    cores: availableParallelism(),
    versions: shared.versions,
  }
}

function floorKeys(floor: RowFloor, median: number) {
  if (typeof floor === 'string') return { peak_share: null, no_floor: floor }
  const { seconds, gflops, productGflops, gbytes, peakOf } = floor
  return {
    peak_share: significant(seconds / median),
    floor_ms: significant(1000 * seconds),
    ...(gflops !== undefined && { peak_gflops: significant(gflops) }),
    ...(productGflops !== undefined && { product_gflops: significant(productGflops) }),
    ...(gbytes !== undefined && { peak_gbytes: significant(gbytes) }),
    ...(peakOf !== undefined && { peak_of: peakOf }),
  }
}
