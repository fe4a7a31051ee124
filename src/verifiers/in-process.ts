import type { Verifier } from '../verdicts.ts'
import { requireJudgement } from './judgement.ts'
import { type Outcome, type SampleRunner, timedOut } from './outcome.ts'

/**
 * Runs a verifier as a function of this process: for built-in ones, whose work is bounded, and for functions that a
 * program hands over. An answer that is late is timed-out, but a function that never gives control back cannot be
 * stopped here: what must be stoppable comes as a file.
 */
export function inProcessRunner(verifier: Verifier, concurrency: number, timeoutMs: number): SampleRunner {
  return {
    concurrency,
    run(sample, signal) {
      // Made when it is asked for: making one takes longer than most verifiers do.
      let controller: AbortController | undefined
      const ownController = () => {
        controller ??= new AbortController()
        return controller
      }
      try {
        const context = {
          get signal() {
            return ownController().signal
          },
        }
        const answer = verifier(sample, context)
        if (!isPromise(answer)) return { judgement: requireJudgement(answer) }
        return withDeadline(answer, ownController(), timeoutMs, signal)
      } catch (error) {
        return failed(error)
      }
    },
    async dispose() {},
  }
}

/** Waits for the answer until the deadline, then tells the verifier through its signal that nobody waits any more. */
function withDeadline(
  answer: Promise<unknown>,
  controller: AbortController,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const giveUp = () => {
      controller.abort(signal.aborted ? signal.reason : new Error(`timed out after ${timeoutMs} ms`))
      settle(timedOut(`no answer after ${timeoutMs} ms`))
    }
    const timer = setTimeout(giveUp, timeoutMs)
    signal.addEventListener('abort', giveUp, { once: true })
    const settle = (outcome: Outcome) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', giveUp)
      resolve(outcome)
    }
    Promise.resolve(answer).then(
      (value) => {
        try {
          settle({ judgement: requireJudgement(value) })
        } catch (error) {
          settle(failed(error))
        }
      },
      (error) => settle(failed(error)),
    )
  })
}

/** A verifier may come from anywhere, another library's promises included. */
function isPromise(answer: unknown): answer is Promise<unknown> {
  return typeof (answer as Promise<unknown> | null | undefined)?.then === 'function'
}

/** A verifier's own error as an outcome. */
export function failed(error: unknown): { failure: string } {
  return { failure: `the verifier failed: ${error instanceof Error ? error.message : String(error)}` }
}
