import { serveHost, startGuard } from '../process-guard.ts'
import { ParquetFault, ParquetFile } from './parquet-file.ts'
import {
  type FromParquetWorker,
  PARQUET_MEMORY_MARK,
  PARQUET_TIME_MARK,
  type ToParquetWorker,
} from './parquet-messages.ts'
import { sizeOf } from './value-size.ts'

// The program of a process that decodes one Parquet file for the host on the other end of the message channel. It may
// hang, run out of memory or end at any point: the host sees to that.

/** Rows of a message, and about how many characters of text: what the host has to hold at a time. */
const MESSAGE_ROWS = 1024
const MESSAGE_CHARACTERS = 1 << 20
/** As long as a line of JSONL may be. */
const MAX_VALUE_CHARACTERS = 1 << 24

let file: ParquetFile
let blocks: AsyncGenerator<unknown[][], void, void>

process.on('message', async (message: ToParquetWorker) => {
  const reply = await answer(message).catch(refusal)
  process.send!(reply)
})
serveHost()

async function answer(message: ToParquetWorker): Promise<FromParquetWorker> {
  if ('open' in message) {
    const { path, hostPid, memoryLimitMb, timeLimitMs } = message.open
    const memory = { limitMb: memoryLimitMb, mark: PARQUET_MEMORY_MARK }
    const processorTime = { limitMs: timeLimitMs, mark: PARQUET_TIME_MARK }
    startGuard({ hostPid, memory, processorTime, everyMs: 20 })
    file = await ParquetFile.open(path)
    return { columns: file.columns }
  }
  if ('columns' in message) blocks = decode(message.columns)
  const { value, done } = await blocks.next()
  return done === true ? { end: true } : { values: value as unknown[][] }
}

function refusal(error: unknown): FromParquetWorker {
  if (!(error instanceof ParquetFault)) {
    return { refused: { place: 'file', reason: error instanceof Error ? error.message : String(error) } }
  }
  const { place, reason, expected } = error
  return { refused: { place, reason, ...(expected !== undefined && { expected }) } }
}

async function* decode(columns: readonly string[]): AsyncGenerator<unknown[][], void, void> {
  for (const [index, length] of file.groupRows.entries()) {
    const group = await file.group(index, columns)
    const lists = columns.map((name) => group.get(name) ?? [])
    let begin = 0
    let characters = 0
    for (let row = 0; row < length; row++) {
      for (const [c, list] of lists.entries()) characters += checkedSize(list[row], index, columns[c]!)
      const isFull = row + 1 - begin === MESSAGE_ROWS || characters >= MESSAGE_CHARACTERS
      if (!isFull && row + 1 < length) continue
      yield lists.map((list) => Array.from({ length: row + 1 - begin }, (_, i) => plain(list[begin + i])))
      begin = row + 1
      characters = 0
    }
  }
}

/** Absent values of nested columns come as undefined. */
function plain(value: unknown): unknown {
  return value === undefined ? null : value
}

function checkedSize(value: unknown, group: number, column: string): number {
  const size = sizeOf(value)
  if (size <= MAX_VALUE_CHARACTERS) return size
  throw new ParquetFault(
    `row group ${group}, column '${column}'`,
    `a value of about ${size} characters`,
    `at most ${MAX_VALUE_CHARACTERS}`,
  )
}
