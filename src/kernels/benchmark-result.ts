import type { ComputeDtype, NativeEngineInfo, NativeTimedOp } from '../native/types.ts'
import type { OpBenchmark } from './inputs.ts'

/** The value below which `share` of the sorted values lie, between two of them where it falls there. */
function quantile(sorted: Float64Array, share: number): number {
  const position = share * (sorted.length - 1)
  const below = Math.floor(position)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below]! + (position - below) * (sorted[above]! - sorted[below]!)
}

/** Times as percentiles and rates, against the floor where there is one. */
export function benchmarkResult(
  what: { op: string; shape: Readonly<Record<string, number>>; dtype: ComputeDtype },
  info: NativeEngineInfo,
  timed: NativeTimedOp,
): OpBenchmark {
  const { seconds, flops, bytes, floor } = timed
  const sorted = seconds.slice().sort()
  const p50 = quantile(sorted, 0.5)
  const { device, isa, threads } = info
  return {
    ...what,
    ...{ device, isa, threads, iterations: seconds.length, seconds },
    ...{ p20: quantile(sorted, 0.2), p50, p80: quantile(sorted, 0.8) },
    gflops: flops > 0 ? flops / p50 / 1e9 : null,
    gbytes: bytes / p50 / 1e9,
    ...{ flops, bytes, floor: floor?.seconds ?? null },
    ...{ peakShare: floor && floor.seconds / p50, peakOf: floor?.peakOf ?? null, peak: floor?.peak ?? null },
  }
}
