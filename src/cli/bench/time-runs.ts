/** How often something is timed: at most `repeats` times, and no new run after `seconds` once there are MIN_RUNS. */
export interface Timing {
  repeats: number
  seconds: number
  signal?: AbortSignal
  /** What is measured by turns with the runs: called before the first and then ever more rarely, outside of their time. */
  between?: () => Promise<void>
}

/** However few are asked for: a median and its spread say nothing below. */
export const MIN_RUNS = 3

/** Seconds of each run, after one that does not count. Between two runs an abort of the signal throws its reason. */
export function timeRuns(timing: Timing, run: () => unknown): Promise<number[]> {
  return timePrepared(timing, () => {}, run)
}

/** The same of runs that something stands before which is no part of them: its time is not counted. */
export async function timePrepared(
  { repeats, seconds, signal, between }: Timing,
  prepare: () => unknown,
  run: () => unknown,
): Promise<number[]> {
  signal?.throwIfAborted()
  await prepare()
  await run()
  const times: number[] = []
  const end = performance.now() + 1000 * seconds
  while (times.length < MIN_RUNS || (performance.now() < end && times.length < repeats)) {
    signal?.throwIfAborted()
    if (isPowerOfTwo(times.length + 1)) await between?.()
    await prepare()
    const begin = performance.now()
    await run()
    times.push((performance.now() - begin) / 1000)
  }
  return times
}

function isPowerOfTwo(count: number): boolean {
  return (count & (count - 1)) === 0
}
