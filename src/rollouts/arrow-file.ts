import type { FileHandle } from 'node:fs/promises'
import {
  type Data,
  DataType,
  type Field,
  makeData,
  RecordBatch,
  type Schema,
  Struct,
  Vector,
} from 'apache-arrow'
import { CoppiceError } from '../errors.ts'
import { BatchBody, type BufferPlace, type FieldNode } from './arrow-body.ts'
import { schemaOf } from './arrow-schema.ts'
import { FlatbufferReader, type FlatbufferTable } from './flatbuffer.ts'
import { gatherRuns } from './gather.ts'

// The Arrow IPC file format, read without trust: every place and length is checked before it is used, and what comes out
// has offsets that divide their values. apache-arrow's own reader can spin or hand out bad offsets on a damaged file.

const MAGIC = 'ARROW1'
const MESSAGE_DICTIONARY = 2
const MESSAGE_RECORD_BATCH = 3
const HEAD_BYTES = 8
/** Footer length and magic. */
const TAIL_BYTES = 10

interface Block {
  offset: number
  metadataBytes: number
  bodyBytes: number
}

export class ArrowFile {
  readonly schema: Schema
  readonly batchCount: number
  readonly #file: FileHandle
  readonly #path: string
  readonly #batches: readonly Block[]
  readonly #dictionaries = new Map<number, Vector>()

  private constructor(file: FileHandle, path: string, schema: Schema, batches: readonly Block[]) {
    this.#file = file
    this.#path = path
    this.#batches = batches
    this.schema = schema
    this.batchCount = batches.length
  }

  /** Reads footer and dictionaries. DATA_CORRUPT, or INVALID_ARGUMENT for what is sound but not supported. */
  static async open(file: FileHandle, path: string): Promise<ArrowFile> {
    const { size } = await file.stat()
    const refuse = (reason: string) =>
      new CoppiceError('DATA_CORRUPT', `not an Arrow file: ${reason}`, { where: path })
    if (size < HEAD_BYTES + TAIL_BYTES) throw refuse(`it has ${size} bytes`)
    const head = await readExactly(file, 0, MAGIC.length, path)
    const tail = await readExactly(file, size - TAIL_BYTES, TAIL_BYTES, path)
    if (Buffer.from(head).toString('latin1') !== MAGIC) throw refuse(`it does not begin with ${MAGIC}`)
    if (Buffer.from(tail.subarray(4)).toString('latin1') !== MAGIC)
      throw refuse(`it does not end with ${MAGIC}`)
    const footerBytes = Buffer.from(tail).readInt32LE(0)
    const footerBegin = size - TAIL_BYTES - footerBytes
    if (footerBytes < 8 || footerBegin < HEAD_BYTES) throw refuse(`a footer of ${footerBytes} bytes`)
    const bytes = await readExactly(file, footerBegin, footerBytes, path)
    const footer = new FlatbufferReader(bytes, `${path}: footer`).root()
    const schemaTable = footer.table(1)
    if (schemaTable === undefined) throw refuse('its footer has no schema')
    const schema = schemaOf(schemaTable, path)
    const blocks = (field: number) =>
      footer.structs(field, 24).map((at) => blockAt(footer.reader, at, footerBegin))
    const opened = new ArrowFile(file, path, schema, blocks(3))
    for (const block of blocks(2)) await opened.#readDictionary(block)
    return opened
  }

  async batch(index: number): Promise<RecordBatch> {
    const where = `${this.#path}, record batch ${index}`
    const { header, body } = await this.#message(this.#batches[index]!, MESSAGE_RECORD_BATCH, where)
    const { length, nodes, buffers } = batchHeader(header, where)
    const reader = new BatchBody(body, nodes, buffers, where)
    const { fields } = this.schema
    const children = fields.map((field) => this.#column(reader, field, `column '${field.name}'`))
    reader.requireEnd()
    for (const [i, child] of children.entries()) {
      if (child.length !== length)
        throw reader.corrupt(`column '${fields[i]!.name}' has ${child.length} rows of ${length}`)
    }
    return new RecordBatch(
      this.schema,
      makeData({ type: new Struct(fields), length, nullCount: 0, children }),
    )
  }

  async #readDictionary(block: Block): Promise<void> {
    const where = `${this.#path}, dictionary at byte ${block.offset}`
    const { header, body } = await this.#message(block, MESSAGE_DICTIONARY, where)
    const id = header.size(0)
    const table = header.table(1)
    const field = dictionaryFields(this.schema.fields).find((candidate) => dictionaryId(candidate) === id)
    if (table === undefined || field === undefined) {
      throw new CoppiceError('DATA_CORRUPT', `dictionary ${id} belongs to no column`, { where })
    }
    const { nodes, buffers } = batchHeader(table, where)
    const reader = new BatchBody(body, nodes, buffers, where)
    const type = (field.type as unknown as { dictionary: DataType }).dictionary
    const words = reader.column(type, `column '${field.name}'`)
    reader.requireEnd()
    const before = header.bool(2) ? this.#dictionaries.get(id)?.data[0] : undefined
    const runs = [before, words].flatMap((data) =>
      data === undefined ? [] : [{ data, begin: 0, end: data.length }],
    )
    this.#dictionaries.set(id, new Vector([before === undefined ? words : gatherRuns(type, runs)]))
  }

  #column(reader: BatchBody, field: Field, where: string): Data {
    return reader.column(field.type, where, (id) => {
      const dictionary = this.#dictionaries.get(id)
      if (dictionary === undefined) throw reader.corrupt(`dictionary ${id} is missing`)
      return dictionary
    })
  }

  /** A message's header table and its body, in memory of their own. */
  async #message(
    { offset, metadataBytes, bodyBytes }: Block,
    kind: number,
    where: string,
  ): Promise<{ header: FlatbufferTable; body: Uint8Array<ArrayBuffer> }> {
    const metadata = await readExactly(this.#file, offset, metadataBytes, this.#path)
    const view = new DataView(metadata.buffer)
    // Since format 0.15 the length stands behind a mark of four bytes.
    const prefix = view.getInt32(0, true) === -1 ? 8 : 4
    const length = view.getInt32(prefix - 4, true)
    if (length < 8 || length > metadataBytes - prefix) {
      throw new CoppiceError('DATA_CORRUPT', `a message head of ${length} bytes`, {
        where,
        expected: `at most ${metadataBytes - prefix}`,
      })
    }
    const message = new FlatbufferReader(metadata.subarray(prefix, prefix + length), where).root()
    const header = message.table(2)
    if (message.uint8(1) !== kind || header === undefined)
      throw message.reader.corrupt('a message of another kind')
    if (message.size(3) !== bodyBytes)
      throw message.reader.corrupt('a body of another length than the footer says')
    return { header, body: await readExactly(this.#file, offset + metadataBytes, bodyBytes, this.#path) }
  }
}

function blockAt(reader: FlatbufferReader, at: number, end: number): Block {
  const block = {
    offset: reader.size(at),
    metadataBytes: reader.int32(at + 8),
    bodyBytes: reader.size(at + 16),
  }
  const { offset, metadataBytes, bodyBytes } = block
  if (offset < HEAD_BYTES || metadataBytes < 8 || offset + metadataBytes + bodyBytes > end) {
    throw reader.corrupt(`a block of ${metadataBytes} + ${bodyBytes} bytes at ${offset}, outside of the file`)
  }
  return block
}

function batchHeader(
  table: FlatbufferTable,
  where: string,
): { length: number; nodes: FieldNode[]; buffers: BufferPlace[] } {
  if (table.table(3) !== undefined) {
    throw new CoppiceError('INVALID_ARGUMENT', 'compressed Arrow files are not read', {
      where,
      expected: 'a file written without compression',
    })
  }
  const { reader } = table
  return {
    length: table.size(0),
    nodes: table.structs(1, 16).map((at) => ({ length: reader.size(at), nullCount: reader.size(at + 8) })),
    buffers: table.structs(2, 16).map((at) => ({ offset: reader.size(at), length: reader.size(at + 8) })),
  }
}

function dictionaryFields(fields: readonly Field[]): Field[] {
  return fields.flatMap((field) => [
    ...(DataType.isDictionary(field.type) ? [field] : []),
    ...dictionaryFields((field.type.children as Field[] | null) ?? []),
  ])
}

function dictionaryId(field: Field): number {
  return (field.type as unknown as { id: number }).id
}

async function readExactly(
  file: FileHandle,
  offset: number,
  length: number,
  path: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length)
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done)
    if (bytesRead === 0) throw new CoppiceError('DATA_CORRUPT', 'the file ends too early', { where: path })
    done += bytesRead
  }
  return bytes
}
