import { CoppiceError } from '../errors.ts'
import { type JsonObject, shortJson } from './strict-json.ts'

// Readers of one field of a config.json; what does not fit is INVALID_ARGUMENT with the field's name.

export function requireSize(raw: JsonObject, field: string, where: string, max: number): number {
  const value = raw[field]
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > max) {
    throw refused(where, `bad ${field}`, {
      expected: `a whole number from 1 to ${max}`,
      received: shortJson(value),
    })
  }
  return value
}

export function requirePositive(raw: JsonObject, field: string, fallback: number, where: string): number {
  const value = raw[field] ?? fallback
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) {
    throw refused(where, `bad ${field}`, { expected: 'a number above 0', received: shortJson(value) })
  }
  return value
}

export function requireBoolean(raw: JsonObject, field: string, fallback: boolean, where: string): boolean {
  const value = raw[field] ?? fallback
  if (typeof value !== 'boolean') {
    throw refused(where, `bad ${field}`, { expected: 'true or false', received: shortJson(value) })
  }
  return value
}

export function refused(
  where: string,
  message: string,
  details: { expected?: string; received?: string } = {},
): CoppiceError {
  return new CoppiceError('INVALID_ARGUMENT', message, { where, ...details })
}
