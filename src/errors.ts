/** Every way in which coppice refuses or fails; a closed union, so that callers can switch over it. */
export type ErrorCode =
  | 'INVALID_ARGUMENT'
  | 'SHAPE_MISMATCH'
  | 'OUT_OF_MEMORY'
  | 'DEVICE_UNAVAILABLE'
  | 'DEVICE_FAULT'
  | 'NON_FINITE'
  | 'CHECKPOINT_CORRUPT'
  | 'DATA_CORRUPT'
  | 'NOT_FOUND'
  | 'ACCESS_DENIED'
  | 'UNREACHABLE'
  | 'DISK_FULL'
  | 'DISPOSED'
  | 'BUSY'
  | 'INTERNAL'

export interface CoppiceErrorDetails {
  /** What would have been accepted. */
  expected?: string
  /** What came instead. */
  received?: string
  /** File, row, tensor or option that is at fault. */
  where?: string
  cause?: unknown
}

/**
 * The one error class of coppice. `code` is stable and meant for programs; `message` names the thing at fault,
 * what was expected and what was received, and is meant for people.
 */
export class CoppiceError extends Error {
  override readonly name = 'CoppiceError'
  readonly code: ErrorCode
  readonly expected: string | undefined
  readonly received: string | undefined
  readonly where: string | undefined

  constructor(code: ErrorCode, message: string, details: CoppiceErrorDetails = {}) {
    const parts = [message]
    if (details.expected !== undefined) parts.push(`expected ${details.expected}`)
    if (details.received !== undefined) parts.push(`received ${details.received}`)
    const where = details.where === undefined ? '' : `${details.where}: `
    super(where + parts.join('; '), details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.expected = details.expected
    this.received = details.received
    this.where = details.where
  }
}

/** Shorthand for the commonest refusal: an argument of the wrong kind or range. */
export function invalidArgument(where: string, expected: string, received: unknown): CoppiceError {
  return new CoppiceError('INVALID_ARGUMENT', 'invalid argument', {
    where,
    expected,
    received: describeValue(received),
  })
}

/** A short, safe rendering of any value for an error message. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value)
  if (typeof value === 'function') return `function ${value.name || '(anonymous)'}`
  if (value === null || typeof value !== 'object') return String(value)
  if (Array.isArray(value)) return `array of length ${value.length}`
  const name = Object.getPrototypeOf(value)?.constructor?.name
  return ArrayBuffer.isView(value) && !(value instanceof DataView)
    ? `${name} of length ${(value as Float32Array).length}`
    : (name ?? 'object')
}
