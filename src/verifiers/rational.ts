/** An exact fraction, not reduced: the denominator is positive, equal fractions may be written differently. */
export interface Rational {
  readonly numerator: bigint
  readonly denominator: bigint
}

// Fractions stay unreduced on purpose: numbers from a completion are short (their readers see to that), so digits grow
// by addition only, and a greatest common divisor after every operation would be the one costly step for a hostile text.

export function rational(numerator: bigint, denominator = 1n): Rational {
  return denominator < 0n ? { numerator: -numerator, denominator: -denominator } : { numerator, denominator }
}

export function add(a: Rational, b: Rational): Rational {
  return rational(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator)
}

export function negate(a: Rational): Rational {
  return rational(-a.numerator, a.denominator)
}

export function multiply(a: Rational, b: Rational): Rational {
  return rational(a.numerator * b.numerator, a.denominator * b.denominator)
}

/** Undefined where `b` is zero. */
export function divide(a: Rational, b: Rational): Rational | undefined {
  if (b.numerator === 0n) return undefined
  return rational(a.numerator * b.denominator, a.denominator * b.numerator)
}

/** Negative, zero or positive as `a` is less than, equal to or greater than `b`. */
export function compare(a: Rational, b: Rational): number {
  const difference = a.numerator * b.denominator - b.numerator * a.denominator
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

export function absolute(a: Rational): Rational {
  return a.numerator < 0n ? negate(a) : a
}
