import type { FileHandle } from 'node:fs/promises'
import { CoppiceError } from '../errors.ts'
import { badRow, openForReading } from '../rollouts/files.ts'
import { parseJsonBytes, rowOf } from '../rollouts/json-text.ts'
import { withoutMark } from '../rollouts/jsonl-file.ts'
import { jsonlRows } from './jsonl-rows.ts'
import type { RowBlocks } from './read-row.ts'

/** JSON is parsed as a whole; larger files have to be lines. */
const MAX_BYTES = 256 * 2 ** 20

/** How far a first line is looked for; a longer one is taken for the beginning of one large value. */
const MAX_FIRST_LINE = 2 ** 20

/**
 * The rows of a .json file: a list of objects; or an object whose one entry is such a list (`{"data": [...]}`); or one
 * object, which is the only row; or an object a line, as many data sets have under this name.
 */
export async function* jsonRows(path: string): RowBlocks {
  const file = await openForReading(path)
  let bytes: Uint8Array
  try {
    if (await holdsLines(file)) {
      yield* jsonlRows(path)
      return
    }
    const { size } = await file.stat()
    if (size > MAX_BYTES) {
      throw new CoppiceError('INVALID_ARGUMENT', 'a .json file that is too large', {
        where: path,
        expected: `at most ${MAX_BYTES / 2 ** 20} MiB; a .jsonl file may be larger`,
        received: `${Math.ceil(size / 2 ** 20)} MiB`,
      })
    }
    bytes = await file.readFile()
  } finally {
    await file.close()
  }
  const parsed = parseJsonBytes(withoutMark(bytes))
  if ('fault' in parsed) throw badRow(path, parsed.fault)
  const rows = listOf(parsed.value)
  if (rows === undefined) {
    throw badRow(path, { reason: 'no rows', expected: 'a list of objects, or an object' })
  }
  yield rows.map((value, number) => ({ number, place: `row ${number}`, ...rowOf(value) }))
}

/** Whether the first line is an object by itself, and more follows: as one value such a file would be no JSON. */
async function holdsLines(file: FileHandle): Promise<boolean> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(MAX_FIRST_LINE), 0, MAX_FIRST_LINE, 0)
  const head = withoutMark(buffer.subarray(0, bytesRead))
  const end = head.indexOf(0x0a)
  if (end === -1 || head.subarray(end).every((byte) => byte <= 0x20)) return false
  const line = parseJsonBytes(head.subarray(0, end))
  return 'value' in line && 'row' in rowOf(line.value)
}

function listOf(value: unknown): unknown[] | undefined {
  if (Array.isArray(value)) return value
  if (typeof value !== 'object' || value === null) return undefined
  const entries = Object.values(value)
  return entries.length === 1 && Array.isArray(entries[0]) ? entries[0] : [value]
}
