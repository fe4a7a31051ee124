import { CoppiceError, invalidArgument } from '../errors.ts'
import { requireInteger } from '../options.ts'

/** How many values an array has; one at least. */
export function lengthOf(array: Float32Array | Int32Array, where: string): number {
  if (!ArrayBuffer.isView(array)) throw invalidArgument(where, 'a typed array', array)
  if (array.length === 0) throw misfit(where, 'at least one value', 0)
  return array.length
}

/** How many rows of `cols` values an array has; one at least. */
export function rowsOf(array: Float32Array, cols: number, where: string): number {
  requireInteger(cols, `${where}: columns`, 1)
  const length = lengthOf(array, where)
  if (length % cols !== 0) throw misfit(where, `rows of ${cols} values`, length)
  return length / cols
}

/** How many columns an array of so many rows has; one at least. */
export function columnsOf(array: Float32Array, rows: number, where: string): number {
  const length = lengthOf(array, where)
  if (length % rows !== 0) throw misfit(where, `a multiple of ${rows} values`, length)
  return length / rows
}

export function misfit(where: string, expected: string, received: number): CoppiceError {
  return new CoppiceError('SHAPE_MISMATCH', 'a size that does not fit', {
    ...{ where, expected, received: `${received} values` },
  })
}
