import { invalidArgument } from '../errors.ts'
import type { ListValues, ListView, TokenColumns } from './columns.ts'

/**
 * The given rows, in that order, as `takeRows` has them of a batch. Rows that follow each other are views of the same memory, whose
 * offsets then begin anywhere; others are copied.
 */
export function takeTokenRows(columns: TokenColumns, rows: ArrayLike<number>): TokenColumns {
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i]!
    if (!Number.isInteger(row) || row < 0 || row >= columns.rows)
      throw invalidArgument('rows', `rows from 0 to ${columns.rows - 1}`, row)
  }
  const { promptTokens, completionTokens, completionMask, logprobs, temperature } = columns
  return {
    rows: rows.length,
    promptTokens: takeLists(promptTokens, rows),
    completionTokens: takeLists(completionTokens, rows),
    ...(completionMask && { completionMask: takeLists(completionMask, rows) }),
    ...(logprobs && { logprobs: takeLists(logprobs, rows) }),
    ...(temperature && { temperature: Float32Array.from(rows, (row) => temperature[row]!) }),
  }
}

/** The lists of the given rows, in that order. */
export function takeLists<A extends ListValues>(lists: ListView<A>, rows: ArrayLike<number>): ListView<A> {
  const { values, offsets, valid } = lists
  const first = rows[0] ?? 0
  const follow = Array.prototype.every.call(rows, (row, i) => row === first + i)
  const taken = valid && { valid: Uint8Array.from(rows, (row) => valid[row]!) }
  if (follow) return { values, offsets: offsets.subarray(first, first + rows.length + 1), ...taken }
  const ends = new Int32Array(rows.length + 1)
  for (let i = 0; i < rows.length; i++) ends[i + 1] = ends[i]! + offsets[rows[i]! + 1]! - offsets[rows[i]!]!
  const copies = new (values.constructor as new (length: number) => A)(ends[rows.length]!)
  for (let i = 0; i < rows.length; i++)
    copies.set(values.subarray(offsets[rows[i]!], offsets[rows[i]! + 1]), ends[i])
  return { values: copies, offsets: ends, ...taken }
}
