import { type DataType, Vector } from 'apache-arrow'
import { ArrowFile } from '../rollouts/arrow-file.ts'
import { openForReading } from '../rollouts/files.ts'
import type { ColumnChoice, ReadRow, RowBlocks } from './read-row.ts'

const BLOCK_ROWS = 1024

/** The rows of an .arrow file (the IPC file format), batch by batch; `choose` says which columns. */
export async function* arrowRows(path: string, choose: ColumnChoice): RowBlocks {
  const handle = await openForReading(path)
  try {
    const file = await ArrowFile.open(handle, path)
    const names = choose(file.schema.fields.map(({ name }) => name))
    let number = 0
    for (let index = 0; index < file.batchCount; index++) {
      const batch = await file.batch(index)
      const columns = batch.schema.fields.flatMap(({ name }, i) =>
        names.includes(name) ? [{ name, at: readerOf(new Vector([batch.data.children[i]!])) }] : [],
      )
      for (let begin = 0; begin < batch.numRows; begin += BLOCK_ROWS) {
        const length = Math.min(BLOCK_ROWS, batch.numRows - begin)
        yield Array.from({ length }, (_, i): ReadRow => {
          const row = Object.fromEntries(columns.map(({ name, at }) => [name, at(begin + i)]))
          return { number, place: `row ${number++}`, row }
        })
      }
    }
  } finally {
    await handle.close()
  }
}

/** A column's values as JSON would have them, except that a list of numbers stays a view of the batch's memory. */
function readerOf(vector: Vector): (row: number) => unknown {
  const words = vector.data[0]?.dictionary
  if (words === undefined) return (row) => plain(vector.get(row))
  // A word is decoded once: it may be long, and stand in any number of rows.
  const decoded = new Map<number, unknown>()
  const indices = vector.data[0]!.values as Int32Array
  return (row) => {
    if (!vector.isValid(row)) return null
    const index = Number(indices[row])
    if (!decoded.has(index)) decoded.set(index, words.get(index))
    return decoded.get(index)
  }
}

function plain(value: unknown): unknown {
  if (value instanceof Vector) {
    const items = value as Vector<DataType>
    const isNumbers = items.nullCount === 0 && ArrayBuffer.isView(items.data[0]?.values)
    const array: unknown = isNumbers ? items.toArray() : undefined
    return ArrayBuffer.isView(array) ? array : Array.from(items, plain)
  }
  if (typeof value !== 'object' || value === null || value instanceof Date || ArrayBuffer.isView(value))
    return value
  return Object.fromEntries(
    Array.from(value as Iterable<[string, unknown]>, ([name, item]) => [name, plain(item)]),
  )
}
