import type { ComputeDtype, Kernels } from '../../index.ts'
import { MIN_RUNS, type Timing } from './time-runs.ts'

/** Seconds of single runs of an op on random data, as `timeRuns` gives them, timed inside the engine's own thread. */
export async function timesOfOp(
  kernels: Kernels,
  op: string,
  shape: Readonly<Record<string, number>>,
  dtype: ComputeDtype,
  { repeats, seconds, signal }: Timing,
): Promise<number[]> {
  signal?.throwIfAborted()
  const times = { repeats: Math.max(MIN_RUNS, repeats), seconds, warmup: 1 }
  return [...(await kernels.time(op, shape, { dtype, ...times }))]
}
