import { type ChildProcess, fork } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { CoppiceError } from '../errors.ts'
import { openForReading } from '../rollouts/files.ts'
import { visible } from '../rollouts/json-text.ts'
import {
  type FromParquetWorker,
  PARQUET_MEMORY_MARK,
  PARQUET_TIME_MARK,
  type ToParquetWorker,
} from './parquet-messages.ts'
import type { ColumnChoice, RowBlocks } from './read-row.ts'

/** MiB that the decoding process may hold: its heap, and all of it. */
const HEAP_LIMIT_MB = 512
const MEMORY_LIMIT_MB = 640
/** Processor time that a file may take: so much at least, and more for larger files. */
const TIME_LIMIT_MS = 6000
const TIME_LIMIT_MS_PER_MIB = 1500
/** A busy machine may need so many times as long by the clock; waiting for the consumer does not count. */
const CLOCK_SHARE = 5
const STDERR_KEPT = 4096

const isSource = import.meta.url.endsWith('.ts')
const program = new URL(isSource ? './parquet-worker.ts' : './parquet-worker.js', import.meta.url)

/** Processes to end with this one. */
const living = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL')
})

/**
 * The rows of a .parquet file, row group by row group; `choose` says which columns. A small damaged file can make the
 * decoder claim any amount of memory or time, so it runs in a process that is ended when it does.
 */
export async function* parquetRows(path: string, choose: ColumnChoice): RowBlocks {
  await (await openForReading(path)).close()
  const { size } = await stat(path)
  const timeLimitMs = Math.round(TIME_LIMIT_MS + (TIME_LIMIT_MS_PER_MIB * size) / 2 ** 20)
  const worker = new ParquetProcess(path, timeLimitMs)
  try {
    const opened = await worker.ask({
      open: { path, hostPid: process.pid, memoryLimitMb: MEMORY_LIMIT_MB, timeLimitMs },
    })
    if (!('columns' in opened)) throw new CoppiceError('INTERNAL', 'an answer to another question')
    const columns = choose(opened.columns)
    let reply = await worker.ask({ columns })
    let number = 0
    while ('values' in reply) {
      const next = worker.ask({ next: true })
      // A rejection while the consumer works is told when the consumer comes back.
      next.catch(() => undefined)
      const { values } = reply
      yield Array.from({ length: values[0]?.length ?? 0 }, (_, i) => ({
        number,
        place: `row ${number++}`,
        // fromEntries makes a column __proto__ a column like any other.
        row: Object.fromEntries(columns.map((name, c) => [name, values[c]![i]])),
      }))
      reply = await next
    }
  } finally {
    worker.end()
  }
}

class ParquetProcess {
  readonly #path: string
  readonly #child: ChildProcess
  readonly #limitMs: number
  #spentMs = 0
  #stderr = ''
  #settle: ((reply: FromParquetWorker | 'late' | 'ended') => void) | undefined

  constructor(path: string, limitMs: number) {
    this.#path = path
    this.#limitMs = limitMs
    const loader = isSource
      ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href]
      : []
    this.#child = fork(program, {
      execArgv: [...loader, `--max-old-space-size=${HEAP_LIMIT_MB}`],
      serialization: 'advanced',
      stdio: ['ignore', 2, 'pipe', 'ipc'],
    })
    const child = this.#child
    living.add(child)
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT)
    })
    child.on('message', (reply) => this.#settle?.(reply as FromParquetWorker))
    child.on('error', () => this.#settle?.('ended'))
    child.on('close', () => {
      living.delete(child)
      this.#settle?.('ended')
    })
  }

  /** Sends a request and waits for its answer; one at a time. */
  async ask(message: ToParquetWorker): Promise<FromParquetWorker> {
    const begin = performance.now()
    const reply = await new Promise<FromParquetWorker | 'late' | 'ended'>((resolve) => {
      const settle = (value: FromParquetWorker | 'late' | 'ended') => {
        clearTimeout(timer)
        this.#settle = undefined
        resolve(value)
      }
      // When this process was busy, the deadline can fire while the answer waits to be read: read first, then judge.
      const expire = () => setImmediate(() => this.#settle === settle && settle('late'))
      const timer = setTimeout(expire, Math.max(1, CLOCK_SHARE * this.#limitMs - this.#spentMs))
      this.#settle = settle
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) settle('ended')
      else this.#child.send(message, (error) => error && this.#child.kill('SIGKILL'))
    })
    this.#spentMs += performance.now() - begin
    if (reply === 'late') throw this.#tooSlow()
    if (reply === 'ended') throw this.#ended()
    if (!('refused' in reply)) return reply
    const { place, reason, expected } = reply.refused
    throw this.#refuse(place, visible(reason), expected)
  }

  end(): void {
    this.#child.kill('SIGKILL')
    this.#child.unref()
  }

  #ended(): CoppiceError {
    if (
      /heap out of memory|Invalid array length/.test(this.#stderr) ||
      this.#stderr.includes(PARQUET_MEMORY_MARK)
    ) {
      return this.#refuse(
        'file',
        'decoding takes too much memory',
        `at most ${MEMORY_LIMIT_MB} MiB; smaller row groups take less`,
      )
    }
    if (this.#stderr.includes(PARQUET_TIME_MARK)) return this.#tooSlow()
    const { exitCode, signalCode } = this.#child
    const complaint = this.#stderr.split('\n').findLast((line) => /^\w*Error\b/.test(line))
    const how = signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`
    return new CoppiceError('DATA_CORRUPT', 'the process that decodes it ended', {
      where: this.#path,
      expected: 'a Parquet file that can be decoded',
      received: complaint === undefined ? how : `${how}, ${visible(complaint)}`,
    })
  }

  #tooSlow(): CoppiceError {
    const seconds = Math.round(this.#limitMs / 1000)
    return this.#refuse('file', 'decoding takes too long', `at most ${seconds} s for a file of this size`)
  }

  #refuse(place: string, reason: string, expected?: string): CoppiceError {
    return new CoppiceError('DATA_CORRUPT', reason, {
      where: place === 'file' ? this.#path : `${this.#path}, ${place}`,
      ...(expected !== undefined && { expected }),
    })
  }
}
