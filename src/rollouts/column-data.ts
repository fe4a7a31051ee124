import {
  type Data,
  DataType,
  Float32,
  Float64,
  Int32,
  makeData,
  Utf8,
  Vector,
  vectorFromArray,
} from 'apache-arrow'
import { CoppiceError, describeValue, invalidArgument } from '../errors.ts'
import type { ListValues, ListView } from './columns.ts'
import { isKnownColumn, KNOWN_COLUMNS, listOf, wordsOf } from './schema.ts'
import { textData } from './text-data.ts'
import { validity } from './validity.ts'

/**
 * A column as callers hand it over. Typed arrays and list views are wrapped without a copy; their type must be the
 * column's own, because Arrow would silently read the bits of another one as its own.
 */
export type ColumnValues =
  | Vector
  | ListView<ListValues>
  | Int32Array
  | Float32Array
  | Float64Array
  | Uint8Array
  | BigUint64Array
  | Int8Array
  | readonly (string | null)[]
  | readonly (number | null)[]

/** Wraps a column of `rows` rows: of its known type where coppice knows the name, else of the type that the values have. */
export function columnDataFrom(name: string, values: ColumnValues, rows: number): Data {
  const data = wrap(name, values, rows)
  if (data.length !== rows) {
    throw new CoppiceError('SHAPE_MISMATCH', 'one entry a row', {
      where: `column '${name}'`,
      expected: `${rows} rows`,
      received: `${data.length}`,
    })
  }
  return data
}

function wrap(name: string, values: ColumnValues, rows: number): Data {
  const known = isKnownColumn(name) ? KNOWN_COLUMNS[name].type : undefined
  if (values instanceof Vector) return wrapVector(name, values, known)
  if (isListView(values)) return wrapList(name, values, rows, known)
  if (ArrayBuffer.isView(values)) {
    if (known !== undefined && DataType.isDictionary(known)) return wrapIndices(name, values, known)
    const type = known ?? typeOfArray(values)
    if (type === undefined || !(values instanceof (type.ArrayType as unknown as new () => typeof values))) {
      throw invalidArgument(`column '${name}'`, type?.ArrayType?.name ?? 'numbers', values)
    }
    return makeData({ type, data: values, length: values.length, nullCount: 0 } as never)
  }
  return wrapValues(name, values as readonly (string | number | null)[], known)
}

function wrapVector(name: string, vector: Vector, known: DataType | undefined): Data {
  if (known !== undefined && !sameType(vector.type, known)) throw wrongType(name, known, vector.type)
  const [data] = vector.data
  if (vector.data.length > 1 || data === undefined) {
    throw invalidArgument(
      `column '${name}'`,
      'a vector of one chunk',
      `a vector of ${vector.data.length} chunks`,
    )
  }
  return data
}

function wrapList(name: string, view: ListView<ListValues>, rows: number, known: DataType | undefined): Data {
  const { values, offsets, valid } = view
  const itemType = typeOfArray(values)
  const type = known ?? (itemType && listOf(itemType))
  const valueType = type !== undefined && DataType.isList(type) ? type.valueType : undefined
  if (
    valueType === undefined ||
    !(values instanceof (valueType.ArrayType as unknown as new () => ListValues))
  ) {
    throw invalidArgument(`column '${name}'`, type === undefined ? 'a list of numbers' : String(type), values)
  }
  if (!(offsets instanceof Int32Array) || offsets.length !== rows + 1) {
    throw new CoppiceError('SHAPE_MISMATCH', 'offsets of one entry more than rows', {
      where: `column '${name}'`,
      expected: `an Int32Array of ${rows + 1} entries`,
      received: describeValue(offsets),
    })
  }
  const child = makeData({ type: valueType, data: values, length: values.length, nullCount: 0 } as never)
  return makeData({
    type,
    length: rows,
    valueOffsets: offsets,
    child,
    ...(valid === undefined ? { nullCount: 0 } : validity(rows, (row) => valid[row] !== 0)),
  } as never)
}

/** Indices into the words of one of coppice's dictionaries. */
function wrapIndices(name: string, indices: ArrayBufferView, type: DataType): Data {
  const { allowed, dictionary } = wordsOf(type)!
  if (!(indices instanceof Int8Array) || indices.some((index) => index < 0 || index >= allowed.length)) {
    throw invalidArgument(
      `column '${name}'`,
      `an Int8Array of indices from 0 to ${allowed.length - 1}`,
      indices,
    )
  }
  return makeData({ type, dictionary, data: indices, length: indices.length, nullCount: 0 } as never)
}

/** Plain values: texts, words of a dictionary, numbers; null where there is none. */
function wrapValues(
  name: string,
  values: readonly (string | number | null)[],
  known: DataType | undefined,
): Data {
  if (!Array.isArray(values))
    throw invalidArgument(`column '${name}'`, 'an array, a list view or a vector', values)
  const nullable = !isKnownColumn(name) || KNOWN_COLUMNS[name].nullable
  const isText = values.some((value) => typeof value === 'string')
  const type = known ?? (isText ? new Utf8() : new Float64())
  const expected = DataType.isUtf8(type) || DataType.isDictionary(type) ? 'string' : 'number'
  values.forEach((value, row) => {
    if (typeof value === expected || (value === null && nullable)) return
    throw invalidArgument(
      `column '${name}', row ${row}`,
      nullable ? `a ${expected} or null` : `a ${expected}`,
      value,
    )
  })
  if (DataType.isDictionary(type)) return dictionaryData(name, type, values as (string | null)[])
  if (values.length === 0) return makeData({ type, length: 0, nullCount: 0 } as never)
  if (DataType.isUtf8(type)) return textData(values as (string | null)[])
  return vectorFromArray(values as number[], type as Float32).data[0]!
}

function dictionaryData(name: string, type: DataType, values: readonly (string | null)[]): Data {
  const { allowed, dictionary } = wordsOf(type)!
  const indices = Int8Array.from(values, (value, row) => {
    const index = value === null ? 0 : allowed.indexOf(value)
    if (index === -1)
      throw invalidArgument(`column '${name}', row ${row}`, `one of ${allowed.join(', ')}`, value)
    return index
  })
  const hasNull = values.includes(null)
  return makeData({
    type,
    dictionary,
    data: indices,
    length: values.length,
    ...(hasNull ? validity(values.length, (row) => values[row] !== null) : { nullCount: 0 }),
  } as never)
}

function typeOfArray(values: ArrayBufferView): DataType | undefined {
  if (values instanceof Int32Array) return new Int32()
  if (values instanceof Float32Array) return new Float32()
  if (values instanceof Float64Array) return new Float64()
  return undefined
}

function isListView(values: ColumnValues): values is ListView<ListValues> {
  return typeof values === 'object' && 'offsets' in values && 'values' in values
}

/** Equal in everything but the number by which a file refers to a dictionary. */
export function sameType(a: DataType, b: DataType): boolean {
  const shape = (type: DataType): string =>
    DataType.isDictionary(type) ? `dictionary<${shape(type.dictionary)}>` : String(type)
  return shape(a) === shape(b)
}

function wrongType(name: string, expected: DataType, received: DataType): CoppiceError {
  return new CoppiceError('INVALID_ARGUMENT', 'wrong type', {
    where: `column '${name}'`,
    expected: String(expected),
    received: String(received),
  })
}
