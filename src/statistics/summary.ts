import { CoppiceError, invalidArgument } from '../errors.ts'

export interface Summary {
  count: number
  mean: number
  /** Sample standard deviation (divisor count - 1); null for a single value. */
  std: number | null
  /** Standard error of the mean, std / sqrt(count); null for a single value. */
  standardError: number | null
}

/**
 * Mean, sample standard deviation and standard error of one or more finite numbers.
 * @throws CoppiceError INVALID_ARGUMENT if there are none, NON_FINITE if one is not finite
 */
export function summarise(values: ArrayLike<number>): Summary {
  const count = values.length
  if (count === 0) throw invalidArgument('summarise values', 'at least one number', values)
  let sum = 0
  for (let i = 0; i < count; i++) {
    const value = values[i]
    if (typeof value !== 'number' || !Number.isFinite(value)) {
      throw new CoppiceError('NON_FINITE', 'not a finite number', {
        where: `value ${i}`,
        received: String(value),
      })
    }
    sum += value
  }
  const mean = sum / count
  if (count === 1) return { count, mean, std: null, standardError: null }
  let squares = 0
  for (let i = 0; i < count; i++) squares += (values[i]! - mean) ** 2
  const std = Math.sqrt(squares / (count - 1))
  return { count, mean, std, standardError: std / Math.sqrt(count) }
}
