import { openForReading } from '../rollouts/files.ts'
import { readJsonlLines } from '../rollouts/jsonl-file.ts'
import type { RowBlocks } from './read-row.ts'

/** The rows of a .jsonl file: one object a line. */
export async function* jsonlRows(path: string): RowBlocks {
  const file = await openForReading(path)
  try {
    let number = 0
    for await (const block of readJsonlLines(file)) {
      yield block.map(({ line, ...read }) => ({ number: number++, place: `line ${line}`, ...read }))
    }
  } finally {
    await file.close()
  }
}
