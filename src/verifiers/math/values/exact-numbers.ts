import { type Rational, rational } from '../../rational.ts'
import { bitLength, powerOfInteger, TooLarge, Undefined, type WorkBudget } from '../budget.ts'

// Whole numbers of any size and their quotients.

/** Functions of rational numbers that are rational again. */
export function exactCall(name: string, values: readonly Rational[]): Rational | undefined {
  const [{ numerator, denominator }] = values as [Rational]
  const floor = (a: bigint, b: bigint) => (a >= 0n || a % b === 0n ? a / b : a / b - 1n)
  if (name === 'abs') return rational(numerator < 0n ? -numerator : numerator, denominator)
  if (name === 'floor') return rational(floor(numerator, denominator))
  if (name === 'ceil') return rational(-floor(-numerator, denominator))
  if (name === 'max' || name === 'min') {
    const sign = name === 'max' ? 1n : -1n
    return values.reduce((a, b) =>
      sign * (b.numerator * a.denominator - a.numerator * b.denominator) > 0n ? b : a,
    )
  }
  if (
    (name === 'gcd' || name === 'lcm') &&
    values.every((value) => value.numerator % value.denominator === 0n)
  ) {
    const whole = values.map((value) => value.numerator / value.denominator)
    if (whole.some((value) => value <= 0n || value > 1n << 200n) || whole.length > 20) return undefined
    return rational(
      whole.reduce((a, b) => (name === 'gcd' ? greatestDivisor(a, b) : (a / greatestDivisor(a, b)) * b)),
    )
  }
  return undefined
}

export function greatestDivisor(a: bigint, b: bigint): bigint {
  let [x, y] = [a < 0n ? -a : a, b < 0n ? -b : b]
  while (y !== 0n) [x, y] = [y, x % y]
  return x
}

export function lowestTerms({ numerator, denominator }: Rational, budget: WorkBudget): Rational {
  if (denominator === 0n) throw new Undefined('a division by zero')
  const bits = Math.min(bitLength(numerator), bitLength(denominator))
  budget.spend(1 + Math.ceil((bits * (1 + bits / 2048)) / 8))
  const divisor = greatestDivisor(numerator, denominator)
  return rational(numerator / divisor, denominator / divisor)
}

/** A whole number from 0 to a limit, as `number`. */
export function smallWhole(value: Rational, limit: number, budget: WorkBudget): number {
  const { numerator, denominator } = lowestTerms(value, budget)
  if (denominator !== 1n || numerator < 0n) throw new Undefined('a factorial of no whole number')
  if (numerator > BigInt(limit)) throw new TooLarge('too large to decide')
  return Number(numerator)
}

/** The root where it is a whole number, a negative number's odd root included. */
export function exactRoot(value: bigint, degree: number, budget: WorkBudget): bigint | undefined {
  if (value < 0n) {
    const root = degree % 2 === 0 ? undefined : exactRoot(-value, degree, budget)
    return root === undefined ? undefined : -root
  }
  const root = integerRoot(value, degree, budget)
  return powerOfInteger(root, degree, budget) === value ? root : undefined
}

/** The largest whole number whose power is no larger, by Newton's steps from above. */
export function integerRoot(value: bigint, degree: number, budget: WorkBudget): bigint {
  if (value < 2n || degree === 1) return value
  const bits = value.toString(2).length
  if (bits > 8192) throw new TooLarge('too large to decide')
  const n = BigInt(degree)
  let root = 1n << BigInt(Math.ceil(bits / degree))
  for (;;) {
    budget.spend(2 + (bits >> 8))
    const next = ((n - 1n) * root + value / root ** (n - 1n)) / n
    if (next >= root) return root
    root = next
  }
}
