import { CoppiceError } from '../errors.ts'

/**
 * A reader of flatbuffers that never leaves its bytes: every offset, length and table is checked before it is followed,
 * and the number and depth of tables is bounded, so that a hostile buffer ends in DATA_CORRUPT and never in a loop.
 */
export class FlatbufferReader {
  readonly #view: DataView
  readonly #where: string
  #tablesLeft = 1 << 16

  constructor(bytes: Uint8Array, where: string) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#where = where
  }

  root(): FlatbufferTable {
    return this.table(this.uint32(0), 0)
  }

  table(position: number, depth: number): FlatbufferTable {
    if (depth > 64 || this.#tablesLeft-- === 0) throw this.corrupt('tables nested without end')
    const vtable = position - this.int32(position)
    const vtableBytes = this.uint16(vtable)
    const tableBytes = this.uint16(vtable + 2)
    if (vtableBytes < 4 || vtableBytes % 2 !== 0) throw this.corrupt('a table without a head')
    this.#require(vtable, vtableBytes)
    this.#require(position, tableBytes)
    return new FlatbufferTable(this, position, vtable, vtableBytes, tableBytes, depth)
  }

  uint8(at: number): number {
    this.#require(at, 1)
    return this.#view.getUint8(at)
  }

  uint16(at: number): number {
    this.#require(at, 2)
    return this.#view.getUint16(at, true)
  }

  int16(at: number): number {
    this.#require(at, 2)
    return this.#view.getInt16(at, true)
  }

  int32(at: number): number {
    this.#require(at, 4)
    return this.#view.getInt32(at, true)
  }

  uint32(at: number): number {
    this.#require(at, 4)
    return this.#view.getUint32(at, true)
  }

  /** A 64-bit integer that is a count or a place in a file: from 0 to 2^53 - 1. */
  size(at: number): number {
    this.#require(at, 8)
    const value = this.#view.getBigInt64(at, true)
    if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.corrupt(`the size ${value}`)
    return Number(value)
  }

  /** Where a vector's items begin and how many there are; `itemBytes` each. */
  vector(at: number, itemBytes: number): { begin: number; length: number } {
    const position = at + this.uint32(at)
    const length = this.uint32(position)
    this.#require(position + 4, length * itemBytes)
    return { begin: position + 4, length }
  }

  string(at: number): string {
    const { begin, length } = this.vector(at, 1)
    return Buffer.from(this.#view.buffer as ArrayBuffer, this.#view.byteOffset + begin, length).toString(
      'utf8',
    )
  }

  corrupt(reason: string): CoppiceError {
    return new CoppiceError('DATA_CORRUPT', `damaged Arrow metadata: ${reason}`, { where: this.#where })
  }

  #require(at: number, bytes: number): void {
    if (at < 0 || at + bytes > this.#view.byteLength) throw this.corrupt('a place outside of it')
  }
}

/** A table's fields by their number in the format's definition. A field that is absent gives the fallback. */
export class FlatbufferTable {
  readonly reader: FlatbufferReader
  readonly #position: number
  readonly #vtable: number
  readonly #vtableBytes: number
  readonly #tableBytes: number
  readonly #depth: number

  constructor(
    reader: FlatbufferReader,
    position: number,
    vtable: number,
    vtableBytes: number,
    tableBytes: number,
    depth: number,
  ) {
    this.reader = reader
    this.#position = position
    this.#vtable = vtable
    this.#vtableBytes = vtableBytes
    this.#tableBytes = tableBytes
    this.#depth = depth
  }

  uint8(field: number, fallback = 0): number {
    const at = this.#at(field, 1)
    return at === undefined ? fallback : this.reader.uint8(at)
  }

  bool(field: number): boolean {
    return this.uint8(field) !== 0
  }

  int16(field: number, fallback = 0): number {
    const at = this.#at(field, 2)
    return at === undefined ? fallback : this.reader.int16(at)
  }

  int32(field: number, fallback = 0): number {
    const at = this.#at(field, 4)
    return at === undefined ? fallback : this.reader.int32(at)
  }

  size(field: number): number {
    const at = this.#at(field, 8)
    return at === undefined ? 0 : this.reader.size(at)
  }

  string(field: number): string | undefined {
    const at = this.#at(field, 4)
    return at === undefined ? undefined : this.reader.string(at)
  }

  table(field: number): FlatbufferTable | undefined {
    const at = this.#at(field, 4)
    return at === undefined ? undefined : this.reader.table(at + this.reader.uint32(at), this.#depth + 1)
  }

  /** Places of a vector's items, `itemBytes` each, stored in place. */
  structs(field: number, itemBytes: number): number[] {
    const at = this.#at(field, 4)
    if (at === undefined) return []
    const { begin, length } = this.reader.vector(at, itemBytes)
    return Array.from({ length }, (_, i) => begin + i * itemBytes)
  }

  tables(field: number): FlatbufferTable[] {
    return this.structs(field, 4).map((at) => this.reader.table(at + this.reader.uint32(at), this.#depth + 1))
  }

  #at(field: number, bytes: number): number | undefined {
    const entry = 4 + 2 * field
    if (entry + 2 > this.#vtableBytes) return undefined
    const offset = this.reader.uint16(this.#vtable + entry)
    if (offset === 0) return undefined
    if (offset < 4 || offset + bytes > this.#tableBytes)
      throw this.reader.corrupt('a field outside of its table')
    return this.#position + offset
  }
}
