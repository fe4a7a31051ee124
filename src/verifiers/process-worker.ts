import { type ChildProcess, fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { CoppiceError } from '../errors.ts'
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
const STDERR_KEPT = 4096
const STDERR_WAIT_MS = 200
const isSource = import.meta.url.endsWith('.ts')
const program = new URL(isSource ? './worker.ts' : './worker.js', import.meta.url)

/** Processes to end with this one; a process stuck in a loop does not notice that its host is gone. */
const living = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL')
})

/** One process with the verifier in it. It judges one sample at a time and does not outlive one that is too slow. */
export class ProcessWorker {
  readonly #child: ChildProcess
  readonly #limits: ProcessLimits
  #stderr = ''
  #judged = 0
  /** Settles the one request under way with a reply, or with undefined when the process has ended. */
  #settle: ((reply: FromWorker | undefined) => void) | undefined

  private constructor(child: ChildProcess, limits: ProcessLimits) {
    this.#child = child
    this.#limits = limits
    living.add(child)
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT)
    })
    child.on('message', (reply) => {
      if (typeof reply === 'object' && reply !== null) this.#settle?.(reply as FromWorker)
    })
    child.on('error', () => this.#end())
    child.on('close', () => this.#end())
    // What the process printed last comes with 'close', but a process that it started may hold the pipe open for ever.
    child.on('exit', () => setTimeout(() => this.#end(), STDERR_WAIT_MS))
  }

  /** Starts a process and loads the verifier; INVALID_ARGUMENT, naming `where`, when that fails. */
  static async start(source: WorkerSource, limits: ProcessLimits, where: string): Promise<ProcessWorker> {
    const loader = isSource
      ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href]
      : []
    const child = fork(program, {
      execArgv: [...loader, `--max-old-space-size=${limits.memoryLimitMb}`],
      serialization: 'advanced',
      // What a verifier prints is for people: our own standard output may be somebody's input.
      stdio: ['ignore', 2, 'pipe', 'ipc'],
    })
    const worker = new ProcessWorker(child, limits)
    const { timeoutMs, loadTimeoutMs, memoryLimitMb } = limits
    const setup = { source, timeoutMs, memoryLimitMb, hostPid: process.pid }
    const reply = await worker.#request({ setup }, loadTimeoutMs)
    if (reply !== undefined && reply !== 'late' && 'ready' in reply) return worker
    worker.kill()
    const reason =
      reply === 'late'
        ? `not loaded after ${loadTimeoutMs} ms`
        : reply !== undefined && 'refused' in reply
          ? reply.refused
          : `its process ended while loading: ${worker.#ending()}`
    throw new CoppiceError('INVALID_ARGUMENT', `the verifier cannot be loaded: ${reason}`, { where })
  }

  /** Whether it can take another sample. */
  get isAlive(): boolean {
    return living.has(this.#child) && !this.#child.killed
  }

  /** The outcome; undefined when the process ended under work that an earlier sample may have left behind. */
  async judge(sample: Sample): Promise<Outcome | undefined> {
    const { timeoutMs } = this.#limits
    const isFresh = this.#judged++ === 0
    const reply = await this.#request({ sample }, timeoutMs + GRACE_MS)
    if (reply === 'late') {
      this.kill()
      return timedOut(`no answer after ${timeoutMs} ms`)
    }
    if (reply === undefined) {
      if (!isFresh) return undefined
      if (/heap out of memory/.test(this.#stderr) || this.#stderr.includes(MEMORY_MARK)) {
        return timedOut(`used more than ${this.#limits.memoryLimitMb} MiB of memory`)
      }
      return { failure: `the verifier's process ended: ${this.#ending()}` }
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
    this.#child.kill('SIGKILL')
  }

  #request(message: ToWorker, limitMs: number): Promise<FromWorker | 'late' | undefined> {
    if (!this.isAlive) return Promise.resolve(undefined)
    this.#keepHostAlive(true)
    return new Promise((resolve) => {
      const settle = (reply: FromWorker | 'late' | undefined) => {
        clearTimeout(timer)
        this.#settle = undefined
        this.#keepHostAlive(false)
        resolve(reply)
      }
      // When this process was busy, the deadline can fire while the reply waits to be read: read first, then judge.
      const expire = () => setImmediate(() => this.#settle === settle && settle('late'))
      const timer = setTimeout(expire, limitMs)
      this.#settle = settle
      this.#child.send(message, (error) => error && this.kill())
    })
  }

  /** An idle process must not keep a program from ending. */
  #keepHostAlive(isBusy: boolean): void {
    const { channel, stderr } = this.#child
    for (const handle of [this.#child, channel, stderr as unknown as NodeJS.RefCounted | null]) {
      if (isBusy) handle?.ref()
      else handle?.unref()
    }
  }

  #end(): void {
    living.delete(this.#child)
    this.#settle?.(undefined)
  }

  #ending(): string {
    const { exitCode, signalCode } = this.#child
    const complaint = this.#stderr.split('\n').findLast((line) => /^\w*Error\b/.test(line))
    const how = signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`
    return complaint === undefined ? how : `${how}, ${complaint}`
  }
}
