import { multiplyIntegers, TooLarge, type WorkBudget } from '../budget.ts'

// Multivariate polynomials with whole coefficients over numbered generators: variables, pi, e, the imaginary unit, square
// roots of primes, and whatever else is opaque to algebra. A generator with a known square never has a higher power, so that two
// polynomials over independent generators are the same exactly when their terms are.

export interface Term {
  coefficient: bigint
  /** Generator and exponent by turns, generators ascending, exponents positive. */
  powers: readonly number[]
}

/** Terms by the text of their powers; no coefficient is zero. */
export type Polynomial = ReadonlyMap<string, Term>

export const ZERO: Polynomial = new Map()

export function constant(value: bigint): Polynomial {
  return value === 0n ? ZERO : new Map([['', { coefficient: value, powers: [] }]])
}

export function generator(index: number): Polynomial {
  return new Map([[`${index},1`, { coefficient: 1n, powers: [index, 1] }]])
}

/** The value of a polynomial without generators; undefined for others. */
export function constantOf(polynomial: Polynomial): bigint | undefined {
  if (polynomial.size === 0) return 0n
  return polynomial.size === 1 ? polynomial.get('')?.coefficient : undefined
}

export function addPolynomials(a: Polynomial, b: Polynomial, sign: 1n | -1n, budget: WorkBudget): Polynomial {
  if (b.size === 0) return a
  budget.spend(5 * (a.size + b.size))
  const sum = new Map(a)
  for (const [key, term] of b) accumulate(sum, key, sign * term.coefficient, term.powers)
  return sum
}

/** `squares` tells the square of a generator that has one: 2 for the root of 2. */
export function multiplyPolynomials(
  a: Polynomial,
  b: Polynomial,
  squares: readonly (bigint | undefined)[],
  budget: WorkBudget,
): Polynomial {
  if (a.size * b.size > 20_000) throw new TooLarge('too large to decide')
  budget.spend(10 * a.size * b.size)
  const result = new Map<string, Term>()
  for (const left of a.values()) {
    for (const right of b.values()) {
      let coefficient = multiplyIntegers(left.coefficient, right.coefficient, budget)
      const powers: number[] = []
      let [i, j] = [0, 0]
      while (i < left.powers.length || j < right.powers.length) {
        const [g, h] = [
          left.powers[i] ?? Number.POSITIVE_INFINITY,
          right.powers[j] ?? Number.POSITIVE_INFINITY,
        ]
        const generatorIndex = Math.min(g, h)
        let exponent = 0
        if (g === generatorIndex) {
          exponent += left.powers[i + 1]!
          i += 2
        }
        if (h === generatorIndex) {
          exponent += right.powers[j + 1]!
          j += 2
        }
        const square = squares[generatorIndex]
        if (square !== undefined && exponent >= 2) {
          coefficient = multiplyIntegers(coefficient, square, budget)
          exponent -= 2
        }
        if (exponent > 0) powers.push(generatorIndex, exponent)
      }
      accumulate(result, powers.join(), coefficient, powers)
    }
  }
  return result
}

function accumulate(into: Map<string, Term>, key: string, value: bigint, powers: readonly number[]): void {
  const coefficient = (into.get(key)?.coefficient ?? 0n) + value
  if (coefficient === 0n) into.delete(key)
  else into.set(key, { coefficient, powers })
}

/** One text for every polynomial over the same generators. */
export function polynomialKey(polynomial: Polynomial): string {
  return [...polynomial]
    .map(([key, { coefficient }]) => `${coefficient}[${key}]`)
    .sort()
    .join('')
}

/** The rational `p / q` with `a = p / q * b`; undefined where the two are not proportional or `b` is zero. */
export function ratioOf(a: Polynomial, b: Polynomial, budget: WorkBudget): [bigint, bigint] | undefined {
  if (a.size !== b.size || a.size === 0) return undefined
  let ratio: [bigint, bigint] | undefined
  for (const [key, { coefficient }] of a) {
    const other = b.get(key)?.coefficient
    if (other === undefined) return undefined
    ratio ??= [coefficient, other]
    const [p, q] = ratio
    if (multiplyIntegers(coefficient, q, budget) !== multiplyIntegers(other, p, budget)) return undefined
  }
  return ratio
}
