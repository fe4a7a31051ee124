import { CoppiceError } from '../errors.ts'
import { requireInteger } from '../options.ts'

/** How many of a prompt's n sampled completions were right. */
export interface RightCount {
  /** Completions sampled. */
  n: number
  /** Right ones among them, 0 to n. */
  c: number
}

const MAX_SAMPLES = 2 ** 31 - 1

/**
 * The unbiased estimate of pass@k, the chance that at least one of k completions is right, from n sampled
 * completions of which c were right: `1 - C(n-c, k) / C(n, k)` (Chen et al. 2021, arXiv 2107.03374, equation 1).
 *
 * The result is the double nearest to the exact rational number (checked against big-integer arithmetic for n up to
 * 100,000). Where n - c < k it is exactly 1, where c = 0 exactly 0. At most about `sqrt(40 n)` steps.
 *
 * @param n completions sampled, 1 or more
 * @param c right ones, 0 to n
 * @param k completions that one would draw, 1 to n
 * @throws CoppiceError INVALID_ARGUMENT for anything else: fractions, NaN, negatives, c > n, k > n
 */
export function passAtK(n: number, c: number, k: number): number {
  requireInteger(n, 'passAtK n (completions sampled)', 1, MAX_SAMPLES)
  requireInteger(c, 'passAtK c (right completions)', 0)
  requireInteger(k, 'passAtK k', 1)
  if (c > n) throw outOfRange('c', c, n)
  if (k > n) throw outOfRange('k', k, n)
  if (c === 0) return 0
  if (n - c < k) return 1
  return oneMinusAllWrong(n, c, k)
}

function outOfRange(name: 'c' | 'k', value: number, n: number): CoppiceError {
  return new CoppiceError('INVALID_ARGUMENT', `${name} is larger than n`, {
    where: `passAtK ${name}`,
    expected: `at most n = ${n}`,
    received: String(value),
  })
}

/**
 * 1 - C(n-c, k) / C(n, k). The ratio is symmetric in c and k, so the product runs over the smaller of the two:
 * prod_{i < min} (n - max - i) / (n - i). It is carried as an unevaluated sum of two doubles (about 106 bits), because
 * for a small pass@k the final subtraction would cancel most of a single double's digits.
 */
function oneMinusAllWrong(n: number, c: number, k: number): number {
  const factors = Math.min(c, k)
  const larger = Math.max(c, k)
  let high = 1
  let low = 0
  for (let i = 0; i < factors; i++) {
    const numerator = n - larger - i
    const denominator = n - i
    const product = high * numerator
    const productLow = productError(high, numerator, product) + low * numerator
    const quotient = product / denominator
    const back = quotient * denominator
    const remainder = product - back - productError(quotient, denominator, back) + productLow
    const correction = remainder / denominator
    high = quotient + correction
    low = correction - (high - quotient)
    if (high < 2 ** -55) return 1
  }
  const difference = 1 - high
  const lost = 1 - difference - high
  return difference + (lost - low)
}

/** The rounding error of `product = a * b`, exactly (Dekker 1971). */
function productError(a: number, b: number, product: number): number {
  const aHigh = upperHalf(a)
  const aLow = a - aHigh
  const bHigh = upperHalf(b)
  const bLow = b - bHigh
  return aHigh * bHigh - product + aHigh * bLow + aLow * bHigh + aLow * bLow
}

/** The upper 26 bits of a double's significand (Veltkamp's splitting). */
function upperHalf(a: number): number {
  const shifted = 134217729 * a
  return shifted - (shifted - a)
}
