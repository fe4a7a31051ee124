import { stat } from 'node:fs/promises'
import { CoppiceError } from '../errors.ts'
import { HostedProcess } from '../hosted-process.ts'
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
const program = new URL('./parquet-worker', import.meta.url)

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
  readonly #process = new HostedProcess<ToParquetWorker, FromParquetWorker>(program, HEAP_LIMIT_MB)
  readonly #limitMs: number
  #spentMs = 0

  constructor(path: string, limitMs: number) {
    this.#path = path
    this.#limitMs = limitMs
  }

  /** Sends a request and waits for its answer; one at a time. */
  async ask(message: ToParquetWorker): Promise<FromParquetWorker> {
    const begin = performance.now()
    const reply = await this.#process.ask(message, Math.max(1, CLOCK_SHARE * this.#limitMs - this.#spentMs))
    this.#spentMs += performance.now() - begin
    if (reply === 'late') throw this.#tooSlow()
    if (reply === undefined) throw this.#ended()
    if (!('refused' in reply)) return reply
    const { place, reason, expected } = reply.refused
    throw this.#refuse(place, visible(reason), expected)
  }

  end(): void {
    this.#process.kill()
  }

  #ended(): CoppiceError {
    const { errorOutput, ending } = this.#process
    if (
      /heap out of memory|Invalid array length/.test(errorOutput) ||
      errorOutput.includes(PARQUET_MEMORY_MARK)
    ) {
      return this.#refuse(
        'file',
        'decoding takes too much memory',
        `at most ${MEMORY_LIMIT_MB} MiB; smaller row groups take less`,
      )
    }
    if (errorOutput.includes(PARQUET_TIME_MARK)) return this.#tooSlow()
    return new CoppiceError('DATA_CORRUPT', 'the process that decodes it ended', {
      where: this.#path,
      expected: 'a Parquet file that can be decoded',
      received: visible(ending),
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
