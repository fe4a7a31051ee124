import { CoppiceError, describeValue } from '../errors.ts'
import { requireInteger } from '../options.ts'
import { Random } from '../statistics/random.ts'

/** Where a reader stands in the shuffled rows; survives JSON. */
export interface ShuffleCursor {
  seed: number
  /** How many rows there are: the order depends on it. */
  rows: number
  /** Passes over all rows that were finished. */
  epoch: number
  /** Rows of this epoch that were given out. */
  position: number
}

/** The numbers 0 .. rows - 1 in the order of one epoch: a Fisher-Yates shuffle keyed by (seed, epoch) alone. */
export function shuffledOrder(rows: number, seed: number, epoch = 0): number[] {
  requireInteger(rows, 'rows', 0, 2 ** 32 - 1)
  requireInteger(epoch, 'epoch', 0, 2 ** 32 - 1)
  const order = Array.from({ length: rows }, (_, i) => i)
  return new Random(seed, 'data').at(epoch).shuffle(order)
}

/**
 * Rows in random order, epoch after epoch, each row once an epoch. A cursor taken at any time and given to a new instance
 * goes on with the rows that would have come next.
 */
export class ShuffledRows {
  readonly #rows: number
  readonly #seed: number
  #epoch: number
  #position: number
  #order: number[]

  constructor(rows: number, seed: number) {
    this.#rows = requireInteger(rows, 'rows', 1, 2 ** 32 - 1)
    this.#seed = requireInteger(seed, 'seed', 0)
    this.#epoch = 0
    this.#position = 0
    this.#order = shuffledOrder(rows, seed)
  }

  /** DATA_CORRUPT for a cursor that is none; INVALID_ARGUMENT where the data set has another number of rows now. */
  static resume(cursor: ShuffleCursor, rows: number): ShuffledRows {
    const { seed, epoch, position, rows: before } = checkedCursor(cursor)
    if (before !== rows) {
      throw new CoppiceError('INVALID_ARGUMENT', 'a cursor of another data set', {
        where: 'cursor.rows',
        expected: `${rows}, the number of rows there are`,
        received: String(before),
      })
    }
    const shuffled = new ShuffledRows(rows, seed)
    shuffled.#epoch = epoch
    shuffled.#position = position
    if (epoch > 0) shuffled.#order = shuffledOrder(rows, seed, epoch)
    return shuffled
  }

  get cursor(): ShuffleCursor {
    return { seed: this.#seed, rows: this.#rows, epoch: this.#epoch, position: this.#position }
  }

  /** The next `count` rows, over an epoch's end where it comes to that. */
  take(count: number): number[] {
    requireInteger(count, 'count', 0)
    const taken: number[] = []
    while (taken.length < count) {
      if (this.#position === this.#rows) {
        this.#epoch++
        this.#position = 0
        this.#order = shuffledOrder(this.#rows, this.#seed, this.#epoch)
      }
      taken.push(this.#order[this.#position++]!)
    }
    return taken
  }
}

function checkedCursor(value: ShuffleCursor): ShuffleCursor {
  const cursor = value as unknown as Record<string, unknown> | null
  for (const name of ['seed', 'rows', 'epoch', 'position']) {
    const number = cursor?.[name]
    if (Number.isSafeInteger(number) && (number as number) >= 0) continue
    throw new CoppiceError('DATA_CORRUPT', 'not a cursor', {
      where: `cursor.${name}`,
      expected: 'a whole number from 0',
      received: describeValue(number),
    })
  }
  if (value.position > value.rows) {
    throw new CoppiceError('DATA_CORRUPT', 'not a cursor', {
      where: 'cursor.position',
      expected: `at most ${value.rows}`,
      received: String(value.position),
    })
  }
  return value
}
