import { extname } from 'node:path'
import { batchFromRows } from '../rollouts/jsonl.ts'
import {
  appendColumns,
  concatBatches,
  dropColumns,
  type RolloutBatch,
  readTable,
  takeRows,
} from '../rollouts.ts'
import { type ColumnOptions, mappingOf, missingColumn } from './layouts.ts'
import { messagesOf, userText } from './messages.ts'
import { type RowOptions, resolveRowOptions } from './options.ts'
import { columnOf, type JsonRow, type RowFault, valueAt } from './read-row.ts'
import { type ReferenceForm, referenceOf, scalarText } from './references.ts'
import { selectRows } from './select-rows.ts'
import { type DataSource, dataFilesOf } from './sources.ts'
import { sizeOf } from './value-size.ts'

/** Which columns of a table are meant by the names that a verifier looks for, and which rows are read. */
export interface TableOptions extends RowOptions, ColumnOptions {
  /** The column that becomes `completion`. */
  completionColumn?: string
}

interface TableRow {
  number: number
  place: string
  row: JsonRow
  /** Columns that are put beside, or in place of, the row's own. */
  named: JsonRow
}

/**
 * The rows of a data file, of several, or of a data set on the hub as one batch with all their columns, for a verifier. Columns that the options name become
 * `prompt`, `reference`, `prompt_id` and `completion`; where nobody names a reference and the file has none, a known layout
 * gives it.
 */
export async function readDataTable(source: DataSource, options: TableOptions = {}): Promise<RolloutBatch> {
  const resolved = resolveRowOptions(options, ['completionColumn'])
  const files = await dataFilesOf(source, options)
  const { label: where, paths } = files
  const hasFormat = (extension: string) => paths.every((path) => extname(path) === extension)
  // An Arrow batch keeps its types: rows are only looked at to choose among them.
  const whole = hasFormat('.arrow') ? concatBatches(await readTables(paths)) : undefined
  if (whole !== undefined && isPlain(whole, options)) return whole
  const rows = await selectRows<Pick<TableRow, 'row' | 'named'>, TableRow>(files, resolved, {
    choose(columns) {
      const { references, ...others } = sources(columns, options)
      for (const { column } of Object.values({ ...others, references })) {
        if (column !== undefined && columnOf(columns, column) === undefined)
          throw missingColumn(column, columns, where)
      }
      if (whole === undefined) return columns
      const needed = Object.values({ ...others, references }).map(({ column }) => column)
      return columns.filter((column) =>
        needed.some((path) => path !== undefined && columnOf([column], path) === column),
      )
    },
    map(row) {
      const columns = Object.keys(row)
      const named = namedValues(row, sources(columns, options))
      if ('fault' in named) return named as { fault: RowFault }
      if (whole !== undefined) return { row: {}, named }
      const values = jsonRow(row, hasFormat('.jsonl'))
      const all = Object.fromEntries([...Object.entries(values), ...Object.entries(named)])
      return resolved.onBadRow === 'skip' ? checked(all) : { row: all, named: {} }
    },
    finish: ({ number, place, value }) => ({ number, place, ...value }),
    sizeOf: (value) => ('place' in value ? 0 : sizeOf(value.row)),
  })
  if (whole === undefined) {
    return batchFromRows(
      rows.map(({ row }) => row),
      (row) => `${where}, ${rows[row]!.place}`,
    )
  }
  const isWhole = rows.length === whole.numRows && rows.every(({ number }, i) => number === i)
  const batch = isWhole
    ? whole
    : takeRows(
        whole,
        Int32Array.from(rows, ({ number }) => number),
      )
  const names = Object.keys(rows[0]?.named ?? {})
  if (names.length === 0) return batch
  return appendColumns(
    dropColumns(batch, names),
    Object.fromEntries(names.map((name) => [name, rows.map(({ named }) => named[name] as string)])),
  )
}

async function readTables(paths: readonly string[]): Promise<RolloutBatch[]> {
  const tables: RolloutBatch[] = []
  for (const path of paths) tables.push(await readTable(path))
  return tables
}

/** Whether a batch is wanted as it is. */
function isPlain({ schema }: RolloutBatch, options: TableOptions): boolean {
  const { references, ...others } = sources(
    schema.fields.map(({ name }) => name),
    options,
  )
  const { filters = [], limit, shuffleSeed } = options
  const isNamed = Object.values({ ...others, references }).some(({ column }) => column !== undefined)
  return !isNamed && filters.length === 0 && limit === undefined && shuffleSeed === undefined
}

interface Source {
  column: string | undefined
  form: ReferenceForm
}

/** Where the columns that a verifier looks for come from, beside those of their own names. */
function sources(columns: readonly string[], options: TableOptions) {
  const plain = (column: string | undefined): Source => ({ column, form: 'plain' })
  const hasOwn = columns.includes('reference') || columns.includes('gold')
  const layout = hasOwn || options.referenceColumn !== undefined ? undefined : mappingOf(columns)?.reference
  return {
    prompt: plain(options.messagesColumn ?? options.promptColumn),
    prompt_id: plain(options.idColumn),
    completion: plain(options.completionColumn),
    references: layout ?? plain(options.referenceColumn),
  }
}

function namedValues(
  row: JsonRow,
  { references, ...texts }: ReturnType<typeof sources>,
): JsonRow | { fault: RowFault } {
  const named: JsonRow = {}
  // A chat under our own name: what the user says stands for it.
  const own =
    texts.prompt.column === undefined && Array.isArray(row.prompt) ? messagesOf(row.prompt) : undefined
  if (own !== undefined && 'messages' in own) named.prompt = userText(own.messages)
  for (const [name, { column }] of Object.entries(texts)) {
    if (column === undefined) continue
    const value = valueAt(row, column)
    const chat = name === 'prompt' && typeof value !== 'string' ? messagesOf(value) : undefined
    const text = chat !== undefined && 'messages' in chat ? userText(chat.messages) : scalarText(value)
    if (text === undefined) return { fault: { reason: `no text in '${column}'`, expected: 'a text' } }
    named[name] = text
  }
  const { column, form } = references
  if (column === undefined) return named
  const reference = referenceOf(valueAt(row, column), { column, form })
  return 'fault' in reference ? reference : { ...named, reference: reference.text }
}

/** Columns that hold texts though a file may give them as numbers. */
const TEXTS = ['prompt_id', 'prompt', 'reference', 'gold', 'completion', 'prediction']

/** A row as JSON has it. JSONL rows are, and stay what they are. */
function jsonRow(row: JsonRow, isJson: boolean): JsonRow {
  if (isJson) return row
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      (TEXTS.includes(name) ? scalarText(value) : undefined) ?? jsonValue(value),
    ]),
  )
}

function jsonValue(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value)
    return Number.isSafeInteger(number) ? number : String(value)
  }
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map(jsonValue)
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as Iterable<unknown>, jsonValue)
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, jsonValue(item)]))
}

/** What a verifier needs of a row, so that a row without it can be left out. */
function checked(row: JsonRow): Pick<TableRow, 'row' | 'named'> | { fault: RowFault } {
  const pairs = [
    ['completion', 'prediction'],
    ['reference', 'gold'],
  ]
  for (const [i, names] of pairs.entries()) {
    const name = names.find((each) => Object.hasOwn(row, each))
    if (name === undefined ? i === 0 : typeof row[name] !== 'string') {
      return { fault: { reason: `no text in '${name ?? names[0]}'`, expected: 'a text' } }
    }
  }
  return { row, named: {} }
}
