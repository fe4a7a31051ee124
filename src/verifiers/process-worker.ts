import { CoppiceError } from '../errors.ts'
import { HostedProcess } from '../hosted-process.ts'
import type { Sample } from '../verdicts.ts'
import { requireJudgement } from './judgement.ts'
import { type Outcome, timedOut } from './outcome.ts'
import { type FromWorker, MEMORY_MARK, type ToWorker, type WorkerSource } from './worker-messages.ts'

export interface ProcessLimits {
  /** Milliseconds for one sample. */
  timeoutMs: number
  /** Milliseconds for starting a process and loading the verifier. */
  loadTimeoutMs: number
  /** MiB of memory that the verifier may hold in one process. */
  memoryLimitMb: number
}

/** A process gets this much longer than its deadline to say itself that it is late, and so to live on. */
const GRACE_MS = 250
const program = new URL('./worker', import.meta.url)

/** One process with the verifier in it. It judges one sample at a time and does not outlive one that is too slow. */
export class ProcessWorker {
  readonly #process: HostedProcess<ToWorker, FromWorker>
  readonly #limits: ProcessLimits
  #judged = 0

  private constructor(limits: ProcessLimits) {
    this.#process = new HostedProcess(program, limits.memoryLimitMb)
    this.#limits = limits
  }

  /** Starts a process and loads the verifier; INVALID_ARGUMENT, naming `where`, when that fails. */
  static async start(source: WorkerSource, limits: ProcessLimits, where: string): Promise<ProcessWorker> {
    const worker = new ProcessWorker(limits)
    const { timeoutMs, loadTimeoutMs, memoryLimitMb } = limits
    const setup = { source, timeoutMs, memoryLimitMb, hostPid: process.pid }
    const reply = await worker.#process.ask({ setup }, loadTimeoutMs)
    if (reply !== undefined && reply !== 'late' && 'ready' in reply) return worker
    worker.kill()
    const reason =
      reply === 'late'
        ? `not loaded after ${loadTimeoutMs} ms`
        : reply !== undefined && 'refused' in reply
          ? reply.refused
          : `its process ended while loading: ${worker.#process.ending}`
    throw new CoppiceError('INVALID_ARGUMENT', `the verifier cannot be loaded: ${reason}`, { where })
  }

  /** Whether it can take another sample. */
  get isAlive(): boolean {
    return this.#process.isAlive
  }

  /** The outcome; undefined when the process ended under work that an earlier sample may have left behind. */
  async judge(sample: Sample): Promise<Outcome | undefined> {
    const { timeoutMs } = this.#limits
    const isFresh = this.#judged++ === 0
    const reply = await this.#process.ask({ sample }, timeoutMs + GRACE_MS)
    if (reply === 'late') {
      this.kill()
      return timedOut(`no answer after ${timeoutMs} ms`)
    }
    if (reply === undefined) {
      if (!isFresh) return undefined
      const { errorOutput, ending } = this.#process
      if (/heap out of memory/.test(errorOutput) || errorOutput.includes(MEMORY_MARK)) {
        return timedOut(`used more than ${this.#limits.memoryLimitMb} MiB of memory`)
      }
      return { failure: `the verifier's process ended: ${ending}` }
    }
    if ('late' in reply) return timedOut(`no answer within ${timeoutMs} ms`)
    if ('failure' in reply) return { failure: `the verifier failed: ${reply.failure}` }
    try {
      return { judgement: requireJudgement((reply as { answer: unknown }).answer) }
    } catch (error) {
      return { failure: `the verifier ${(error as Error).message}` }
    }
  }

  kill(): void {
    this.#process.kill()
  }
}
