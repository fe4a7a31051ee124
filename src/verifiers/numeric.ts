import type { Judgement, Sample } from '../verdicts.ts'
import { boxedAnswer, lastNumber, taggedAnswer } from './answer-text.ts'
import { absolute, add, compare, multiply, negate, type Rational, rational } from './rational.ts'

export interface NumericOptions {
  /** How far from the reference an answer may lie. Default 0: equal, as exact fractions. */
  tolerance?: number
  /** The same as a share of the reference's size; the larger allowance holds. Default 0. */
  relativeTolerance?: number
}

/** Longer numbers and larger exponents are not read: exact arithmetic on them would take unbounded time. */
const MAX_DIGITS = 1000

/**
 * Compares the completion's answer with the reference as exact fractions. The answer is what stands between
 * `<answer>` tags, else in the last `\boxed{}`, else behind the last `####`, else the last number of the text.
 */
export function numericVerifier({ tolerance = 0, relativeTolerance = 0 }: NumericOptions = {}) {
  const absoluteAllowance = fromDouble(tolerance)
  const relativeAllowance = fromDouble(relativeTolerance)
  return ({ reference, completion }: Pick<Sample, 'reference' | 'completion'>): Judgement => {
    const expected = parseNumber(reference)
    if (expected === undefined)
      return { verdict: 'unparsed', reward: null, reason: 'the reference is not a number' }
    const text = answerText(completion)
    const answer = text === undefined ? undefined : parseNumber(text)
    if (answer === undefined) return { verdict: 'unparsed', reward: 0, reason: 'no number found' }
    const distance = absolute(add(answer, negate(expected)))
    const isNear =
      compare(distance, absoluteAllowance) <= 0 ||
      compare(distance, multiply(relativeAllowance, absolute(expected))) <= 0
    return isNear ? { verdict: 'right', reward: 1 } : { verdict: 'wrong', reward: 0 }
  }
}

function answerText(completion: string): string | undefined {
  const marked = taggedAnswer(completion) ?? boxedAnswer(completion)
  if (marked !== undefined) return marked
  const hashes = completion.lastIndexOf('####')
  if (hashes !== -1) return completion.slice(hashes + 4)
  return lastNumber(completion)
}

/**
 * The value of a whole number, decimal, fraction (`a/b`, `\frac{a}{b}`) or percentage, with or without a currency sign,
 * thousands separators and an exponent. Undefined where the text is anything else, or too long.
 */
export function parseNumber(text: string): Rational | undefined {
  const plain = text.trim().replaceAll('−', '-').replaceAll('$', '').replace(/\.$/, '').replace(/\\?%$/, '%')
  if (plain.length > MAX_DIGITS) return undefined
  const fraction = /^([-+]?)\\[dt]?frac\{(\d+)\}\{(\d+)\}$/.exec(plain) ?? /^([-+]?)(\d+)\/(\d+)$/.exec(plain)
  if (fraction !== null) {
    const [, sign, above, below] = fraction as unknown as [string, string, string, string]
    return BigInt(below) === 0n ? undefined : rational(signed(sign, BigInt(above)), BigInt(below))
  }
  const number = /^([-+]?)(\d+|\d{1,3}(?:,\d{3})+)?(?:\.(\d+))?(?:e([-+]?\d{1,4}))?(%?)$/i.exec(plain)
  if (number === null) return undefined
  const [, sign, whole = '', decimals = '', exponentText = '0', percent] = number
  if (whole === '' && decimals === '') return undefined
  const exponent = Number(exponentText) - decimals.length - (percent === '%' ? 2 : 0)
  if (Math.abs(exponent) > MAX_DIGITS) return undefined
  const digits = signed(sign!, BigInt(whole.replaceAll(',', '') + decimals))
  const scale = 10n ** BigInt(Math.abs(exponent))
  return exponent < 0 ? rational(digits, scale) : rational(digits * scale)
}

function signed(sign: string, value: bigint): bigint {
  return sign === '-' ? -value : value
}

/** The decimal that people wrote when they wrote the option: 0.1 is a tenth, not the double next to it. */
function fromDouble(value: number): Rational {
  return parseNumber(String(value))!
}
