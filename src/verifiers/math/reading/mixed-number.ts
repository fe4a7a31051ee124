import { multiply, rational } from '../../rational.ts'
import { Unreadable } from '../budget.ts'
import type { Node } from '../tree.ts'
import type { TokenCursor } from './token-cursor.ts'
import type { NumberToken } from './tokens.ts'

/** The fraction of a mixed number, behind its whole number: `\frac{1}{2}`, `\frac12` or ` 1/2`; undefined where there is none. */
export function mixedFraction(cursor: TokenCursor): Node | undefined {
  if (cursor.is('^', -2) || cursor.is('_', -2)) return undefined
  const [first, second] = [cursor.digitsAt(0), cursor.digitsAt(2)]
  if (first?.spaced && second !== undefined && cursor.is('/', 1)) {
    cursor.place += 3
    return quotientOf(first, second)
  }
  if (!cursor.is('frac')) return undefined
  const digits = cursor.digitsAt(1)
  if (digits?.text.length === 2) {
    cursor.place += 2
    const [above, below] = [...digits.text].map((digit) => ({ ...digits, value: rational(BigInt(digit)) }))
    return quotientOf(above!, below!)
  }
  const [above, below] = [cursor.digitsAt(2), cursor.digitsAt(5)]
  const isBraced = cursor.is('{', 1) && cursor.is('}', 3) && cursor.is('{', 4) && cursor.is('}', 6)
  if (!isBraced || above === undefined || below === undefined) return undefined
  cursor.place += 7
  return quotientOf(above, below)
}

function quotientOf(above: NumberToken, below: NumberToken): Node {
  if (below.value.numerator === 0n) throw new Unreadable('a fraction over zero')
  return {
    kind: 'number',
    value: multiply(above.value, rational(below.value.denominator, below.value.numerator)),
  }
}
