import type { JsonRow, RowFault } from '../rollouts/json-text.ts'

export type { JsonRow, RowFault } from '../rollouts/json-text.ts'

/** A row as a file has it, or what is wrong about it. */
export type ReadRow = {
  /** From 0, over all rows of the file, bad ones included. */
  readonly number: number
  /** Where it stands, as messages say it: `line 3` from 1 where a file has lines, else `row 2` from 0. */
  readonly place: string
} & ({ readonly row: JsonRow } | { readonly fault: RowFault })

/** Rows of a file, a block at a time, so that no file has to fit into memory. */
export type RowBlocks = AsyncGenerator<ReadRow[], void, void>

/**
 * Picks the columns that are to be read, given those of the file, where a format can leave columns out; it may throw.
 * Formats whose rows each have columns of their own do not ask.
 */
export type ColumnChoice = (columns: readonly string[]) => readonly string[]

/** A row's value under a column's name, or under a path into nested values (`reward_model.ground_truth`). */
export function valueAt(row: JsonRow, path: string): unknown {
  if (Object.hasOwn(row, path)) return row[path]
  let value: unknown = row
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as JsonRow)[name]
  }
  return value
}

/** Which of the columns a name or a path begins at; undefined where there is none. */
export function columnOf(columns: readonly string[], path: string): string | undefined {
  if (columns.includes(path)) return path
  const dot = path.indexOf('.')
  const first = dot === -1 ? path : path.slice(0, dot)
  return columns.includes(first) ? first : undefined
}
