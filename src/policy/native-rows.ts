import { CoppiceError } from '../errors.ts'
import type { NativeRows } from '../native/types.ts'
import { requireNumber } from '../options.ts'
import {
  type ListValues,
  type ListView,
  type RolloutBatch,
  type TokenColumns,
  tokenColumnsOf,
} from '../rollouts.ts'

/** Rows as a batch, or as the views that were already taken of one. */
export type Rows = RolloutBatch | TokenColumns

export function tokenColumns(rows: Rows): TokenColumns {
  return 'schema' in rows ? tokenColumnsOf(rows) : rows
}

/** The rows as the engine reads them. A given temperature overrides the column. */
export function nativeRows(
  columns: TokenColumns,
  temperature: number | undefined,
  where: string,
): NativeRows {
  const { promptTokens, completionTokens } = columns
  return {
    promptTokens: promptTokens.values,
    promptOffsets: promptTokens.offsets,
    completionTokens: completionTokens.values,
    completionOffsets: completionTokens.offsets,
    temperature:
      temperature === undefined
        ? columns.temperature
        : new Float32Array(columns.rows).fill(
            requireNumber(temperature, `${where}.temperature`, Number.MIN_VALUE),
          ),
  }
}

export function completionTokenCount({ completionTokens: { offsets } }: TokenColumns): number {
  return offsets[offsets.length - 1]! - offsets[0]!
}

/** A list column without nulls as one array with an entry a completion token, over the column's own memory. */
export function perToken<A extends ListValues>(view: ListView<A>, name: string): A {
  const { values, offsets, valid } = view
  const row = valid?.indexOf(0) ?? -1
  if (row !== -1) {
    throw new CoppiceError('INVALID_ARGUMENT', 'null where a value is needed', {
      where: `column '${name}', row ${row}`,
    })
  }
  return values.subarray(offsets[0], offsets[offsets.length - 1]) as A
}

/** Refuses an array that does not have one entry a completion token. */
export function requirePerToken(values: Float32Array, columns: TokenColumns, where: string): Float32Array {
  const expected = completionTokenCount(columns)
  if (values instanceof Float32Array && values.length === expected) return values
  throw new CoppiceError('SHAPE_MISMATCH', 'one entry a completion token', {
    where,
    expected: `a Float32Array of length ${expected}`,
    received: ArrayBuffer.isView(values)
      ? `${values.constructor.name} of length ${values.length}`
      : typeof values,
  })
}
