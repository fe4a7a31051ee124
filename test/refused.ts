import assert from 'node:assert/strict'
import { CoppiceError, type ErrorCode } from '../src/errors.ts'

/** The refusal of a call that must fail, for `assert.throws` and `assert.rejects`. */
export const refused = (code: ErrorCode, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof CoppiceError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  return true
}
