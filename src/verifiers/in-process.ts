import type { Verifier, VerifierContext } from '../verdicts.ts'
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
      const context = new LazyContext()
      try {
        const answer = verifier(sample, context)
        if (!isPromise(answer)) return { judgement: requireJudgement(answer) }
        return withDeadline(answer, context.controller, timeoutMs, signal)
      } catch (error) {
        return failed(error)
      }
    },
    async dispose() {},
  }
}

/** Makes its signal when it is asked for: making one takes longer than most verifiers do. */
class LazyContext implements VerifierContext {
  #controller: AbortController | undefined

  get controller(): AbortController {
    this.#controller ??= new AbortController()
    return this.#controller
  }

  get signal(): AbortSignal {
    return this.controller.signal
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
