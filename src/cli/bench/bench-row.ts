import { type Environment, environment } from '../../index.ts'

/** One measured thing. Times are of one run of it, in milliseconds. */
export interface BenchRow {
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
  /** Share of what this machine can do at best; null where that is not known. */
  peak_share: number | null
  tokens_per_second?: number
  p99_ms?: number
  /** The most memory that this process has held so far: a row's own peak only where its kind runs alone. */
  peak_rss_mib: number
  isa: string
  commit: string
  machine: string
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

let shared: Environment | undefined

/** A row from the times of single runs, in seconds. */
export function benchRow(
  context: BenchContext,
  op: string,
  shape: string,
  seconds: ArrayLike<number>,
  per: { flops?: number; tokens?: number } = {},
): BenchRow {
  const sorted = Float64Array.from(seconds).sort()
  const quantile = (share: number) => {
    const position = share * (sorted.length - 1)
    const below = Math.floor(position)
    const above = Math.min(below + 1, sorted.length - 1)
    return sorted[below]! + (position - below) * (sorted[above]! - sorted[below]!)
  }
  const ms = (share: number) => significant(1000 * quantile(share))
  shared ??= environment()
  return {
    op,
    shape,
    dtype: context.dtype,
    device: context.device,
    threads: context.threads,
    p20_ms: ms(0.2),
    p50_ms: ms(0.5),
    p80_ms: ms(0.8),
    gflops: per.flops === undefined ? null : significant(per.flops / quantile(0.5) / 1e9),
    peak_share: null,
    ...(per.tokens !== undefined && { tokens_per_second: Math.round(per.tokens / quantile(0.5)) }),
    // Node reports kilobytes on every system.
    peak_rss_mib: Math.round(process.resourceUsage().maxRSS / 1024),
    isa: context.isa,
    commit: shared.commit,
    machine: shared.machine,
    versions: shared.versions,
  }
}

function significant(value: number): number {
  return Number(value.toPrecision(4))
}
