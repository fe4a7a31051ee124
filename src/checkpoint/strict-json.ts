import { readFileSync, statSync } from 'node:fs'
import { CoppiceError } from '../errors.ts'

export type JsonValue = null | boolean | number | string | JsonValue[] | JsonObject
export interface JsonObject {
  [key: string]: JsonValue
}

/** Reads a JSON object from a file of at most `maxBytes`; CHECKPOINT_CORRUPT names the file and what is wrong with it. */
export function readJsonObject(path: string, maxBytes = 64 << 20): JsonObject {
  return parseJsonObject(readSmallFile(path, maxBytes), path)
}

/**
 * Parses UTF-8 bytes as one JSON object and refuses duplicate keys: JSON.parse keeps the last of them, other readers the
 * first, so that one file would mean two things. Keys like `__proto__` become plain own properties.
 */
export function parseJsonObject(bytes: Uint8Array, where: string): JsonObject {
  let text: string
  let value: JsonValue
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    value = JSON.parse(text)
  } catch (cause) {
    throw new CoppiceError('CHECKPOINT_CORRUPT', 'not valid JSON', {
      where,
      received: (cause as Error).message,
      cause,
    })
  }
  if (!isJsonObject(value)) throw new CoppiceError('CHECKPOINT_CORRUPT', 'not a JSON object', { where })
  const duplicate = duplicateKey(text)
  if (duplicate !== undefined) {
    throw new CoppiceError(
      'CHECKPOINT_CORRUPT',
      `key ${JSON.stringify(duplicate)} occurs twice in one object`,
      {
        where,
      },
    )
  }
  return value
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The first key that occurs twice in one object. `text` must be valid JSON. */
function duplicateKey(text: string): string | undefined {
  const keysOfOpenObjects: Set<string>[] = []
  for (let i = 0; i < text.length; i++) {
    const symbol = text[i]
    if (symbol === '{') keysOfOpenObjects.push(new Set())
    else if (symbol === '}') keysOfOpenObjects.pop()
    else if (symbol === '"') {
      const end = endOfString(text, i)
      let after = end
      while (/\s/.test(text[after] ?? '')) after++
      if (text[after] === ':') {
        const key: string = JSON.parse(text.slice(i, end))
        const keys = keysOfOpenObjects.at(-1)!
        if (keys.has(key)) return key
        keys.add(key)
      }
      i = end - 1
    }
  }
  return undefined
}

/** Index behind the closing quote of the string that opens at `begin`. */
function endOfString(text: string, begin: number): number {
  let i = begin + 1
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1
  return i + 1
}

/** A value as short text for an error message. */
export function shortJson(value: JsonValue | undefined): string {
  if (value === undefined) return 'nothing'
  // Not by JSON.stringify of the whole: hostile values may be nested deeper than the stack.
  if (Array.isArray(value)) {
    const flat = value.length <= 16 && value.every((entry) => typeof entry !== 'object' || entry === null)
    return flat ? cut(JSON.stringify(value)) : `a list of length ${value.length}`
  }
  if (isJsonObject(value)) {
    const flat = Object.values(value).every((entry) => typeof entry !== 'object' || entry === null)
    return flat ? cut(JSON.stringify(value)) : `an object of ${Object.keys(value).length} keys`
  }
  return cut(JSON.stringify(value))
}

function cut(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}...` : text
}

function readSmallFile(path: string, maxBytes: number): Uint8Array {
  const size = regularFileSize(path)
  if (size > maxBytes) {
    throw new CoppiceError('CHECKPOINT_CORRUPT', 'the file is too long', {
      where: path,
      expected: `at most ${maxBytes} bytes`,
      received: `${size}`,
    })
  }
  return readFileSync(path)
}

/** Size in bytes. Refuses what is missing or not a regular file (opening a pipe would wait for ever). */
export function regularFileSize(path: string): number {
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined)
    throw new CoppiceError('CHECKPOINT_CORRUPT', 'the file does not exist', { where: path })
  if (!found.isFile()) throw new CoppiceError('CHECKPOINT_CORRUPT', 'not a regular file', { where: path })
  return found.size
}
