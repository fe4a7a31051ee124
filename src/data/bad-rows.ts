import { CoppiceError } from '../errors.ts'
import { badRow } from '../rollouts/files.ts'
import type { RowFault } from './read-row.ts'

/** What becomes of a row that cannot be used: it ends the reading, or is left out and counted. */
export const BAD_ROW_POLICIES = ['stop', 'skip'] as const
export type BadRowPolicy = (typeof BAD_ROW_POLICIES)[number]

/** The rows of a file that were left out. */
export interface SkippedRows {
  path: string
  count: number
  /** The first few: where they stand and why. */
  first: readonly string[]
}

const SHOWN = 5
/** More are no accident in some rows: the file is another one than it was taken for. */
const MOST = 100_000

/** Stops at a bad row, or counts it. */
export class BadRows {
  readonly #path: string
  readonly #policy: BadRowPolicy
  readonly #first: string[] = []
  #count = 0

  constructor(path: string, policy: BadRowPolicy) {
    this.#path = path
    this.#policy = policy
  }

  /** @throws CoppiceError DATA_CORRUPT under the policy `stop` */
  add(place: string, fault: RowFault): void {
    if (this.#policy === 'stop') throw badRow(`${this.#path}, ${place}`, fault)
    this.#count++
    if (this.#count > MOST) {
      throw new CoppiceError('DATA_CORRUPT', 'too many bad rows', {
        where: `${this.#path}, ${place}`,
        expected: `at most ${MOST} to skip`,
        received: textOf(fault),
      })
    }
    if (this.#first.length < SHOWN) this.#first.push(`${place}: ${textOf(fault)}`)
  }

  get skipped(): SkippedRows {
    return { path: this.#path, count: this.#count, first: this.#first }
  }
}

/** The skipped rows as one line. */
export function skippedText({ path, count, first }: SkippedRows): string {
  const others = count > first.length ? `; ${count - first.length} more` : ''
  return `${path}: ${count} bad ${count === 1 ? 'row' : 'rows'} skipped (${first.join('; ')}${others})`
}

function textOf({ reason, expected, received }: RowFault): string {
  return [
    reason,
    ...(expected === undefined ? [] : [`expected ${expected}`]),
    ...(received === undefined ? [] : [`received ${received}`]),
  ].join(', ')
}
