import { type FileHandle, open } from 'node:fs/promises'
import {
  type AsyncBuffer,
  type Compressors,
  type FileMetaData,
  parquetMetadataAsync,
  parquetScan,
  parquetSchema,
  type RowGroup,
} from 'hyparquet'
import { compressors } from 'hyparquet-compressors'

// Parquet through hyparquet, checked where it takes a file's word. What the checks cannot see (a page that claims two
// thousand million values) is bounded from outside: this runs in a process of its own with limits on memory and time.

/** A fault of the file, for the host to tell. */
export class ParquetFault extends Error {
  readonly place: string
  readonly reason: string
  readonly expected: string | undefined

  constructor(place: string, reason: string, expected?: string) {
    super(`${place}: ${reason}`)
    this.place = place
    this.reason = reason
    this.expected = expected
  }
}

/** Values of a row group: a list a column, all of the group's length. */
export type GroupColumns = ReadonlyMap<string, ArrayLike<unknown>>

const MAGIC = 'PAR1'
const MIN_BYTES = 12
const MAX_ROWS = 1 << 24
const MAX_COLUMNS = 4096
const MAX_PAGE_BYTES = 64 * 2 ** 20
const MAX_GROUP_BYTES = 1024 * 2 ** 20

export class ParquetFile {
  readonly columns: readonly string[]
  readonly groupRows: readonly number[]
  readonly #file: FileHandle
  readonly #source: AsyncBuffer
  readonly #metadata: FileMetaData

  private constructor(file: FileHandle, source: AsyncBuffer, metadata: FileMetaData, size: number) {
    this.#file = file
    this.#source = source
    this.#metadata = metadata
    this.columns = parquetSchema(metadata).children.map(({ element }) => element.name)
    this.groupRows = metadata.row_groups.map((group, i) => checkedGroup(group, i, size))
    const said = Number(metadata.num_rows)
    const counted = this.groupRows.reduce((sum, rows) => sum + rows, 0)
    if (said !== counted) {
      throw new ParquetFault('footer', `${said} rows in all, ${counted} in the row groups`, 'the same number')
    }
  }

  /** Reads the footer and holds what it says against the file's size. */
  static async open(path: string): Promise<ParquetFile> {
    const file = await open(path, 'r')
    try {
      const { size } = await file.stat()
      const source = {
        byteLength: size,
        slice: (begin: number, end = size) => readRange(file, begin, end, size),
      }
      await requireParquet(source)
      const metadata = await parquetMetadataAsync(source, { geoparquet: false }).catch((error) => {
        throw new ParquetFault(
          'footer',
          `damaged: ${(error as Error).message}`,
          'the footer of a Parquet file',
        )
      })
      if (!(metadata.schema.length > 1 && metadata.schema.length <= MAX_COLUMNS)) {
        throw new ParquetFault(
          'footer',
          `a schema of ${metadata.schema.length} elements`,
          `2 to ${MAX_COLUMNS}`,
        )
      }
      return new ParquetFile(file, source, metadata, size)
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Decodes some columns of one row group. */
  async group(index: number, columns: readonly string[]): Promise<GroupColumns> {
    const rows = this.groupRows[index]!
    const decoded = new Map<string, ArrayLike<unknown>>()
    if (rows === 0) return decoded
    // A file of this one group: what was decoded of the others is not kept.
    const metadata = { ...this.#metadata, row_groups: [this.#metadata.row_groups[index]!] }
    const options = { file: this.#source, metadata, compressors: boundedCompressors, useOffsetIndex: false }
    for (const column of columns) {
      const place = `row group ${index}, column '${column}'`
      const read = async () => {
        const scan = await parquetScan({ ...options, columns: [column] })
        return scan.readColumn({ column, rowStart: 0, rowEnd: rows })
      }
      const values = await read().catch((error: Error) => {
        throw error instanceof ParquetFault
          ? new ParquetFault(place, error.reason, error.expected)
          : new ParquetFault(place, `damaged: ${error.message}`, 'pages as the footer describes them')
      })
      if (values.length !== rows)
        throw new ParquetFault(place, `${values.length} values`, `${rows}, one a row`)
      decoded.set(column, values)
    }
    return decoded
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

/** The rows of a group, having checked that its columns lie within the file and claim no more than they may. */
function checkedGroup(group: RowGroup, index: number, size: number): number {
  const place = `row group ${index}`
  const rows = Number(group.num_rows)
  if (!(rows >= 0 && rows <= MAX_ROWS)) {
    throw new ParquetFault(place, `${rows} rows`, `0 to ${MAX_ROWS}`)
  }
  for (const { meta_data: column, file_path: elsewhere } of group.columns) {
    if (column === undefined)
      throw new ParquetFault(place, 'a column without a place', 'metadata of every column')
    const where = `${place}, column '${column.path_in_schema.join('.')}'`
    if (elsewhere) throw new ParquetFault(where, 'values in another file', 'one file')
    const begin = Number(column.dictionary_page_offset || column.data_page_offset)
    const bytes = Number(column.total_compressed_size)
    if (!(begin >= MAGIC.length && bytes >= 0 && begin + bytes <= size)) {
      throw new ParquetFault(where, `${bytes} bytes at ${begin}`, `a place in the file's ${size} bytes`)
    }
    if (Number(column.total_uncompressed_size) > MAX_GROUP_BYTES) {
      throw new ParquetFault(
        where,
        `${column.total_uncompressed_size} bytes uncompressed`,
        `at most ${MAX_GROUP_BYTES} in one row group; write smaller row groups`,
      )
    }
  }
  return rows
}

async function requireParquet(source: AsyncBuffer): Promise<void> {
  const { byteLength: size } = source
  const text = async (begin: number, end: number) =>
    Buffer.from(await source.slice(begin, end)).toString('latin1')
  if (size < MIN_BYTES || (await text(0, 4)) !== MAGIC) {
    throw new ParquetFault('beginning', 'not a Parquet file', `a file that begins with ${MAGIC}`)
  }
  if ((await text(size - 4, size)) !== MAGIC) {
    throw new ParquetFault(
      'end',
      'the file is cut short',
      `a Parquet file that ends with its footer and ${MAGIC}`,
    )
  }
}

const boundedCompressors: Compressors = Object.fromEntries(
  Object.entries(compressors).map(([codec, decompress]) => [
    codec,
    (input: Uint8Array, bytes: number) => {
      if (bytes >= 0 && bytes <= MAX_PAGE_BYTES) return decompress!(input, bytes)
      throw new ParquetFault('', `a page of ${bytes} bytes`, `at most ${MAX_PAGE_BYTES}`)
    },
  ]),
)

async function readRange(file: FileHandle, begin: number, end: number, size: number): Promise<ArrayBuffer> {
  if (!(begin >= 0 && begin <= end && end <= size)) {
    throw new ParquetFault('', `bytes ${begin} to ${end}`, `a place in the file's ${size} bytes`)
  }
  const bytes = new Uint8Array(end - begin)
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, begin + done)
    if (bytesRead === 0) throw new ParquetFault('', 'the file ends too early', `${size} bytes`)
    done += bytesRead
  }
  return bytes.buffer
}
