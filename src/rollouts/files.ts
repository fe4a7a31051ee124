import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'
import {
  type Data,
  DataType,
  Dictionary,
  makeData,
  RecordBatch,
  RecordBatchFileWriter,
  Schema,
  Struct,
} from 'apache-arrow'
import { CoppiceError, invalidArgument } from '../errors.ts'
import { ArrowFile } from './arrow-file.ts'
import { concatBatches, emptyBatch } from './batches.ts'
import { gatherRuns } from './gather.ts'
import type { JsonRow, RowFault } from './json-text.ts'
import { batchFromRows, jsonlLines } from './jsonl.ts'
import { readJsonlLines } from './jsonl-file.ts'
import type { RolloutBatch } from './schema.ts'

// Tables in files. The extension decides: .arrow is the Arrow IPC file format, .jsonl one JSON object a line.

type Format = 'arrow' | 'jsonl'

function formatOf(path: string): Format {
  const extension = extname(path).slice(1)
  if (extension === 'arrow' || extension === 'jsonl') return extension
  throw invalidArgument(
    path,
    'a file name that ends in .arrow or .jsonl',
    extension === '' ? path : `.${extension}`,
  )
}

/** All rows of a file as one batch. DATA_CORRUPT names the place at fault; INVALID_ARGUMENT what cannot be read at all. */
export async function readTable(path: string): Promise<RolloutBatch> {
  const batches: RolloutBatch[] = []
  for await (const batch of readBatches(path)) batches.push(batch)
  return concatBatches(batches)
}

/** The batches of an Arrow file one by one, or the whole of a JSONL file as one; at least one, which may have no row. */
export async function* readBatches(path: string): AsyncGenerator<RolloutBatch, void, void> {
  const format = formatOf(path)
  const handle = await openForReading(path)
  try {
    if (format === 'jsonl') {
      yield await batchFromJsonl(handle, path)
      return
    }
    const file = await ArrowFile.open(handle, path)
    if (file.batchCount === 0) yield emptyBatch(file.schema)
    for (let index = 0; index < file.batchCount; index++) yield await file.batch(index)
  } finally {
    await handle.close()
  }
}

async function batchFromJsonl(handle: FileHandle, path: string): Promise<RolloutBatch> {
  const rows: JsonRow[] = []
  const lines: number[] = []
  for await (const block of readJsonlLines(handle)) {
    for (const read of block) {
      if ('fault' in read) throw badRow(`${path}, line ${read.line}`, read.fault)
      rows.push(read.row)
      lines.push(read.line)
    }
  }
  return batchFromRows(rows, (row) => `${path}, line ${lines[row]}`)
}

/** The error for a row that cannot be used. */
export function badRow(where: string, { reason, expected, received }: RowFault): CoppiceError {
  return new CoppiceError('DATA_CORRUPT', reason, {
    where,
    ...(expected !== undefined && { expected }),
    ...(received !== undefined && { received }),
  })
}

/** Writes batches of the same columns to a file, which is there in whole or not at all. */
export async function writeTable(
  path: string,
  batches: Iterable<RolloutBatch> | AsyncIterable<RolloutBatch>,
): Promise<void> {
  const format = formatOf(path)
  const partial = join(dirname(path), `.${randomBytes(6).toString('hex')}.partial`)
  const handle = await open(partial, 'wx').catch(refuseUnwritable(path))
  try {
    await (format === 'arrow' ? writeArrow(handle, batches) : writeJsonl(handle, batches))
    await handle.sync()
    await handle.close()
    await rename(partial, path).catch(refuseUnwritable(path))
  } catch (error) {
    await handle.close().catch(() => undefined)
    await rm(partial, { force: true })
    throw error
  }
}

async function writeJsonl(
  handle: FileHandle,
  batches: Iterable<RolloutBatch> | AsyncIterable<RolloutBatch>,
): Promise<void> {
  for await (const batch of batches) {
    let text = ''
    for (const line of jsonlLines(batch)) {
      text += line
      if (text.length < 1 << 20) continue
      await handle.write(text)
      text = ''
    }
    await handle.write(text)
  }
}

async function writeArrow(
  handle: FileHandle,
  batches: Iterable<RolloutBatch> | AsyncIterable<RolloutBatch>,
): Promise<void> {
  const gathered: RolloutBatch[] = []
  for await (const batch of batches) gathered.push(batch)
  if (gathered.length === 0) throw invalidArgument('writeTable.batches', 'at least one batch', gathered)
  const writer = new RecordBatchFileWriter()
  for (const batch of shareDictionaries(gathered)) writer.write(batch)
  writer.finish()
  for await (const chunk of writer) await handle.write(chunk as Uint8Array)
}

/**
 * A file has one dictionary for each column, known by a number: columns of batches from several sources are brought to a
 * common one, and every column gets a number of its own.
 */
function shareDictionaries(batches: readonly RolloutBatch[]): RolloutBatch[] {
  const first = batches[0]!
  const columns = batches.map((batch, i) =>
    first.schema.fields.map(({ name }) => {
      const at = batch.schema.fields.findIndex((field) => field.name === name)
      if (at !== -1 && batch.schema.fields.length === first.schema.fields.length)
        return batch.data.children[at]!
      throw new CoppiceError('SHAPE_MISMATCH', 'batches of different columns', {
        where: `writeTable, batch ${i}`,
        expected: first.schema.fields.map((field) => field.name).join(', '),
        received: batch.schema.fields.map((field) => field.name).join(', '),
      })
    }),
  )
  first.schema.fields.forEach((field, c) => {
    if (!DataType.isDictionary(field.type)) return
    const { dictionary, indices, isOrdered } = field.type
    const type = new Dictionary(dictionary, indices, c, isOrdered)
    const shared = oneDictionary(columns.map((column) => column[c]!))
    shared.forEach((data, b) => {
      columns[b]![c] = data.clone(type as never) as unknown as Data
    })
  })
  const schema = new Schema(
    first.schema.fields.map((field, c) => field.clone({ type: columns[0]![c]!.type })),
    first.schema.metadata,
  )
  return columns.map(
    (children, b) =>
      new RecordBatch(
        schema,
        makeData({ type: new Struct(schema.fields), length: batches[b]!.numRows, nullCount: 0, children }),
      ),
  )
}

function oneDictionary(columns: readonly Data[]): Data[] {
  if (new Set(columns.map((data) => data.dictionary)).size === 1) return [...columns]
  const runs = columns.map((data) => ({ data, begin: 0, end: data.length }))
  const joined = gatherRuns(columns[0]!.type, runs)
  let row = 0
  return columns.map((data) => {
    row += data.length
    return joined.slice(row - data.length, data.length)
  })
}

/** Opens a file; INVALID_ARGUMENT where there is none, or a folder. */
export async function openForReading(path: string): Promise<FileHandle> {
  const handle = await open(path, 'r').catch(refuseUnreadable(path))
  if (!(await handle.stat()).isDirectory()) return handle
  await handle.close()
  throw new CoppiceError('INVALID_ARGUMENT', 'a folder', { where: path, expected: 'a file' })
}

function refuseUnreadable(path: string): (cause: Error) => never {
  return (cause) => {
    throw new CoppiceError('INVALID_ARGUMENT', `cannot be read: ${cause.message}`, { where: path, cause })
  }
}

function refuseUnwritable(path: string): (cause: Error) => never {
  return (cause) => {
    throw new CoppiceError('INVALID_ARGUMENT', `cannot be written: ${cause.message}`, { where: path, cause })
  }
}
