import {
  Binary,
  Bool,
  type DataType,
  Date_,
  DateUnit,
  Dictionary,
  Duration,
  Field,
  FixedSizeBinary,
  Float,
  Int,
  LargeBinary,
  LargeUtf8,
  List,
  Null,
  Precision,
  Schema,
  Struct,
  Time,
  Timestamp,
  TimeUnit,
  Utf8,
} from 'apache-arrow'
import { CoppiceError } from '../errors.ts'
import type { FlatbufferTable } from './flatbuffer.ts'

// Schema.fbs of the Arrow format: the numbers are its field and enum numbers.

const TYPE_NAMES = [
  ...[
    'nothing',
    'null',
    'int',
    'float',
    'binary',
    'utf8',
    'bool',
    'decimal',
    'date',
    'time',
    'timestamp',
    'interval',
  ],
  ...['list', 'struct', 'union', 'fixed_size_binary', 'fixed_size_list', 'map', 'duration', 'large_binary'],
  ...[
    'large_utf8',
    'large_list',
    'run_end_encoded',
    'binary_view',
    'utf8_view',
    'list_view',
    'large_list_view',
  ],
]

/** Reads a Schema table. Types that rollouts have no use for are refused by name (INVALID_ARGUMENT). */
export function schemaOf(table: FlatbufferTable, where: string): Schema {
  if (table.int16(0) !== 0) {
    throw new CoppiceError('INVALID_ARGUMENT', 'big-endian data is not read', { where })
  }
  const fields = table.tables(1).map((field) => fieldOf(field, where))
  const names = fields.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined)
    throw new CoppiceError('DATA_CORRUPT', `column '${twice}' appears twice`, { where })
  return new Schema(fields, metadataOf(table, 2))
}

/** Key and value pairs of a table's field. */
function metadataOf(table: FlatbufferTable, field: number): Map<string, string> {
  return new Map(table.tables(field).map((pair) => [pair.string(0) ?? '', pair.string(1) ?? '']))
}

function fieldOf(table: FlatbufferTable, where: string): Field {
  const name = table.string(0) ?? ''
  const here = `${where}, column '${name}'`
  const children = table.tables(5).map((child) => fieldOf(child, here))
  const valueType = typeOf(table, children, here)
  const encoding = table.table(4)
  const type = encoding === undefined ? valueType : dictionaryType(encoding, valueType, here)
  return new Field(name, type, table.bool(1), metadataOf(table, 6))
}

function dictionaryType(encoding: FlatbufferTable, valueType: DataType, where: string): Dictionary {
  const index = encoding.table(1)
  const [bitWidth, isSigned] = index === undefined ? [32, true] : [index.int32(0), index.bool(1)]
  if (bitWidth !== 8 && bitWidth !== 16 && bitWidth !== 32) {
    throw refused(where, `a dictionary with indices of ${bitWidth} bits`)
  }
  if (!(valueType instanceof Utf8)) throw refused(where, `a dictionary of ${String(valueType)}`)
  return new Dictionary(valueType, new Int(isSigned, bitWidth) as never, encoding.size(0), encoding.bool(2))
}

function typeOf(table: FlatbufferTable, children: Field[], where: string): DataType {
  const kind = table.uint8(2)
  const name = TYPE_NAMES[kind] ?? `type ${kind}`
  const type = table.table(3)
  if (type === undefined) throw new CoppiceError('DATA_CORRUPT', 'a column without a type', { where })
  const unit = <T extends number>(value: number, known: Record<string, unknown>): T => {
    if (!(value in known)) throw refused(where, `${name} of unit ${value}`)
    return value as T
  }
  const only = <T extends number>(value: number, widths: readonly T[]): T => {
    if (!(widths as readonly number[]).includes(value)) throw refused(where, `${name} of width ${value}`)
    return value as T
  }
  switch (name) {
    case 'null':
      return new Null()
    case 'int':
      return new Int(type.bool(1), only(type.int32(0), [8, 16, 32, 64]))
    case 'float':
      return new Float(unit<Precision>(type.int16(0), Precision))
    case 'binary':
      return new Binary()
    case 'large_binary':
      return new LargeBinary()
    case 'utf8':
      return new Utf8()
    case 'large_utf8':
      return new LargeUtf8()
    case 'bool':
      return new Bool()
    case 'date':
      return new Date_(unit<DateUnit>(type.int16(0, 1), DateUnit))
    case 'time':
      return new Time(unit<TimeUnit>(type.int16(0, 1), TimeUnit), only(type.int32(1, 32), [32, 64]))
    case 'timestamp':
      return new Timestamp(unit<TimeUnit>(type.int16(0), TimeUnit), type.string(1) ?? null)
    case 'duration':
      return new Duration(unit<TimeUnit>(type.int16(0, 1), TimeUnit))
    case 'fixed_size_binary': {
      const byteWidth = type.int32(0)
      if (byteWidth < 1) throw refused(where, `${name} of width ${byteWidth}`)
      return new FixedSizeBinary(byteWidth)
    }
    case 'list': {
      const [child] = children
      if (child === undefined || children.length !== 1) {
        throw new CoppiceError('DATA_CORRUPT', 'a list column without one child', { where })
      }
      return new List(child)
    }
    case 'struct':
      return new Struct(children)
    default:
      throw refused(where, name)
  }
}

function refused(where: string, received: string): CoppiceError {
  return new CoppiceError('INVALID_ARGUMENT', 'a type of column that is not read', {
    where,
    expected: 'numbers, utf8, bool, binary, dates and times, lists and structs of them, dictionaries of utf8',
    received,
  })
}
