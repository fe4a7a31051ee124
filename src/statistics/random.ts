import { invalidArgument } from '../errors.ts'
import { philox4x32 } from './philox.ts'

/** A 32-bit hash (unsigned) of a text's UTF-16 units; `salt` gives independent hashes of the same text. */
export function hashText(text: string, salt = 0): number {
  let hash = 0x811c9dc5 ^ salt
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  // FNV leaves its high bits poorly mixed, and they decide the split: finish as murmur3 does.
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/**
 * Random numbers keyed by (seed, stream, row, position): row r of a stream is the same whether or not the rows before
 * it were drawn, so that any part of a data set can be made again alone.
 */
export class Random {
  readonly #key: Uint32Array
  /** (block, row, stream, stream): 2^32 blocks of four words for every row of every stream. */
  readonly #counter: Uint32Array
  readonly #block = new Uint32Array(4)
  #next = 0

  /** `seed`: a whole number from 0 to 2^53 - 1. `stream`: what the numbers are for; other streams are independent. */
  constructor(seed: number, stream: string) {
    if (!Number.isSafeInteger(seed) || seed < 0)
      throw invalidArgument('seed', 'a whole number from 0 to 2^53 - 1', seed)
    this.#key = Uint32Array.of(seed, Math.floor(seed / 2 ** 32))
    this.#counter = Uint32Array.of(0, 0, hashText(stream), hashText(stream, 1))
  }

  /** Moves to the start of row `row` (0 to 2^32 - 1) and returns the generator itself. */
  at(row: number): this {
    if (!Number.isInteger(row) || row < 0 || row > 0xffffffff) {
      throw invalidArgument('row', 'a whole number from 0 to 2^32 - 1', row)
    }
    this.#counter[0] = 0
    this.#counter[1] = row
    this.#next = 0
    return this
  }

  /** 32 random bits as an unsigned number. */
  uint32(): number {
    if (this.#next === 0) {
      philox4x32(this.#counter, this.#key, this.#block)
      this.#counter[0]! += 1
    }
    const word = this.#block[this.#next]!
    this.#next = (this.#next + 1) & 3
    return word
  }

  /** A number in [0, 1), a multiple of 2^-32. */
  uniform(): number {
    return this.uint32() / 2 ** 32
  }

  /** A whole number in [0, bound), every one equally likely; `bound` from 1 to 2^32 - 1. */
  below(bound: number): number {
    const limit = bound >>> 0
    if (limit !== bound || limit === 0)
      throw invalidArgument('bound', 'a whole number from 1 to 2^32 - 1', bound)
    let value = this.uint32()
    if (value < limit) {
      // The first 2^32 mod bound values would make the low remainders likelier: draw again.
      const surplus = (-limit >>> 0) % limit
      while (value < surplus) value = this.uint32()
    }
    return value % limit
  }

  /** A whole number in [low, high], both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  /** True with the given probability. */
  chance(probability: number): boolean {
    return this.uint32() < probability * 2 ** 32
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!
  }

  /** Puts `values[from..]` into random order in place; every order is equally likely. */
  shuffle<T>(values: T[], from = 0): T[] {
    for (let i = values.length - 1; i > from; i--) {
      const j = from + this.below(i - from + 1)
      const held = values[i]!
      values[i] = values[j]!
      values[j] = held
    }
    return values
  }
}
