import { type ChildProcess, fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const STDERR_KEPT = 4096
const STDERR_WAIT_MS = 200
const isSource = import.meta.url.endsWith('.ts')

/** Processes to end with this one; a process stuck in a loop does not notice that its host is gone. */
const living = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL')
})

/**
 * A process of one of our own programs, for work that may hang, take all memory or end at any point. It answers one request
 * at a time. The program's side of it: process-guard.ts.
 */
export class HostedProcess<Request extends object, Reply extends object> {
  readonly #child: ChildProcess
  #stderr = ''
  /** Settles the one request under way with a reply, or with undefined when the process has ended. */
  #settle: ((reply: Reply | undefined) => void) | undefined

  /** `program`: the module's place without its ending; `heapMb`: MiB of its heap. */
  constructor(program: URL, heapMb: number) {
    const loader = isSource
      ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href]
      : []
    const child = fork(new URL(`${program.href}${isSource ? '.ts' : '.js'}`), {
      execArgv: [...loader, `--max-old-space-size=${heapMb}`],
      serialization: 'advanced',
      // What the program prints is for people: our own standard output may be somebody's input.
      stdio: ['ignore', 2, 'pipe', 'ipc'],
    })
    this.#child = child
    living.add(child)
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT)
    })
    child.on('message', (reply) => {
      if (typeof reply === 'object' && reply !== null) this.#settle?.(reply as Reply)
    })
    child.on('error', () => this.#end())
    child.on('close', () => this.#end())
    // What the process printed last comes with 'close', but a process that it started may hold the pipe open for ever.
    child.on('exit', () => setTimeout(() => this.#end(), STDERR_WAIT_MS))
  }

  /** Whether it can take another request. */
  get isAlive(): boolean {
    return living.has(this.#child) && !this.#child.killed
  }

  /** The end of what it wrote as errors. */
  get errorOutput(): string {
    return this.#stderr
  }

  /** How it ended, for people. */
  get ending(): string {
    const { exitCode, signalCode } = this.#child
    const complaint = this.#stderr.split('\n').findLast((line) => /^\w*Error\b/.test(line))
    const how = signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`
    return complaint === undefined ? how : `${how}, ${complaint}`
  }

  /** The answer; `late` after so many milliseconds, undefined when the process has ended. */
  ask(message: Request, limitMs: number): Promise<Reply | 'late' | undefined> {
    if (!this.isAlive) return Promise.resolve(undefined)
    this.#keepHostAlive(true)
    return new Promise((resolve) => {
      const settle = (reply: Reply | 'late' | undefined) => {
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

  kill(): void {
    this.#child.kill('SIGKILL')
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
}
