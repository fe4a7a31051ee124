import { Decimal as LibraryDecimal } from 'decimal.js'
import { TooLarge, Undefined, type WorkBudget } from '../budget.ts'
import { arctangent, exponential, logarithm, sinCos } from './elementary.ts'

/** 70 digits; an exponent beyond these is an overflow and makes the value undefined, not slow. */
export const Decimal = LibraryDecimal.clone({
  precision: 70,
  maxE: 9999,
  minE: -9999,
  toExpNeg: -200,
  toExpPos: 200,
})
export type Decimal = LibraryDecimal

export const ZERO = new Decimal(0)
export const ONE = new Decimal(1)
export const PI = Decimal.acos(-1)

/** Digits that two values must share to count as the same; the rest of the 70 is for what gets lost on the way. */
export const SHARED_DIGITS = 40

/** Digits from which a sum counts as zero, against the larger of what went in. */
const SNAPPED_DIGITS = 55

/** A complex number and the decimal exponent of the largest number that went into it: what rounding is measured by. */
export interface Value {
  re: Decimal
  im: Decimal
  scale: number
}

const STEPS = { plain: 12, function: 250 }

/** Elementary functions of complex numbers, paid for from the budget. */
export class Calculator {
  readonly #budget: WorkBudget

  constructor(budget: WorkBudget) {
    this.#budget = budget
  }

  real(re: Decimal): Value {
    return { re, im: ZERO, scale: exponentOf(re) }
  }

  quotient(numerator: bigint, denominator: bigint): Value {
    this.#budget.spend(STEPS.plain)
    const [above, below] = [numerator.toString(), denominator.toString()]
    return this.real(this.#check(new Decimal(above).div(new Decimal(below))))
  }

  add(a: Value, b: Value): Value {
    this.#budget.spend(STEPS.plain)
    const scale = Math.max(a.scale, b.scale)
    return { re: snap(a.re.plus(b.re), scale), im: snap(a.im.plus(b.im), scale), scale }
  }

  negate({ re, im, scale }: Value): Value {
    return { re: re.neg(), im: im.neg(), scale }
  }

  multiply(a: Value, b: Value): Value {
    this.#budget.spend(2 * STEPS.plain)
    const scale = a.scale + b.scale + 1
    if (a.im.isZero() && b.im.isZero()) {
      const re = this.#check(a.re.times(b.re))
      // Where nothing was taken away from either, the product itself is the largest number: long products stay comparable.
      const isWhole = a.scale === exponentOf(a.re) && b.scale === exponentOf(b.re)
      return { re, im: ZERO, scale: isWhole ? exponentOf(re) : scale }
    }
    const re = a.re.times(b.re).minus(a.im.times(b.im))
    const im = a.re.times(b.im).plus(a.im.times(b.re))
    return { re: this.#check(snap(re, scale)), im: this.#check(snap(im, scale)), scale }
  }

  inverse(a: Value): Value {
    this.#budget.spend(2 * STEPS.plain)
    if (isZero(a)) throw new Undefined('a division by zero')
    const size = a.re.times(a.re).plus(a.im.times(a.im))
    const magnitude = Math.floor(exponentOf(size) / 2)
    return {
      re: this.#check(a.im.isZero() ? ONE.div(a.re) : a.re.div(size)),
      im: a.im.isZero() ? ZERO : this.#check(a.im.neg().div(size)),
      scale: a.scale - 2 * magnitude,
    }
  }

  exp(a: Value): Value {
    this.#budget.spend(STEPS.function)
    if (a.re.abs().gt(20_000)) throw new TooLarge('too large to decide')
    const size = this.#check(new Decimal(exponential(a.re)))
    const scale = exponentOf(size) + Math.max(0, a.scale) + 1
    if (a.im.isZero()) return { re: size, im: ZERO, scale }
    const [sin, cos] = this.#sinCos(a.im, a.scale)
    return { re: size.times(cos), im: size.times(sin), scale }
  }

  log(a: Value): Value {
    this.#budget.spend(STEPS.function)
    if (isZero(a)) throw new Undefined('a logarithm of zero')
    const relative = Math.max(0, a.scale - magnitudeOf(a))
    if (a.im.isZero() && a.re.gt(0)) {
      const re = new Decimal(logarithm(a.re))
      return { re, im: ZERO, scale: Math.max(exponentOf(re), relative) }
    }
    const size = a.re.times(a.re).plus(a.im.times(a.im))
    this.#budget.spend(STEPS.function)
    const im = angleOf(a)
    return { re: new Decimal(logarithm(size)).div(2), im, scale: relative + 1 }
  }

  /** The principal power, except that a whole exponent multiplies. */
  power(base: Value, exponent: Value): Value {
    if (isZero(base)) {
      if (!exponent.im.isZero() || exponent.re.lt(0)) throw new Undefined('a power of zero')
      return this.real(exponent.re.isZero() ? ONE : ZERO)
    }
    if (exponent.im.isZero() && exponent.re.isInteger() && exponent.re.abs().lt(10_000)) {
      return this.wholePower(base, exponent.re.toNumber())
    }
    return this.exp(this.multiply(exponent, this.log(base)))
  }

  wholePower(base: Value, exponent: number): Value {
    if (exponent < 0) return this.inverse(this.wholePower(base, -exponent))
    let [result, square] = [this.real(ONE), base]
    for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
      if (rest % 2 === 1) result = this.multiply(result, square)
      if (rest > 1) square = this.multiply(square, square)
    }
    return result
  }

  /** The real root where there is one, else the principal root. */
  root(a: Value, degree: number): Value {
    this.#budget.spend(STEPS.plain * 10)
    if (isZero(a)) return a
    if (a.im.isZero() && (a.re.gt(0) || degree % 2 === 1)) {
      const re =
        degree === 2
          ? a.re.sqrt()
          : degree === 3
            ? a.re.cbrt()
            : this.exp(this.quotientOf(this.log(this.real(a.re.abs())), degree)).re.times(a.re.lt(0) ? -1 : 1)
      return { re, im: ZERO, scale: exponentOf(re) + Math.max(0, a.scale - magnitudeOf(a)) }
    }
    if (degree === 2 && a.im.isZero()) {
      const im = a.re.neg().sqrt()
      return { re: ZERO, im, scale: exponentOf(im) + Math.max(0, a.scale - magnitudeOf(a)) }
    }
    return this.exp(this.quotientOf(this.log(a), degree))
  }

  quotientOf(a: Value, divisor: number): Value {
    return { re: a.re.div(divisor), im: a.im.div(divisor), scale: a.scale }
  }

  sin(a: Value): Value {
    return this.#circular(a)[0]
  }

  cos(a: Value): Value {
    return this.#circular(a)[1]
  }

  #circular(a: Value): [Value, Value] {
    if (a.im.isZero()) {
      const [sin, cos] = this.#sinCos(a.re, a.scale)
      const scale = Math.max(0, a.scale)
      return [
        { re: sin, im: ZERO, scale },
        { re: cos, im: ZERO, scale },
      ]
    }
    // sin and cos from exp(iz) and exp(-iz)
    const turned = this.exp({ re: a.im.neg(), im: a.re, scale: a.scale })
    const back = this.inverse(turned)
    const sum = this.add(turned, back)
    const rest = this.add(turned, this.negate(back))
    return [
      { re: rest.im.div(2), im: rest.re.div(-2), scale: rest.scale },
      { re: sum.re.div(2), im: sum.im.div(2), scale: sum.scale },
    ]
  }

  #sinCos(angle: Decimal, scale: number): [Decimal, Decimal] {
    this.#budget.spend(2 * STEPS.function)
    if (exponentOf(angle) > 12) throw new TooLarge('too large to decide')
    const [sin, cos] = sinCos(angle).map((value) => new Decimal(value)) as [Decimal, Decimal]
    return [snap(sin, Math.max(0, scale)), snap(cos, Math.max(0, scale))]
  }

  /** The angle of a point, for arctangents and their like. */
  arctangent(a: Value): Value {
    this.#requireReal(a)
    const re = new Decimal(arctangent(a.re))
    return { re, im: ZERO, scale: Math.max(exponentOf(re), Math.min(a.scale, 1)) }
  }

  arcsine(a: Value): Value {
    this.#requireReal(a)
    if (a.re.abs().gt(1)) throw new Undefined('an arcsine beyond 1')
    return { re: arcsine(a.re), im: ZERO, scale: Math.max(0, a.scale) }
  }

  arccosine(a: Value): Value {
    this.#requireReal(a)
    if (a.re.abs().gt(1)) throw new Undefined('an arccosine beyond 1')
    return { re: PI.div(2).minus(arcsine(a.re)), im: ZERO, scale: Math.max(0, a.scale) }
  }

  #requireReal(a: Value): void {
    this.#budget.spend(2 * STEPS.function)
    if (!a.im.isZero()) throw new Undefined('an inverse function of a complex number')
    if (!a.re.isZero() && Math.abs(a.re.e) > 60) throw new TooLarge('too large to decide')
  }

  #check(value: Decimal): Decimal {
    if (!value.isFinite()) throw new TooLarge('too large to decide')
    return value
  }
}

function arcsine(value: Decimal): Decimal {
  const rest = ONE.minus(value).times(ONE.plus(value)).sqrt()
  if (rest.isZero()) return PI.div(value.isNegative() ? -2 : 2)
  return new Decimal(arctangent(value.div(rest)))
}

/** The angle of a point that is not 0, above -pi and up to pi. */
function angleOf({ re, im }: Value): Decimal {
  if (re.isZero()) return PI.div(im.isNegative() ? -2 : 2)
  const angle = new Decimal(arctangent(im.div(re)))
  if (re.isPositive()) return angle
  return im.isNegative() && !im.isZero() ? angle.minus(PI) : angle.plus(PI)
}

export function isZero(a: Value): boolean {
  return a.re.isZero() && a.im.isZero()
}

/** Where the first digit stands: 2 for 123; far down for 0. */
export function exponentOf(value: Decimal): number {
  return value.isZero() ? -9999 : value.e
}

export function magnitudeOf(a: Value): number {
  return Math.max(exponentOf(a.re), exponentOf(a.im))
}

/** A sum that is nothing but rounding becomes zero: else a branch, a sign or a divisor would hang on noise. */
function snap(value: Decimal, scale: number): Decimal {
  return exponentOf(value) < scale - SNAPPED_DIGITS ? ZERO : value
}
