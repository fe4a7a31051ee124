import { Bool, DataType, Float64, Precision, Utf8, Vector, vectorFromArray } from 'apache-arrow'
import { CoppiceError, describeValue } from '../errors.ts'
import { makeBatch } from './batches.ts'
import type { ColumnValues } from './column-data.ts'
import type { JsonRow } from './json-text.ts'
import { isKnownColumn, KNOWN_COLUMNS, type KnownColumn, type RolloutBatch } from './schema.ts'

// Rollouts as lines of JSON: one object a row, the same names as in Arrow. A number of 32 bits is printed with as many
// digits as bring it back to the bit; a 64-bit integer is a decimal string; NaN and the infinities, which JSON lacks, are
// the strings "NaN", "Infinity" and "-Infinity". Columns that coppice does not know keep their values, whatever they are.

type Row = JsonRow

/** Columns of unknown name whose values are not all of one plain kind hold JSON texts. */
const JSON_TEXT = { key: 'coppice.json', value: 'text' }

/**
 * A batch of rows that JSON gave. A name's type is the known one, or follows from its values. `placeOf` names a row in
 * errors.
 */
export function batchFromRows(rows: readonly Row[], placeOf: (row: number) => string): RolloutBatch {
  const names = columnNames(rows, placeOf)
  // Without a prototype, so that a column may be called __proto__.
  const columns: Record<string, ColumnValues> = Object.create(null)
  const jsonColumns: string[] = []
  for (const name of names) {
    const values = rows.map((row) => (Object.hasOwn(row, name) ? row[name] : null))
    if (isKnownColumn(name)) {
      if (name === 'token_weights') spreadNumbers(values, rows)
      columns[name] = knownValues(name, values, (row) => `${placeOf(row)}, '${name}'`)
      continue
    }
    const plain = plainVector(values)
    if (plain === undefined) jsonColumns.push(name)
    columns[name] = plain ?? vectorFromArray(values.map(jsonText), new Utf8())
  }
  const batch = makeBatch(rows.length, columns)
  for (const field of batch.schema.fields) {
    if (jsonColumns.includes(field.name)) field.metadata.set(JSON_TEXT.key, JSON_TEXT.value)
  }
  return batch
}

/** Cells that a table may have though no row fills them: so many in any case, and so many for each that one does. */
const EMPTY_CELLS = 10_000_000
const EMPTY_CELLS_PER_CELL = 16

/** The names of all columns. Rows that each have names of their own would make a table of their product. */
function columnNames(rows: readonly Row[], placeOf: (row: number) => string): Set<string> {
  const names = new Set<string>()
  let cells = 0
  for (const row of rows) {
    const keys = Object.keys(row)
    cells += keys.length
    for (const key of keys) names.add(key)
  }
  if (names.size * rows.length <= EMPTY_CELLS + EMPTY_CELLS_PER_CELL * cells) return names
  throw new CoppiceError('DATA_CORRUPT', 'columns that few rows have', {
    where: placeOf(rows.length - 1),
    expected: 'rows with the same columns',
    received: `${names.size} columns over ${rows.length} rows`,
  })
}

/** In a row's token_weights one number stands for every completion token. */
function spreadNumbers(values: unknown[], rows: readonly Row[]): void {
  rows.forEach(({ completion_tokens: tokens }, row) => {
    if (typeof values[row] !== 'number' || !Array.isArray(tokens)) return
    values[row] = new Array(tokens.length).fill(values[row])
  })
}

function knownValues(
  name: KnownColumn,
  values: readonly unknown[],
  where: (row: number) => string,
): ColumnValues {
  const { type, nullable }: { type: DataType; nullable: boolean } = KNOWN_COLUMNS[name]
  const refuse = (row: number, expected: string, value: unknown): never => {
    throw new CoppiceError('DATA_CORRUPT', 'wrong value', {
      where: where(row),
      expected: nullable ? `${expected} or null` : expected,
      received: describeValue(value),
    })
  }
  if (DataType.isList(type)) return listValues(type.valueType, values, nullable, refuse)
  if (DataType.isUtf8(type) || DataType.isDictionary(type)) {
    return values.map((value, row) => {
      if (typeof value === 'string' || (value === null && nullable)) return value
      return refuse(row, 'a string', value)
    })
  }
  const numbers = values.map((value, row) => {
    if (value === null && nullable) return null
    return parseNumber(type, value) ?? refuse(row, nameOfNumbers(type), value)
  })
  if (nullable) return numbers as (number | null)[]
  const ArrayType = type.ArrayType as unknown as { from(values: unknown[]): Int32Array }
  return ArrayType.from(numbers)
}

function listValues(
  valueType: DataType,
  values: readonly unknown[],
  nullable: boolean,
  refuse: (row: number, expected: string, value: unknown) => never,
): ColumnValues {
  const offsets = new Int32Array(values.length + 1)
  const valid = new Uint8Array(values.length)
  let total = 0
  values.forEach((list, row) => {
    if (Array.isArray(list)) {
      valid[row] = 1
      total += list.length
    } else if (list !== null || !nullable) refuse(row, `a list of ${nameOfNumbers(valueType)}`, list)
    offsets[row + 1] = total
  })
  const flat = new (valueType.ArrayType as unknown as new (length: number) => Float32Array)(total)
  values.forEach((list, row) => {
    if (!Array.isArray(list)) return
    for (let i = 0; i < list.length; i++) {
      const number =
        parseNumber(valueType, list[i]) ?? refuse(row, `a list of ${nameOfNumbers(valueType)}`, list[i])
      flat[offsets[row]! + i] = number as number
    }
  })
  return valid.includes(0) ? { values: flat, offsets, valid } : { values: flat, offsets }
}

const NOT_FINITE = new Map([NaN, Infinity, -Infinity].map((number) => [String(number), number]))

/** A number that the type can hold, or undefined. */
function parseNumber(type: DataType, value: unknown): number | bigint | undefined {
  if (DataType.isFloat(type)) return typeof value === 'number' ? value : NOT_FINITE.get(value as string)
  if (!DataType.isInt(type)) return undefined
  if (type.bitWidth === 64) {
    const digits = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value
    if (typeof digits !== 'string' || !/^\d{1,20}$/.test(digits)) return undefined
    const whole = BigInt(digits)
    return whole < 2n ** 64n ? whole : undefined
  }
  const [min, max] = type.isSigned
    ? [-(2 ** (type.bitWidth - 1)), 2 ** (type.bitWidth - 1) - 1]
    : [0, 2 ** type.bitWidth - 1]
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max
    ? value
    : undefined
}

function nameOfNumbers(type: DataType): string {
  if (DataType.isFloat(type)) return 'numbers'
  return DataType.isInt(type) && type.bitWidth === 64
    ? 'whole numbers from 0 to 2^64 - 1'
    : `${String(type)} numbers`
}

/** Values of one plain kind, nulls aside, as that kind; undefined where they are of several or of none. */
function plainVector(values: readonly unknown[]): Vector | undefined {
  const kinds = new Set(values.filter((value) => value !== null).map((value) => typeof value))
  if (kinds.size !== 1) return undefined
  if (kinds.has('number')) return vectorFromArray(values as (number | null)[], new Float64())
  if (kinds.has('boolean')) return vectorFromArray(values as (boolean | null)[], new Bool())
  if (kinds.has('string')) return vectorFromArray(values as (string | null)[], new Utf8())
  return undefined
}

function jsonText(value: unknown): string | null {
  return value === null ? null : JSON.stringify(value)
}

/** Lines of JSON for every row, each ended by a newline. */
export function* jsonlLines(batch: RolloutBatch): Generator<string> {
  const columns = batch.schema.fields.map((field, i) => ({
    name: field.name,
    vector: new Vector([batch.data.children[i]!]),
    isJson: field.metadata.get(JSON_TEXT.key) === JSON_TEXT.value,
  }))
  for (let row = 0; row < batch.numRows; row++) {
    const parts = columns.map(({ name, vector, isJson }) => {
      const value = valueAt(vector, row, name)
      return `${JSON.stringify(name)}:${isJson ? (value ?? 'null') : print(vector.type, value)}`
    })
    yield `{${parts.join(',')}}\n`
  }
}

function valueAt(vector: Vector, row: number, name: string): unknown {
  try {
    return vector.get(row)
  } catch (cause) {
    // A timestamp that no Date can hold, for one.
    throw new CoppiceError('DATA_CORRUPT', `a value without a form in JSON: ${(cause as Error).message}`, {
      where: `column '${name}', row ${row}`,
      cause,
    })
  }
}

/** JSON of a value of an Arrow type. */
function print(type: DataType, value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (typeof value === 'bigint') return `"${value}"`
  if (typeof value === 'number') return printNumber(type, value)
  if (value instanceof Vector) {
    return `[${Array.from({ length: value.length }, (_, i) => print(value.type, value.get(i))).join(',')}]`
  }
  if (DataType.isStruct(type)) {
    const fields = type.children.map(({ name, type: of }) => {
      return `${JSON.stringify(name)}:${print(of, (value as Record<string, unknown>)[name])}`
    })
    return `{${fields.join(',')}}`
  }
  return JSON.stringify(value)
}

function printNumber(type: DataType, value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`
  const isSingle = DataType.isFloat(type) && type.precision === Precision.SINGLE
  if (Object.is(value, -0)) return '-0'
  return isSingle ? shortestSingle(value) : String(value)
}

/** The fewest digits that a 32-bit float comes back from; nine always do. */
function shortestSingle(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits))
    if (Math.fround(short) === value) return String(short)
  }
  return String(Number(value.toPrecision(9)))
}
