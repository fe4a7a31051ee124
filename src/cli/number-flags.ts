import { CoppiceError } from '../index.ts'

/** A flag's value, or INVALID_ARGUMENT where it is less than that or no number. */
export function requireAtLeast(value: number, where: string, least: number, what = 'a number'): number {
  if (value >= least && Number.isFinite(value)) return value
  throw new CoppiceError('INVALID_ARGUMENT', 'out of range', {
    ...{ where, expected: `${what} from ${least}`, received: String(value) },
  })
}

export function requireWhole(value: number, where: string, least: number): number {
  return requireAtLeast(Number.isInteger(value) ? value : Number.NaN, where, least, 'a whole number')
}
