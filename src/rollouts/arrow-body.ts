import { type Data, DataType, makeData, type Vector } from 'apache-arrow'
import { CoppiceError } from '../errors.ts'

export interface FieldNode {
  length: number
  nullCount: number
}

/** In bytes from the body's beginning. */
export interface BufferPlace {
  offset: number
  length: number
}

/** Columns that take no bytes could claim any number of rows. */
const MAX_ROWS_WITHOUT_BYTES = 1 << 24

type NumberArray = Uint8Array | Int8Array | Int16Array | Int32Array | BigInt64Array | Float64Array
type ArrayConstructor = {
  new (buffer: ArrayBuffer, byteOffset: number, length: number): NumberArray
  readonly BYTES_PER_ELEMENT: number
}

/**
 * The body of a record batch, taken apart column by column in the format's order: a node a column, and its buffers. Data are
 * views of the body, or copies where a buffer begins at an address that its type cannot have.
 */
export class BatchBody {
  readonly #body: Uint8Array<ArrayBuffer>
  readonly #nodes: readonly FieldNode[]
  readonly #buffers: readonly BufferPlace[]
  readonly #where: string
  #node = 0
  #buffer = 0

  constructor(
    body: Uint8Array<ArrayBuffer>,
    nodes: readonly FieldNode[],
    buffers: readonly BufferPlace[],
    where: string,
  ) {
    this.#body = body
    this.#nodes = nodes
    this.#buffers = buffers
    this.#where = where
  }

  /** The next column, its children included. */
  column(type: DataType, where: string, dictionaryOf?: (id: number) => Vector): Data {
    const { length, nullCount } = this.#nextNode()
    const hasBuffers = !DataType.isNull(type) && !(DataType.isStruct(type) && type.children.length === 0)
    if (!hasBuffers && length > MAX_ROWS_WITHOUT_BYTES)
      throw this.corrupt(`${where}: ${length} rows without a byte`)
    if (DataType.isNull(type)) return makeData({ type, length } as never)
    const validity = this.#validity(length, nullCount)
    const common = { type, length, nullCount, ...(validity && { nullBitmap: validity }) }
    if (DataType.isStruct(type)) {
      const children = type.children.map((field) =>
        this.column(field.type, `${where}.${field.name}`, dictionaryOf),
      )
      for (const child of children) {
        if (child.length !== length)
          throw this.corrupt(`${where}: a child of ${child.length} rows of ${length}`)
      }
      return makeData({ ...common, children } as never)
    }
    if (DataType.isList(type)) {
      const valueOffsets = this.#offsets(length, where)
      const child = this.column(type.valueType, where, dictionaryOf)
      this.#requireOffsets(valueOffsets, child.length, where)
      return makeData({ ...common, valueOffsets, child } as never)
    }
    if (DataType.isUtf8(type) || DataType.isBinary(type)) {
      return this.#bytes(common, this.#offsets(length, where), where)
    }
    if (DataType.isLargeUtf8(type) || DataType.isLargeBinary(type)) {
      return this.#bytes(common, this.#take(BigInt64Array, length === 0 ? 0 : length + 1, where), where)
    }
    if (DataType.isBool(type)) {
      return makeData({ ...common, data: this.#take(Uint8Array, Math.ceil(length / 8), where) } as never)
    }
    // A dictionary's own ArrayType is that of its words.
    const numbers = DataType.isDictionary(type) ? type.indices : type
    const arrayType = numbers.ArrayType as unknown as ArrayConstructor
    const stride = DataType.isFixedSizeBinary(type) ? type.byteWidth : 1
    const data = this.#take(arrayType, length * stride, where)
    if (!DataType.isDictionary(type)) return makeData({ ...common, data } as never)
    const dictionary = dictionaryOf?.(type.id)
    if (dictionary === undefined) throw this.corrupt(`${where}: a dictionary within a dictionary`)
    const column = makeData({ ...common, data, dictionary } as never) as Data
    this.#requireIndices(column, dictionary.length, where)
    return column
  }

  /** Refuses nodes and buffers that no column claims. */
  requireEnd(): void {
    if (this.#node !== this.#nodes.length || this.#buffer !== this.#buffers.length) {
      throw this.corrupt('more nodes or buffers than columns')
    }
  }

  corrupt(reason: string): CoppiceError {
    return new CoppiceError('DATA_CORRUPT', `damaged Arrow data: ${reason}`, { where: this.#where })
  }

  #nextNode(): FieldNode {
    const node = this.#nodes[this.#node++]
    if (node === undefined) throw this.corrupt('fewer nodes than columns')
    if (node.nullCount > node.length) throw this.corrupt(`${node.nullCount} nulls in ${node.length} rows`)
    return node
  }

  #validity(length: number, nullCount: number): NumberArray | undefined {
    const bits = this.#take(Uint8Array, nullCount === 0 ? 0 : Math.ceil(length / 8), 'validity')
    if (nullCount === 0) return undefined
    let valid = 0
    for (let row = 0; row < length; row++) valid += (Number(bits[row >> 3]) >> (row & 7)) & 1
    if (length - valid !== nullCount)
      throw this.corrupt(`${length - valid} nulls where ${nullCount} are said to be`)
    return bits
  }

  #offsets(length: number, where: string): Int32Array {
    // Writers may leave the offsets of an empty column out.
    if (length === 0) {
      this.#take(Int32Array, 0, where)
      return new Int32Array(1)
    }
    return this.#take(Int32Array, length + 1, where) as Int32Array
  }

  #bytes(common: object, given: NumberArray, where: string): Data {
    const valueOffsets = given.length === 0 ? new BigInt64Array(1) : given
    const { length } = this.#buffers[this.#buffer] ?? { length: 0 }
    const data = this.#take(Uint8Array, length, where)
    this.#requireOffsets(valueOffsets, data.length, where)
    return makeData({ ...common, valueOffsets, data } as never)
  }

  #requireOffsets(offsets: NumberArray, values: number, where: string): void {
    let previous = 0
    for (let i = 0; i < offsets.length; i++) {
      const offset = Number(offsets[i])
      if (offset < previous || offset > values) {
        throw this.corrupt(`${where}: offset ${i} is ${offset}, not from ${previous} to ${values}`)
      }
      previous = offset
    }
  }

  #requireIndices(column: Data, words: number, where: string): void {
    const indices = column.values as Int32Array
    for (let row = 0; row < column.length; row++) {
      if (column.getValid(row) && !(indices[row]! >= 0 && indices[row]! < words)) {
        throw this.corrupt(`${where}, row ${row}: word ${indices[row]} of ${words}`)
      }
    }
  }

  /** The next buffer as `count` elements; it may be longer. */
  #take(type: ArrayConstructor, count: number, where: string): NumberArray {
    const place = this.#buffers[this.#buffer++]
    if (place === undefined) throw this.corrupt(`${where}: fewer buffers than columns need`)
    const bytes = count * type.BYTES_PER_ELEMENT
    if (place.offset + place.length > this.#body.length || bytes > place.length) {
      throw this.corrupt(
        `${where}: ${bytes} bytes in a buffer of ${place.length} at ${place.offset} of ${this.#body.length}`,
      )
    }
    if (place.offset % type.BYTES_PER_ELEMENT === 0) return new type(this.#body.buffer, place.offset, count)
    return new type(this.#body.slice(place.offset, place.offset + bytes).buffer, 0, count)
  }
}
