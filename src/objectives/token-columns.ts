import { CoppiceError, invalidArgument } from '../errors.ts'

// Columns with a value for every completion token, as callers hand them over: ragged (an array for each completion) or
// flat (one array that offsets divide).

/** Numbers of tokens: of one completion, or of all of them one after the other. */
export type TokenValues = Float32Array | Float64Array | readonly number[]
/** Zeros and ones, or booleans, in the same two forms. */
export type TokenFlags = ArrayLike<number | boolean>

/** One number a token. */
export type TokenColumn = TokenValues | readonly TokenValues[]
/** One 0 or 1, false or true, a token. */
export type FlagColumn = TokenFlags | readonly TokenFlags[]

export function isRagged(column: TokenColumn | FlagColumn): column is readonly TokenValues[] {
  return Array.isArray(column) && typeof column[0] === 'object'
}

/** Where each completion's tokens begin in the flat form: rows + 1 entries from 0 to the number of tokens. */
export function offsetsOf(column: TokenColumn, given: ArrayLike<number> | undefined): Int32Array {
  const length = lengthOf(column, 'logprobs')
  if (given !== undefined) {
    const last = given[given.length - 1]
    if (isRagged(column))
      throw invalidArgument('offsets', 'no offsets with an array for each completion', given)
    if (given[0] !== 0 || last !== length) {
      throw new CoppiceError('SHAPE_MISMATCH', 'offsets that do not span the tokens', {
        where: 'offsets',
        expected: `entries from 0 to ${length}, the length of logprobs`,
        received: `from ${given[0]} to ${last}`,
      })
    }
    return Int32Array.from(given)
  }
  if (length > 0 && !isRagged(column)) {
    throw invalidArgument('offsets', 'offsets with flat columns, or an array for each completion', undefined)
  }
  const offsets = new Int32Array(length + 1)
  for (let row = 0; row < length; row++) {
    offsets[row + 1] = offsets[row]! + lengthOf(column[row], `logprobs, row ${row}`)
  }
  return offsets
}

/** A column of either form as one array, its shape checked against the completions that `offsets` describes. */
export function flatten(column: TokenColumn | FlagColumn, offsets: Int32Array, where: string): Float64Array {
  const tokens = offsets.at(-1)!
  const flat = new Float64Array(tokens)
  const length = lengthOf(column, where)
  if (!isRagged(column)) {
    if (length !== tokens) throw misfit(where, `${tokens} tokens`, length)
    flat.set(column as ArrayLike<number>)
    return flat
  }
  if (length !== offsets.length - 1) throw misfit(where, `${offsets.length - 1} rows`, length)
  for (let row = 0; row < length; row++) {
    const expected = offsets[row + 1]! - offsets[row]!
    const received = lengthOf(column[row], `${where}, row ${row}`)
    if (received !== expected) throw misfit(`${where}, row ${row}`, `${expected} tokens`, received)
    flat.set(column[row]!, offsets[row])
  }
  return flat
}

/** The values of a flat column, one array for each completion. */
export function divide<A extends Float32Array | Float64Array>(flat: A, offsets: Int32Array): A[] {
  return Array.from(
    { length: offsets.length - 1 },
    (_, row) => flat.slice(offsets[row], offsets[row + 1]) as A,
  )
}

/** Refuses a mask that is more than yes and no: a fraction would look like a weight, and is none. */
export function requireFlags(values: Float64Array, where: string): Float64Array {
  const odd = values.find((value) => value !== 0 && value !== 1)
  if (odd !== undefined) throw invalidArgument(where, 'only 0 and 1', odd)
  return values
}

function lengthOf(column: unknown, where: string): number {
  if (Array.isArray(column) || (ArrayBuffer.isView(column) && !(column instanceof DataView))) {
    return (column as unknown as ArrayLike<unknown>).length
  }
  throw invalidArgument(where, 'an array of numbers', column)
}

function misfit(where: string, expected: string, received: number): CoppiceError {
  return new CoppiceError('SHAPE_MISMATCH', 'a column that does not fit logprobs', {
    where,
    expected: `${expected}, as in logprobs`,
    received: `${received}`,
  })
}
