/** How often something is timed: at most `repeats` times, and no new run after `seconds` once there are MIN_RUNS. */
export interface Timing {
  repeats: number
  seconds: number
  signal?: AbortSignal
}

const MIN_RUNS = 3

/** Seconds of each run, after one that does not count. Between two runs an abort of the signal throws its reason. */
export async function timeRuns(timing: Timing, run: () => unknown): Promise<number[]> {
  const { repeats, seconds, signal } = timing
  signal?.throwIfAborted()
  await run()
  const times: number[] = []
  const end = performance.now() + 1000 * seconds
  while (times.length < MIN_RUNS || (performance.now() < end && times.length < repeats)) {
    signal?.throwIfAborted()
    const begin = performance.now()
    await run()
    times.push((performance.now() - begin) / 1000)
  }
  return times
}
