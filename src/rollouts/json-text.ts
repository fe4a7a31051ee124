import { describeValue } from '../errors.ts'

// JSON from strangers. JSON.parse takes up to twenty times a text's size where the text is all brackets, and what it then
// runs out of ends the process: so brackets and commas are counted first.

/** A row of a table, as JSON has it. Read it with `Object.hasOwn`: a key may be `__proto__`. */
export type JsonRow = Record<string, unknown>

/** Why a row is not one, in the words of an error message. */
export interface RowFault {
  reason: string
  expected?: string
  received?: string
}

export const MAX_JSON_DEPTH = 256
export const MAX_JSON_VALUES = 4_000_000
/** Shorter texts cannot hold enough to matter. */
const UNCOUNTED_BYTES = 1 << 14

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN = [0x5b, 0x7b]
const CLOSE = [0x5d, 0x7d]

/** How deep a text of JSON may be nested and how many values it may hold. */
export interface JsonLimits {
  depth: number
  values: number
}

const ROW_LIMITS: JsonLimits = { depth: MAX_JSON_DEPTH, values: MAX_JSON_VALUES }

/** What is too much about a text of JSON; undefined where it may be parsed. */
function excess(bytes: Uint8Array, limits: JsonLimits): RowFault | undefined {
  if (bytes.length < UNCOUNTED_BYTES && limits === ROW_LIMITS) return undefined
  let isText = false
  let depth = 0
  let values = 0
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (isText) {
      if (byte === BACKSLASH) i++
      else if (byte === QUOTE) isText = false
    } else if (byte === QUOTE) isText = true
    else if (byte === COMMA) values++
    else if (byte === OPEN[0] || byte === OPEN[1]) {
      values++
      if (++depth > limits.depth) {
        return { reason: 'JSON that is nested too deep', expected: `at most ${limits.depth} levels` }
      }
    } else if (byte === CLOSE[0] || byte === CLOSE[1]) depth--
  }
  if (values <= limits.values) return undefined
  return {
    reason: 'JSON of too many values',
    expected: `at most ${limits.values}`,
    received: String(values),
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Parses UTF-8 bytes as JSON, or says why they are none. */
export function parseJsonBytes(
  bytes: Uint8Array,
  limits: JsonLimits = ROW_LIMITS,
): { value: unknown } | { fault: RowFault } {
  const fault = excess(bytes, limits)
  if (fault !== undefined) return { fault }
  let text: string
  try {
    text = utf8.decode(bytes)
  } catch {
    return { fault: { reason: 'not UTF-8', expected: 'text in UTF-8' } }
  }
  // A file may have a million bad lines, and a stack is most of what an error costs.
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return { value: JSON.parse(text) }
  } catch (cause) {
    return { fault: { reason: `not JSON: ${visible((cause as Error).message)}` } }
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** The same where the JSON has to be an object: a row. */
export function parseRowBytes(bytes: Uint8Array): { row: JsonRow } | { fault: RowFault } {
  const parsed = parseJsonBytes(bytes)
  return 'fault' in parsed ? parsed : rowOf(parsed.value)
}

export function rowOf(value: unknown): { row: JsonRow } | { fault: RowFault } {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { row: value as JsonRow }
  return { fault: { reason: 'not a row', expected: 'an object', received: describeValue(value) } }
}

/** Control characters as escapes: what a file holds must not steer a terminal. */
export function visible(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\0-\x1f\x7f-\x9f]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
