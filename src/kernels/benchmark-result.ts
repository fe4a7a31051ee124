import type { NativeTimedOp } from '../native/kernel-types.ts'
import type { ComputeDtype, NativeEngineInfo } from '../native/types.ts'
import { medianOf, quantileOf } from '../statistics/quantiles.ts'
import type { OpBenchmark } from './inputs.ts'

/** Times as percentiles and rates, against the floor where there is one. */
export function benchmarkResult(
  what: { op: string; shape: Readonly<Record<string, number>>; dtype: ComputeDtype },
  info: NativeEngineInfo,
  timed: NativeTimedOp,
): OpBenchmark {
  const { seconds, flops, bytes, floor } = timed
  const p50 = medianOf(seconds)
  const { device, isa, threads } = info
  return {
    ...what,
    ...{ device, isa, threads, iterations: seconds.length, seconds },
    ...{ p20: quantileOf(seconds, 0.2), p50, p80: quantileOf(seconds, 0.8) },
    gflops: flops > 0 ? flops / p50 / 1e9 : null,
    gbytes: bytes / p50 / 1e9,
    ...{ flops, bytes, floor: floor?.seconds ?? null },
    ...{ peakShare: floor && floor.seconds / p50, peakOf: floor?.peakOf ?? null, peak: floor?.peak ?? null },
  }
}
