import { invalidArgument } from '../errors.ts'
import { requireInteger } from '../options.ts'
import { Random } from '../tasks/random.ts'

/**
 * Which rows a step works on. Every epoch goes through all rows in an order of its own, keyed by (seed, stream, epoch);
 * rows left over at an epoch's end, fewer than a step needs, sit that epoch out, so that no step sees a row twice.
 * The order is a function of the step alone: a resumed run needs no saved cursor to go on in the same order.
 */
export class RowOrder {
  readonly stepsPerEpoch: number
  readonly #rows: number
  readonly #perStep: number
  readonly #random: Random
  readonly #further: Random
  #epoch = -1
  #order: number[] = []

  /**
   * @param rows how many rows there are
   * @param perStep how many of them a step takes, at most `rows`
   * @param where the option to name when they do not fit
   */
  constructor(seed: number, stream: string, rows: number, perStep: number, where: string) {
    requireInteger(rows, `${where}: rows`, 1)
    requireInteger(perStep, where, 1)
    if (perStep > rows) throw invalidArgument(where, `at most ${rows}, the number of rows there are`, perStep)
    this.#rows = rows
    this.#perStep = perStep
    this.#random = new Random(seed, stream)
    this.#further = new Random(seed, `further ${stream}`)
    this.stepsPerEpoch = Math.floor(rows / perStep)
  }

  /** The epoch (from 0) that a step (from 1) belongs to. */
  epochOf(step: number): number {
    return Math.floor((step - 1) / this.stepsPerEpoch)
  }

  /** All rows that are not the step's own, in the order in which they take the place of some of them. */
  furtherRowsOf(step: number): number[] {
    const own = new Set(this.rowsOf(step))
    const others = Array.from({ length: this.#rows }, (_, row) => row).filter((row) => !own.has(row))
    return this.#further.at(step).shuffle(others)
  }

  /** Row indices of step `step` (from 1), in the order in which the step takes them. */
  rowsOf(step: number): number[] {
    requireInteger(step, 'step', 1)
    const epoch = this.epochOf(step)
    if (epoch !== this.#epoch) {
      this.#order = this.#random.at(epoch).shuffle(Array.from({ length: this.#rows }, (_, i) => i))
      this.#epoch = epoch
    }
    const begin = ((step - 1) % this.stepsPerEpoch) * this.#perStep
    return this.#order.slice(begin, begin + this.#perStep)
  }
}
