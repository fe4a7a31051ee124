import { type CsvError, type Info, parse } from 'csv-parse'
import { CoppiceError } from '../errors.ts'
import { openForReading } from '../rollouts/files.ts'
import { visible } from '../rollouts/json-text.ts'
import type { ColumnChoice, ReadRow, RowBlocks } from './read-row.ts'

/** A record that is longer is taken for a quote that does not close. */
const MAX_RECORD_BYTES = 16 * 2 ** 20
const MAX_COLUMNS = 4096

type Event = { record: string[]; line: number } | { error: CsvError; line: number }

/**
 * The rows of a .csv file with a header: commas, double quotes, LF or CR LF, UTF-8 with or without a byte order mark.
 * Every value is text. A row's line is the one that it ends on.
 */
export async function* csvRows(path: string, choose: ColumnChoice): RowBlocks {
  let header: readonly string[] | undefined
  let number = 0
  for await (const events of records(path)) {
    const block: ReadRow[] = []
    for (const event of events) {
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
    }
    if (block.length > 0) yield block
  }
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

/** Records and faulty ones in the file's order, a piece of the file at a time. */
async function* records(path: string): AsyncGenerator<Event[], void, void> {
  const file = await openForReading(path)
  const requireUtf8 = utf8Check(path)
  let events: Event[] = []
  let failure: Error | undefined
  const parser = parse({
    bom: true,
    relax_column_count: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    max_record_size: MAX_RECORD_BYTES,
    // Records are taken here, where the parser finds them: its stream costs several times as much as its parsing.
    on_record: (record: string[], { lines }: Info) => {
      events.push({ record, line: lines })
      return null
    },
    on_skip: (error) => {
      if (error === undefined) return
      // Where a record has no end, nothing behind it can be told apart.
      if (error.code === 'CSV_MAX_RECORD_SIZE') throw error
      events.push({ error, line: Number(error.lines ?? 0) })
    },
  })
  parser.on('error', (error) => {
    failure ??= error
  })
  parser.resume()
  try {
    for await (const chunk of file.createReadStream({ autoClose: false })) {
      requireUtf8(chunk)
      await withoutStacks((done) => parser.write(chunk, done))
      if (failure !== undefined) break
      yield events
      events = []
    }
    if (failure === undefined) {
      requireUtf8(undefined)
      await withoutStacks((done) => parser.end(done))
    }
    yield events
    if (failure !== undefined) throw unparsed(failure, path)
  } finally {
    parser.destroy()
    await file.close()
  }
}

/** Runs the parser, which makes an error for every odd row: a stack is most of what an error costs. */
function withoutStacks(run: (done: () => void) => void): Promise<void> {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return new Promise((resolve) => run(resolve))
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

function unparsed(error: Error, path: string): Error {
  const { lines, code } = error as CsvError
  if (typeof code !== 'string' || !code.startsWith('CSV_')) return error
  return corrupt(
    `${path}, line ${Number(lines)}`,
    'a row without an end',
    `at most ${MAX_RECORD_BYTES / 2 ** 20} MiB; quotes come in pairs`,
  )
}

/** Refuses, naming the line, what is not UTF-8; undefined ends the text. */
function utf8Check(path: string): (chunk: Buffer | undefined) => void {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let line = 1
  return (chunk) => {
    try {
      decoder.decode(chunk, { stream: chunk !== undefined })
    } catch {
      throw corrupt(`${path}, line ${line} or behind it`, 'not UTF-8', 'text in UTF-8')
    }
    if (chunk === undefined) return
    for (let at = chunk.indexOf(0x0a); at !== -1; at = chunk.indexOf(0x0a, at + 1)) line++
  }
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
