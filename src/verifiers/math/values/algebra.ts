import { type Rational, rational } from '../../rational.ts'
import { powerOfInteger, productOfRange, TooLarge, Undefined, type WorkBudget } from '../budget.ts'
import type { Node, SeriesNode } from '../tree.ts'
import { exactCall, exactRoot, integerRoot, lowestTerms, smallWhole } from './exact-numbers.ts'
import {
  addPolynomials,
  constant,
  constantOf,
  generator,
  multiplyPolynomials,
  type Polynomial,
  polynomialKey,
  ZERO,
} from './polynomial.ts'

/** A quotient of polynomials, not reduced: equality is a matter of cross-multiplication. */
export interface Fraction {
  above: Polynomial
  below: Polynomial
}

const MAX_FACTORIAL = 2000
const MAX_EXPONENT = 20_000
/** Terms of a sum that are added one by one. */
const MAX_TERMS = 1000n

/**
 * Exact algebra over one pair of answers: trees become quotients of polynomials over shared generators. Whatever algebra
 * does not understand (a sine, a power with a variable exponent) becomes a generator of its own; then equal fractions still
 * prove equality, but different ones prove nothing (`isComplete` is false).
 */
export class Algebra {
  /** Whether different fractions have different values. */
  isComplete = true
  readonly #budget: WorkBudget
  readonly #indices = new Map<string, number>()
  readonly #squares: (bigint | undefined)[] = []
  /** What the indices of sums stand for while their terms are added. */
  readonly #bound = new Map<string, bigint>()

  constructor(budget: WorkBudget) {
    this.#budget = budget
  }

  /** The zero test that all equality rests on; throws `TooLarge` and `Undefined`. */
  isZero(node: Node): boolean {
    return this.fraction(node).above.size === 0
  }

  areEqual(a: Fraction, b: Fraction): boolean {
    const left = this.#times(a.above, b.below)
    return addPolynomials(left, this.#times(b.above, a.below), -1n, this.#budget).size === 0
  }

  /** The exact value of a tree that is rational; undefined for others. */
  rationalOf(node: Node): Rational | undefined {
    const { above, below } = this.fraction(node)
    const [numerator, denominator] = [constantOf(above), constantOf(below)]
    return numerator === undefined || denominator === undefined ? undefined : rational(numerator, denominator)
  }

  fraction(node: Node): Fraction {
    this.#budget.spend(5)
    switch (node.kind) {
      case 'number':
        return { above: constant(node.value.numerator), below: constant(node.value.denominator) }
      case 'variable': {
        const bound = this.#bound.get(node.name)
        return whole(bound === undefined ? this.#generator(`variable ${node.name}`) : constant(bound))
      }
      case 'constant':
        return this.#constant(node.name)
      case 'sum':
        return node.terms.map((term) => this.fraction(term)).reduce((a, b) => this.#sum(a, b))
      case 'product':
        return node.factors.map((factor) => this.fraction(factor)).reduce((a, b) => this.#product(a, b))
      case 'negation':
        return this.#product(whole(constant(-1n)), this.fraction(node.operand))
      case 'quotient':
        return this.#product(this.fraction(node.above), inverse(this.fraction(node.below)))
      case 'power':
        return this.#power(node.base, node.exponent)
      case 'root':
        return this.#root(this.fraction(node.operand), node.degree)
      case 'call':
        return this.#call(node.name, node.operands)
      case 'series':
        return this.#series(node)
    }
  }

  /** Between whole limits, term by term; else the same body between the same limits is the same. */
  #series({ operation, index, from, to, body }: SeriesNode): Fraction {
    const limits = [from, to].map((limit) => this.rationalOf(limit))
    if (limits.includes(undefined)) {
      const keys = [from, to, body].map((part) => keyOf(this.fraction(part)))
      return this.#opaque(`${operation} ${keys.join(' ')}`)
    }
    const [first, last] = limits.map((limit) => {
      const { numerator, denominator } = lowestTerms(limit!, this.#budget)
      if (denominator !== 1n) throw new Undefined('a sum between fractions')
      return numerator
    }) as [bigint, bigint]
    if (last - first >= MAX_TERMS) throw new TooLarge('too large to decide')
    let result = whole(operation === 'sum' ? ZERO : constant(1n))
    for (let value = first; value <= last; value++) {
      this.#bound.set(index, value)
      const term = this.fraction(body)
      result = operation === 'sum' ? this.#sum(result, term) : this.#product(result, term)
    }
    this.#bound.delete(index)
    return result
  }

  #constant(name: 'pi' | 'e' | 'i' | 'infinity'): Fraction {
    if (name === 'infinity') return this.#opaque('infinity')
    return whole(this.#generator(name, name === 'i' ? -1n : undefined))
  }

  #generator(key: string, square?: bigint): Polynomial {
    let index = this.#indices.get(key)
    if (index === undefined) {
      index = this.#indices.size
      this.#indices.set(key, index)
      this.#squares[index] = square
    }
    return generator(index)
  }

  /** A generator about which nothing is known but its name. */
  #opaque(key: string): Fraction {
    this.isComplete = false
    if (key.length > 2000) throw new TooLarge('too large to decide')
    return whole(this.#generator(key))
  }

  #times(a: Polynomial, b: Polynomial): Polynomial {
    return multiplyPolynomials(a, b, this.#squares, this.#budget)
  }

  #sum(a: Fraction, b: Fraction): Fraction {
    const [c, d] = [constantOf(a.below), constantOf(b.below)]
    if (c !== undefined && c === d) {
      return { above: addPolynomials(a.above, b.above, 1n, this.#budget), below: a.below }
    }
    const above = addPolynomials(
      this.#times(a.above, b.below),
      this.#times(b.above, a.below),
      1n,
      this.#budget,
    )
    return reduced({ above, below: this.#times(a.below, b.below) }, this.#budget)
  }

  #product(a: Fraction, b: Fraction): Fraction {
    return reduced(
      { above: this.#times(a.above, b.above), below: this.#times(a.below, b.below) },
      this.#budget,
    )
  }

  #power(base: Node, exponent: Node): Fraction {
    const power = this.rationalOf(exponent)
    const value = this.fraction(base)
    if (power === undefined) return this.#opaque(`power ${keyOf(value)} ${keyOf(this.fraction(exponent))}`)
    const { numerator, denominator } = lowestTerms(power, this.#budget)
    if (numerator > MAX_EXPONENT || numerator < -MAX_EXPONENT || denominator > 100n) {
      const small = constantOf(value.above)
      if (constantOf(value.below) === 1n && (small === 0n || small === 1n) && numerator > 0n) return value
      throw new TooLarge('too large to decide')
    }
    if (denominator === 1n) return this.#wholePower(value, Number(numerator))
    // The real root of a negative number is what people write here; the principal one is for `evaluate` to try.
    return this.#wholePower(this.#root(value, Number(denominator)), Number(numerator))
  }

  #wholePower(base: Fraction, exponent: number): Fraction {
    if (exponent < 0) return this.#wholePower(inverse(base), -exponent)
    if (exponent === 0) return whole(constant(1n))
    const [above, below] = [constantOf(base.above), constantOf(base.below)]
    if (above !== undefined && below !== undefined) {
      return {
        above: constant(powerOfInteger(above, exponent, this.#budget)),
        below: constant(powerOfInteger(below, exponent, this.#budget)),
      }
    }
    const raise = (polynomial: Polynomial): Polynomial => {
      let [result, square] = [constant(1n), polynomial]
      for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
        if (rest % 2 === 1) result = this.#times(result, square)
        if (rest > 1) square = this.#times(square, square)
      }
      return result
    }
    return { above: raise(base.above), below: raise(base.below) }
  }

  #root(operand: Fraction, degree: number): Fraction {
    const [above, below] = [constantOf(operand.above), constantOf(operand.below)]
    if (above === undefined || below === undefined) return this.#opaque(`root ${degree} ${keyOf(operand)}`)
    if (above === 0n) return whole(ZERO)
    const value = lowestTerms(rational(above, below), this.#budget)
    const [numerator, denominator] = [
      exactRoot(value.numerator, degree, this.#budget),
      exactRoot(value.denominator, degree, this.#budget),
    ]
    if (numerator !== undefined && denominator !== undefined) {
      return { above: constant(numerator), below: constant(denominator) }
    }
    if (degree !== 2) return this.#opaque(`root ${degree} ${value.numerator}/${value.denominator}`)
    // sqrt(p/q) = sqrt(pq)/q
    const root = this.#squareRoot(value.numerator * value.denominator)
    return { above: root, below: constant(value.denominator) }
  }

  /** The root of a whole number as a multiple of the product of the roots of primes. */
  #squareRoot(value: bigint): Polynomial {
    let rest = value < 0n ? -value : value
    let root = value < 0n ? this.#generator('i', -1n) : constant(1n)
    let factor = 1n
    if (rest >= 1n << 200n) throw new TooLarge('too large to decide')
    for (let prime = 2n; prime < 1000n && prime * prime <= rest; prime += prime === 2n ? 1n : 2n) {
      this.#budget.spend(1)
      while (rest % (prime * prime) === 0n) {
        rest /= prime * prime
        factor *= prime
      }
      if (rest % prime === 0n) {
        rest /= prime
        root = this.#times(root, this.#generator(`root ${prime}`, prime))
      }
    }
    if (rest > 1n) {
      const whole = integerRoot(rest, 2, this.#budget)
      if (whole * whole === rest) factor *= whole
      else {
        // Larger than the square of every prime tried, it may have two factors that stand elsewhere on their own.
        if (rest > 1_000_000n) this.isComplete = false
        root = this.#times(root, this.#generator(`root ${rest}`, rest))
      }
    }
    return this.#times(root, constant(factor))
  }

  #call(name: string, operands: readonly Node[]): Fraction {
    const values = operands.map((operand) => this.rationalOf(operand))
    // One of the terms of a sum: x_i where i is 3 is x_3.
    if (name.endsWith('_') && values[0] !== undefined) {
      const { numerator, denominator } = values[0]
      if (denominator === 1n) return whole(this.#generator(`variable ${name}${numerator}`))
    }
    if (name === 'factorial' && values[0] !== undefined) {
      const count = smallWhole(values[0], MAX_FACTORIAL, this.#budget)
      return whole(constant(productOfRange(2, count, this.#budget)))
    }
    if (name === 'binomial' && values[0] !== undefined && values[1] !== undefined) {
      const n = smallWhole(values[0], 100_000, this.#budget)
      const asked = smallWhole(values[1], 100_000, this.#budget)
      if (asked > n) return whole(ZERO)
      const k = Math.min(asked, n - asked)
      if (k > MAX_FACTORIAL) throw new TooLarge('too large to decide')
      return whole(constant(productOfRange(n - k + 1, n, this.#budget) / productOfRange(2, k, this.#budget)))
    }
    if (values.every((value) => value !== undefined)) {
      const exact = exactCall(name, values)
      if (exact !== undefined) return { above: constant(exact.numerator), below: constant(exact.denominator) }
    }
    if (name === 'exp') return this.#power({ kind: 'constant', name: 'e' }, operands[0]!)
    return this.#opaque(`${name} ${operands.map((operand) => keyOf(this.fraction(operand))).join(' ')}`)
  }
}

function whole(above: Polynomial): Fraction {
  return { above, below: constant(1n) }
}

function inverse({ above, below }: Fraction): Fraction {
  if (above.size === 0) throw new Undefined('a division by zero')
  return { above: below, below: above }
}

/** Brings plain numbers to lowest terms, so that long sums of fractions stay short. */
function reduced(fraction: Fraction, budget: WorkBudget): Fraction {
  const [above, below] = [constantOf(fraction.above), constantOf(fraction.below)]
  if (above === undefined || below === undefined || (below < 1n << 64n && below > -(1n << 64n)))
    return fraction
  const value = lowestTerms(rational(above, below), budget)
  return { above: constant(value.numerator), below: constant(value.denominator) }
}

function keyOf({ above, below }: Fraction): string {
  return `(${polynomialKey(above)}/${polynomialKey(below)})`
}
