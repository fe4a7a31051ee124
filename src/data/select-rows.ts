import { CoppiceError } from '../errors.ts'
import { BadRows, skippedText } from './bad-rows.ts'
import { type Filter, passes } from './filters.ts'
import { missingColumn } from './layouts.ts'
import type { ResolvedRowOptions } from './options.ts'
import { type ColumnChoice, columnOf, type JsonRow, type ReadRow, type RowFault } from './read-row.ts'
import { readRows } from './read-rows.ts'
import { shuffledOrder } from './shuffle.ts'
import { type DataFiles, placeIn, sizeOfFiles } from './sources.ts'

/** A row on its way to the caller. */
export interface Placed<T> {
  number: number
  place: string
  value: T
}

/** What is made of rows. */
export interface RowUse<T, R> {
  /** Which columns are needed, for files whose rows all have the same; throws where they will not do. */
  choose(columns: readonly string[]): readonly string[]
  /** First look at a row, for every row that passes the filters; cheap. */
  map(row: JsonRow): T | { fault: RowFault }
  /** Second look, for the rows that are kept; may cost. */
  finish(placed: Placed<T>): R | { fault: RowFault }
  /** About how many bytes a row takes at each look. */
  sizeOf(value: T | R): number
}

/** A file may unfold to so many times its size, and to this much in any case; more is an attack or an accident. */
const MAX_EXPANSION = 64
const MAX_EXPANDED_BYTES = 128 * 2 ** 20
/** What a row takes beside its texts. */
const ROW_BYTES = 256

/** Rows of a file, or of several as one, that pass the filters, shuffled and limited, as the caller wants them; bad ones by the policy. */
export async function selectRows<T extends object, R extends object>(
  files: DataFiles,
  options: ResolvedRowOptions,
  use: RowUse<T, R>,
): Promise<R[]> {
  const { label: where } = files
  const bad = new BadRows(where, options.onBadRow)
  const kept: R[] = []
  let spend: ((bytes: number) => void) | undefined
  const finish = (placed: Placed<T>) => {
    const finished = use.finish(placed)
    if ('fault' in finished) bad.add(placed.place, finished.fault as RowFault)
    else {
      spend?.(use.sizeOf(finished))
      kept.push(finished)
    }
  }
  let read = 0
  let passed = 0
  let hasColumns = false
  const choose = (all: readonly string[]) => {
    hasColumns = true
    return [...new Set([...use.choose(all), ...filterColumns(all, options.filters, where)])]
  }
  const held: Placed<T>[] = []
  reading: for await (const { path, block } of blocksOf(files, choose)) {
    for (const { place: placeInFile, ...rest } of block) {
      const number = read++
      const place = placeIn(path, placeInFile, files)
      if ('fault' in rest) {
        bad.add(place, rest.fault)
        continue
      }
      // Rows with columns of their own: the first one is to name any mistake in the options.
      if (!hasColumns && options.onBadRow === 'stop') use.choose(Object.keys(rest.row))
      hasColumns = true
      if (!passes(rest.row, options.filters)) continue
      passed++
      const value = use.map(rest.row)
      if ('fault' in value) {
        bad.add(place, value.fault as RowFault)
        continue
      }
      spend ??= expansionGuard(where, await sizeOfFiles(files))
      spend(use.sizeOf(value))
      const placed = { number, place, value }
      if (options.shuffleSeed !== undefined) {
        held.push(placed)
        continue
      }
      finish(placed)
      if (kept.length >= options.limit) break reading
    }
  }
  if (options.shuffleSeed !== undefined) {
    for (const i of shuffledOrder(held.length, options.shuffleSeed)) {
      finish(held[i]!)
      if (kept.length >= options.limit) break
    }
  }
  const { skipped } = bad
  if (skipped.count > 0) options.onSkipped?.(skipped)
  if (kept.length > 0) return kept
  if (read === 0 && !hasColumns) {
    throw new CoppiceError('INVALID_ARGUMENT', 'no rows', { where, expected: 'at least one' })
  }
  if (skipped.count > 0) {
    throw new CoppiceError('DATA_CORRUPT', 'no row can be used', {
      where,
      received: skippedText(skipped),
    })
  }
  if (read > passed) {
    throw new CoppiceError('INVALID_ARGUMENT', 'no row passes the filters', {
      where,
      received: `${read} rows`,
    })
  }
  return kept
}

async function* blocksOf(
  { paths }: DataFiles,
  choose: ColumnChoice,
): AsyncGenerator<{ path: string; block: ReadRow[] }, void, void> {
  for (const path of paths) for await (const block of readRows(path, choose)) yield { path, block }
}

function filterColumns(columns: readonly string[], filters: readonly Filter[], where: string): string[] {
  return filters.map(({ column: path }) => {
    const column = columnOf(columns, path)
    if (column === undefined) throw missingColumn(path, columns, where)
    return column
  })
}

/** Counts what the rows of a file take; refuses a small file that unfolds to a very large table. */
function expansionGuard(where: string, fileBytes: number): (bytes: number) => void {
  const limit = Math.max(MAX_EXPANDED_BYTES, MAX_EXPANSION * fileBytes)
  let spent = 0
  return (bytes) => {
    spent += ROW_BYTES / 2 + bytes
    if (spent <= limit) return
    throw new CoppiceError('DATA_CORRUPT', 'a file that unfolds to much more than it is', {
      where,
      expected: `at most ${MAX_EXPANSION} times its size`,
    })
  }
}
