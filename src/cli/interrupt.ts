import { EXIT_SIGNALS } from './exit-codes.ts'

type StopSignal = keyof typeof EXIT_SIGNALS

/** A terminal, npm and a shell may each pass on the same Ctrl-C: what comes so soon after the first is no second one. */
const ECHO_MS = 1000

/**
 * Runs work that a first Ctrl-C (or SIGTERM) asks to stop, by aborting `signal`, and a second one ends at once.
 * Resolves to the work's exit code, or to 130 or 143 when it stopped because it was asked to.
 *
 * @param onStop told once, when the first signal arrives
 */
export async function interruptible(
  // biome-ignore lint/suspicious/noConfusingVoidType: as for verbs
  work: (signal: AbortSignal) => Promise<number | void>,
  onStop: () => void = () => {},
): Promise<number> {
  const controller = new AbortController()
  let received: StopSignal | undefined
  let receivedAt = 0
  const stop = (signal: StopSignal) => {
    if (received !== undefined) {
      if (performance.now() - receivedAt > ECHO_MS) process.exit(EXIT_SIGNALS[signal])
      return
    }
    received = signal
    receivedAt = performance.now()
    onStop()
    controller.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  try {
    return (await work(controller.signal)) ?? 0
  } catch (error) {
    if (received !== undefined && isAbort(error, controller.signal)) return EXIT_SIGNALS[received]
    throw error
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === 'AbortError')
}
