import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type CsvError, type Info, parse } from 'csv-parse'
import { CoppiceError } from '../errors.ts'
import { openForReading } from '../rollouts/files.ts'
import { visible } from '../rollouts/json-text.ts'
import type { ColumnChoice, ReadRow, RowBlocks } from './read-row.ts'

/** A record that is longer is taken for a quote that does not close. */
const MAX_RECORD_BYTES = 16 * 2 ** 20
const MAX_COLUMNS = 4096
const BLOCK_ROWS = 256

type Event = { record: string[]; line: number } | { error: CsvError; line: number }

/**
 * The rows of a .csv file with a header: commas, double quotes, LF or CR LF, UTF-8 with or without a byte order mark.
 * Every value is text. A row's line is the one that it ends on.
 */
export async function* csvRows(path: string, choose: ColumnChoice): RowBlocks {
  let header: readonly string[] | undefined
  let number = 0
  let block: ReadRow[] = []
  for await (const event of records(path)) {
    const place = `line ${event.line}`
    if ('error' in event) {
      if (header === undefined) throw corrupt(`${path}, ${place}`, reasonOf(event.error))
      block.push({ number: number++, place, fault: { reason: reasonOf(event.error) } })
    } else if (header === undefined) {
      header = checkedHeader(event.record, `${path}, ${place}`)
      choose(header)
    } else {
      block.push({ number: number++, place, ...rowOf(event.record, header) })
    }
    if (block.length < BLOCK_ROWS) continue
    yield block
    block = []
  }
  if (block.length > 0) yield block
}

function rowOf(record: readonly string[], header: readonly string[]): Pick<ReadRow, never> & RowOrFault {
  if (record.length !== header.length) {
    const [expected, received] = [header.length, record.length].map((count) => `${count} fields`)
    return {
      fault: { reason: 'a row of another length than the header', expected: expected!, received: received! },
    }
  }
  if (record.some((field) => field.includes('\0')))
    return { fault: { reason: 'a NUL byte', expected: 'text' } }
  // fromEntries makes a column __proto__ a column like any other.
  return { row: Object.fromEntries(header.map((name, i) => [name, record[i]])) }
}

type RowOrFault =
  | { row: Record<string, unknown> }
  | { fault: { reason: string; expected?: string; received?: string } }

function checkedHeader(names: readonly string[], where: string): readonly string[] {
  if (names.length > MAX_COLUMNS)
    throw corrupt(where, `a header of ${names.length} columns`, `at most ${MAX_COLUMNS}`)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw corrupt(where, `column ${JSON.stringify(twice)} appears twice in the header`)
  const odd = names.find((name) => name.includes('\0'))
  if (odd !== undefined)
    throw corrupt(where, 'a NUL byte in the header', 'a first line with the names of the columns')
  return names
}

/** Records and faulty ones in the file's order. */
async function* records(path: string): AsyncGenerator<Event, void, void> {
  const file = await openForReading(path)
  const failed: Event[] = []
  const parser = parse({
    bom: true,
    info: true,
    relax_column_count: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    max_record_size: MAX_RECORD_BYTES,
    on_skip: (error) => {
      if (error === undefined) return
      // Where a record has no end, nothing behind it can be told apart.
      if (error.code === 'CSV_MAX_RECORD_SIZE') throw error
      failed.push({ error, line: Number(error.lines ?? 0) })
    },
  })
  const flow = pipeline(file.createReadStream({ autoClose: false }), utf8Only(path), parser)
  flow.catch(() => undefined)
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: Info }>) {
      // Errors are told ahead of the records that the stream still holds.
      while (failed.length > 0 && failed[0]!.line < info.lines) yield failed.shift()!
      yield { record, line: info.lines }
    }
    yield* failed
  } catch (error) {
    if (error instanceof CoppiceError) throw error
    const { lines, code } = error as CsvError
    if (typeof code !== 'string' || !code.startsWith('CSV_')) throw error
    throw corrupt(
      `${path}, line ${Number(lines)}`,
      'a row without an end',
      `at most ${MAX_RECORD_BYTES / 2 ** 20} MiB; quotes come in pairs`,
    )
  } finally {
    parser.destroy()
    await flow.catch(() => undefined)
    await file.close()
  }
}

/** Passes text through and stops, naming the line, where it is not UTF-8. */
function utf8Only(path: string): Transform {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let line = 1
  const check = (chunk: Uint8Array | undefined) => {
    try {
      decoder.decode(chunk, { stream: chunk !== undefined })
    } catch {
      return corrupt(`${path}, line ${line} or behind it`, 'not UTF-8', 'text in UTF-8')
    }
    return null
  }
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const error = check(chunk)
      for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) line++
      if (error === null) done(null, chunk)
      else done(error)
    },
    flush: (done) => done(check(undefined)),
  })
}

const REASONS: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: 'a quote that does not close',
  CSV_INVALID_CLOSING_QUOTE: 'text behind a closing quote',
  INVALID_OPENING_QUOTE: 'a quote within a field that has none around it',
}

function reasonOf({ code, message }: CsvError): string {
  return REASONS[code] ?? visible(message).slice(0, 200)
}

function corrupt(where: string, reason: string, expected?: string): CoppiceError {
  return new CoppiceError('DATA_CORRUPT', reason, { where, ...(expected !== undefined && { expected }) })
}
