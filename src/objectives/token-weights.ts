import { CoppiceError, invalidArgument } from '../errors.ts'
import type { ResolvedOptions } from '../objective-options.ts'

/** The completions of a batch as list columns: row i's tokens are [offsets[i], offsets[i + 1]). */
export interface CompletionTokens {
  /** Rows + 1 entries, not decreasing; the first need not be 0 (a sliced column). */
  offsets: ArrayLike<number>
  /** Indexed as the offsets count. Not 0 where the policy produced the token. Absent: it produced all of them. */
  mask?: ArrayLike<number | boolean> | undefined
}

/** Advantages as an objective's rule gives them. */
export interface AdvantageValues {
  /** One a row of the batch. */
  rowAdvantages: ArrayLike<number>
  /**
   * One a completion token of the batch, for rules whose advantages are not constant over a completion: indexed as the offsets
   * of the completions count, a sliced column's first offset taken off. Absent: each row's own for all of its tokens.
   */
  tokenAdvantages?: ArrayLike<number> | undefined
}

/** The input of `policy_loss` that does not depend on the policy, for one optimiser batch. */
export interface TokenWeights<A extends Float32Array | Float64Array> {
  /** The batch's rows in the order of their tokens below, as given. */
  rows: Int32Array
  /** rows.length + 1 entries from 0: row rows[i]'s tokens are [offsets[i], offsets[i + 1]) of the arrays below. */
  offsets: Int32Array
  /** The advantage of each token, masked or not. */
  advantages: A
  /** mask / denominator, 0 for a token that takes no part. advantage * norm is the token's weight in the gradient. */
  norm: A
  activeTokens: number
}

/** Which arrays `weighTokens` makes; the same words as a policy's dtype. */
export type TokenDtype = 'f32' | 'f64'
export type ArrayOf<D extends TokenDtype> = D extends 'f32' ? Float32Array : Float64Array

/**
 * Lays out the tokens of one optimiser batch and gives each its share of the loss. `rows` are the kept rows that make up
 * this optimiser batch, all of them: the denominators are theirs, so that the batch may be cut into micro-batches
 * freely afterwards. Returns null when no token is active: then there is no step to make.
 */
export function weighTokens<D extends TokenDtype>(
  rows: ArrayLike<number>,
  given: AdvantageValues,
  completions: CompletionTokens,
  options: Pick<ResolvedOptions, 'aggregation' | 'constant'>,
  dtype: D,
): TokenWeights<ArrayOf<D>> | null {
  requireOffsets(completions)
  const offsets = new Int32Array(rows.length + 1)
  const activeOfRow = new Int32Array(rows.length)
  let activeTokens = 0
  let activeRows = 0
  for (let i = 0; i < rows.length; i++) {
    const [begin, end] = spanOf(completions, rows[i]!)
    offsets[i + 1] = offsets[i]! + end - begin
    activeOfRow[i] = activeLength(completions, rows[i]!)
    activeTokens += activeOfRow[i]!
    if (activeOfRow[i]! > 0) activeRows++
  }
  if (activeTokens === 0) return null

  const count = offsets[rows.length]!
  const make = () => (dtype === 'f32' ? new Float32Array(count) : new Float64Array(count)) as ArrayOf<D>
  const advantages = make()
  const norm = make()
  for (let i = 0; i < rows.length; i++) {
    const [begin, end] = spanOf(completions, rows[i]!)
    const share = 1 / denominator(options, activeTokens, activeRows, activeOfRow[i]!)
    fillAdvantages(advantages, offsets[i]!, given, completions, rows[i]!)
    for (let t = begin; t < end; t++) if (isActive(completions, t)) norm[offsets[i]! + t - begin] = share
  }
  return { rows: Int32Array.from(rows), offsets, advantages, norm, activeTokens }
}

/** Writes the advantages of a row's tokens from `at` on. */
function fillAdvantages(
  into: Float32Array | Float64Array,
  at: number,
  { rowAdvantages, tokenAdvantages }: AdvantageValues,
  completions: CompletionTokens,
  row: number,
): void {
  const [begin, end] = spanOf(completions, row)
  if (tokenAdvantages === undefined) {
    into.fill(rowAdvantages[row]!, at, at + end - begin)
    return
  }
  const first = completions.offsets[0]!
  for (let t = begin; t < end; t++) into[at + t - begin] = tokenAdvantages[t - first]!
}

/** What each active token of a row is divided by; see `ObjectiveOptions.aggregation`. */
function denominator(
  options: Pick<ResolvedOptions, 'aggregation' | 'constant'>,
  activeTokens: number,
  activeRows: number,
  activeOfRow: number,
): number {
  switch (options.aggregation) {
    case 'token-mean':
      return activeTokens
    case 'sequence-mean-token-mean':
      return activeRows * activeOfRow
    case 'sequence-mean-token-sum':
      return activeRows
    case 'constant':
      return options.constant!
  }
}

/**
 * The column `advantages: list<float32>` of the advantages stage: a value for every completion token, with the offsets
 * of the completions shifted to start at 0. Rows that are not kept are null in the column (`valid[row]` is 0) and hold
 * zeros: to drop a row and to give it advantage 0 are different things.
 */
export interface AdvantageColumn {
  values: Float32Array
  offsets: Int32Array
  valid: Uint8Array
}

/** Each row's advantage over its completion tokens, or theirs. `keptRows` and the values come from `assignAdvantages`. */
export function advantageColumn(
  keptRows: ArrayLike<number>,
  given: AdvantageValues,
  completions: CompletionTokens,
): AdvantageColumn {
  requireOffsets(completions)
  const count = completions.offsets.length - 1
  const first = completions.offsets[0]!
  const offsets = Int32Array.from(completions.offsets, (offset) => offset - first)
  const values = new Float32Array(offsets[count]!)
  const valid = new Uint8Array(count)
  for (let i = 0; i < keptRows.length; i++) {
    const row = keptRows[i]!
    spanOf(completions, row)
    valid[row] = 1
    fillAdvantages(values, offsets[row]!, given, completions, row)
  }
  return { values, offsets, valid }
}

/** Tokens of a row's completion that the policy produced. */
export function activeLength(completions: CompletionTokens, row: number): number {
  const [begin, end] = spanOf(completions, row)
  let active = 0
  for (let t = begin; t < end; t++) if (isActive(completions, t)) active++
  return active
}

/** Whether the policy produced the token; `token` counts as the offsets do. */
export function isActive(completions: CompletionTokens, token: number): boolean {
  return completions.mask === undefined || Boolean(completions.mask[token])
}

/** The row's tokens, as the offsets count. */
export function spanOf({ offsets }: CompletionTokens, row: number): [begin: number, end: number] {
  if (!Number.isInteger(row) || row < 0 || row + 1 >= offsets.length) {
    throw invalidArgument('rows', `a row from 0 to ${offsets.length - 2}`, row)
  }
  return [offsets[row]!, offsets[row + 1]!]
}

/** Refuses completions that are not those of `rows` rows. */
export function requireRows(completions: CompletionTokens, rows: number): void {
  if (completions.offsets.length === rows + 1) return
  throw new CoppiceError('SHAPE_MISMATCH', 'offsets of other rows', {
    where: 'offsets',
    expected: `${rows + 1} entries for ${rows} rows`,
    received: `${completions.offsets.length}`,
  })
}

function requireOffsets({ offsets, mask }: CompletionTokens): void {
  if (offsets.length === 0) throw invalidArgument('offsets', 'rows + 1 entries', offsets)
  let previous = 0
  for (let i = 0; i < offsets.length; i++) {
    const offset = offsets[i]!
    if (!Number.isInteger(offset) || offset < previous) {
      throw invalidArgument(`offsets, entry ${i}`, `a whole number of at least ${previous}`, offset)
    }
    previous = offset
  }
  if (mask !== undefined && mask.length < previous) {
    throw new CoppiceError('SHAPE_MISMATCH', 'a mask for every token', {
      where: 'mask',
      expected: `at least ${previous} entries, the last offset`,
      received: `${mask.length}`,
    })
  }
}
