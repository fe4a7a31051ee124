/** Thrown where a text asks for more work than the grader does for one answer. */
export class TooLarge extends Error {}

/** Thrown where a text is no mathematics that the grader can read. */
export class Unreadable extends Error {}

/** Thrown where an expression has no value: a division by zero, a logarithm of zero. */
export class Undefined extends Error {}

/** Work for one pair of answers; a step is about a tenth of a microsecond. */
const STEPS = 60_000

/**
 * Counts steps of work and never looks at a clock, so that an answer's verdict is the same on every machine. Whatever
 * can take long asks first: the parser by node, powers and products by digits, polynomials by terms, decimals by function.
 */
export class WorkBudget {
  /** Evaluations so far, each at one point; none where algebra alone decided. For tests and measurements. */
  evaluations = 0
  #left: number

  constructor(steps = STEPS) {
    this.#left = steps
  }

  /** Steps that are left; for tests and measurements. */
  get left(): number {
    return this.#left
  }

  /** Takes steps before the work is done; throws `TooLarge` where they are not left. */
  spend(steps: number): void {
    this.#left -= steps
    if (!(this.#left >= 0)) throw new TooLarge('too large to decide')
  }

  /** Runs work that may take so many of the steps at most; undefined where it is too large for them. */
  within<T>(steps: number, work: () => T): T | undefined {
    const kept = Math.max(0, this.#left - steps)
    this.#left -= kept
    try {
      return work()
    } catch (error) {
      if (error instanceof TooLarge) return undefined
      throw error
    } finally {
      this.#left = Math.max(0, this.#left) + kept
    }
  }
}

/** A bound for the number of bits, without looking at small numbers at all. */
export function bitLength(value: bigint): number {
  if (value < 9007199254740992n && value > -9007199254740992n) return 53
  return value.toString(16).length * 4
}

/** Longer integers are not computed. */
const MAX_BITS = 65_536

/** `a * b`, paid for by the digits. */
export function multiplyIntegers(a: bigint, b: bigint, budget: WorkBudget): bigint {
  const [bitsA, bitsB] = [bitLength(a), bitLength(b)]
  if (bitsA + bitsB > MAX_BITS) throw new TooLarge('too large to decide')
  budget.spend(1 + ((bitsA + bitsB) >> 10) + ((bitsA * bitsB) >> 14))
  return a * b
}

/** `base ** exponent`, paid for by the digits of the result. */
export function powerOfInteger(base: bigint, exponent: number, budget: WorkBudget): bigint {
  if (base === 0n || base === 1n) return exponent === 0 ? 1n : base
  if (base === -1n) return exponent % 2 === 0 ? 1n : -1n
  const magnitude = base < 0n ? -base : base
  const bits = magnitude.toString(2).length * exponent
  if (bits > MAX_BITS) throw new TooLarge('too large to decide')
  budget.spend(1 + ((bits * bits) >> 14))
  return base ** BigInt(exponent)
}

/** `from * (from + 1) * ... * to`; 1 where there is nothing to multiply. */
export function productOfRange(from: number, to: number, budget: WorkBudget): bigint {
  let product = 1n
  for (let factor = from; factor <= to; factor++) {
    product = multiplyIntegers(product, BigInt(factor), budget)
  }
  return product
}
