import { invalidArgument } from '../errors.ts'
import { type JsonRow, valueAt } from './read-row.ts'
import { scalarText } from './references.ts'

/** One condition on a column's value, as text. */
export interface Filter {
  column: string
  /** Whether the value is to be equal, or different. */
  isEqual: boolean
  value: string
}

/** Parses `column=value` or `column!=value`. The first sign counts: values may hold others. */
export function parseFilter(text: string): Filter {
  const at = text.indexOf('=')
  const isEqual = text[at - 1] !== '!'
  const column = text.slice(0, isEqual ? at : at - 1).trim()
  if (at === -1 || column === '') throw invalidArgument('filter', "'column=value' or 'column!=value'", text)
  return { column, isEqual, value: text.slice(at + 1) }
}

/** Whether a row meets all conditions. A value that is absent or no text or number equals nothing. */
export function passes(row: JsonRow, filters: readonly Filter[]): boolean {
  return filters.every(
    ({ column, isEqual, value }) => (scalarText(valueAt(row, column)) === value) === isEqual,
  )
}
