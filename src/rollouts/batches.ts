import { type Data, Field, makeData, RecordBatch, Schema, Struct } from 'apache-arrow'
import { CoppiceError, invalidArgument } from '../errors.ts'
import { type ColumnValues, columnDataFrom, sameType } from './column-data.ts'
import { hasColumn } from './columns.ts'
import { gatherRuns, type Run } from './gather.ts'
import { isKnownColumn, knownField, type RolloutBatch } from './schema.ts'

/** A batch of the given columns, in that order. Typed arrays and list views are wrapped without a copy. */
export function makeBatch(rows: number, columns: Readonly<Record<string, ColumnValues>>): RolloutBatch {
  const names = Object.keys(columns)
  return assemble(
    names.map((name) => columnDataFrom(name, columns[name]!, rows)),
    (data, i) => fieldOf(names[i]!, data),
    rows,
  )
}

/** A batch of these columns without a row. */
export function emptyBatch(schema: Schema): RolloutBatch {
  const children = schema.fields.map(({ type }) => gatherRuns(type, []))
  return assemble(children, (_, i) => schema.fields[i]!, 0, schema.metadata)
}

/** The batch with further columns. A column that is there already is refused: a stage never edits its input. */
export function appendColumns(
  batch: RolloutBatch,
  columns: Readonly<Record<string, ColumnValues>>,
): RolloutBatch {
  for (const name of Object.keys(columns)) {
    if (hasColumn(batch, name))
      throw invalidArgument(`column '${name}'`, 'a batch that does not have it yet', name)
  }
  const { fields, metadata } = batch.schema
  const names = Object.keys(columns)
  const added = names.map((name) => columnDataFrom(name, columns[name]!, batch.numRows))
  return assemble(
    [...batch.data.children, ...added],
    (data, i) => fields[i] ?? fieldOf(names[i - fields.length]!, data),
    batch.numRows,
    metadata,
  )
}

/** The batch without some of its columns; names that it does not have are no fault. */
export function dropColumns(batch: RolloutBatch, names: readonly string[]): RolloutBatch {
  const kept = batch.schema.fields.flatMap((field, i) => (names.includes(field.name) ? [] : [i]))
  return assemble(
    kept.map((i) => batch.data.children[i]!),
    (_, i) => batch.schema.fields[kept[i]!]!,
    batch.numRows,
    batch.schema.metadata,
  )
}

/** Rows begin .. end - 1, over the same memory. */
export function sliceRows(batch: RolloutBatch, begin: number, end: number): RolloutBatch {
  if (!Number.isInteger(begin) || !Number.isInteger(end) || begin < 0 || end < begin || end > batch.numRows) {
    throw invalidArgument('rows', `0 <= begin <= end <= ${batch.numRows}`, `${begin} and ${end}`)
  }
  return assemble(
    batch.data.children.map((data) => data.slice(begin, end - begin)),
    (_, i) => batch.schema.fields[i]!,
    end - begin,
    batch.schema.metadata,
  )
}

/** The given rows in the given order, copied. */
export function takeRows(batch: RolloutBatch, rows: ArrayLike<number>): RolloutBatch {
  const spans: { begin: number; end: number }[] = []
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    if (!Number.isInteger(row) || row < 0 || row >= batch.numRows) {
      throw invalidArgument('rows', `rows from 0 to ${batch.numRows - 1}`, row)
    }
    const last = spans.at(-1)
    if (last?.end === row) last.end++
    else spans.push({ begin: row, end: row + 1 })
  }
  return assemble(
    batch.data.children.map((data) =>
      gatherRuns(
        data.type,
        spans.map((span) => ({ data, ...span })),
      ),
    ),
    (_, i) => batch.schema.fields[i]!,
    rows.length,
    batch.schema.metadata,
  )
}

/** One batch of all rows. The batches must have the same columns; a single one is returned as it is. */
export function concatBatches(batches: readonly RolloutBatch[]): RolloutBatch {
  const [first] = batches
  if (first === undefined) throw invalidArgument('batches', 'at least one batch', batches)
  if (batches.length === 1) return first
  const rows = batches.reduce((sum, batch) => sum + batch.numRows, 0)
  return assemble(
    first.schema.fields.map((field) =>
      gatherRuns(
        field.type,
        batches.map((batch, i) => wholeRun(batch, i, field)),
      ),
    ),
    (_, i) => first.schema.fields[i]!,
    rows,
    first.schema.metadata,
  )
}

function wholeRun(batch: RolloutBatch, index: number, field: Field): Run {
  const at = batch.schema.fields.findIndex(({ name }) => name === field.name)
  const data = batch.data.children[at]
  if (data === undefined || !sameType(data.type, field.type)) {
    throw new CoppiceError('SHAPE_MISMATCH', 'batches of different columns', {
      where: `batch ${index}, column '${field.name}'`,
      expected: String(field.type),
      received: data === undefined ? 'no such column' : String(data.type),
    })
  }
  return { data, begin: 0, end: data.length }
}

function fieldOf(name: string, data: Data): Field {
  if (isKnownColumn(name)) return knownField(name)
  return new Field(name, data.type, true)
}

function assemble(
  children: Data[],
  fieldOf: (data: Data, index: number) => Field,
  rows: number,
  metadata?: Map<string, string>,
): RolloutBatch {
  const schema = new Schema(children.map(fieldOf), metadata)
  return new RecordBatch(
    schema,
    makeData({ type: new Struct(schema.fields), length: rows, nullCount: 0, children }),
  )
}
