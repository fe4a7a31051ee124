import { parseJsonBytes } from '../../rollouts/json-text.ts'
import { taggedAnswer } from '../answer-text.ts'
import { afterThinking } from '../math/reading/extraction.ts'

// Where in a completion its JSON stands. No search takes more steps than the text's length times the
// depth that is allowed.

export const JSON_PLACES = ['fenced', 'whole', 'anywhere'] as const

/**
 * `fenced`: the last block fenced by three backticks and `json`, or, where there is none, the whole text. `whole`: the whole text.
 * `anywhere`: as `fenced`, and where the whole text is no JSON, the last object or array in it (in its last 200,000 characters).
 */
export type JsonPlace = (typeof JSON_PLACES)[number]

/** Longer completions are not read. */
const MAX_TEXT = 1_000_000
/** An object or array among other text is looked for in so many of the last characters. */
const MAX_SEARCHED = 200_000
export const JSON_LIMITS = { depth: 64, values: 200_000 }

export type FoundJson = { value: unknown } | { fault: string }

/** The value of the JSON in a completion, thinking aside, or why there is none. */
export function findJson(completion: string, place: JsonPlace): FoundJson {
  if (completion.length > MAX_TEXT) return { fault: `longer than ${MAX_TEXT} characters` }
  const behind = afterThinking(completion)
  const text = taggedAnswer(behind) ?? behind
  const block = place === 'whole' ? undefined : lastBlock(text)
  if (block !== undefined) return 'fault' in block ? block : parseJson(block.text)
  const whole = parseJson(text)
  return 'fault' in whole && place === 'anywhere' ? (lastValue(text.slice(-MAX_SEARCHED)) ?? whole) : whole
}

/** Parses JSON of bounded depth and size. */
export function parseJson(text: string): FoundJson {
  const parsed = parseJsonBytes(Buffer.from(text), JSON_LIMITS)
  if ('value' in parsed) return parsed
  const { reason, expected } = parsed.fault
  return { fault: expected === undefined ? reason : `${reason}: ${expected}` }
}

/** The last block of a fence called json, as in Markdown; undefined where there is none. */
function lastBlock(text: string): { text: string } | { fault: string } | undefined {
  let found: { text: string } | { fault: string } | undefined
  let open: { fence: string; isJson: boolean; lines: string[] } | undefined
  for (const line of text.split('\n')) {
    const [, fence, label] = /^ {0,3}(`{3,})\s*([^`]{0,100})$/.exec(line) ?? []
    if (open === undefined) {
      if (fence !== undefined) open = { fence, isJson: /^json\s*$/i.test(label!), lines: [] }
    } else if (fence?.startsWith(open.fence) && label!.trim() === '') {
      if (open.isJson) found = { text: open.lines.join('\n') }
      open = undefined
    } else open.lines.push(line)
  }
  return open?.isJson ? { fault: 'a block of JSON that does not close' } : found
}

/** The last object or array that stands in a text and is JSON. */
function lastValue(text: string): { value: unknown } | undefined {
  let found: { value: unknown } | undefined
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== '{' && text[i] !== '[') continue
    const end = endOfBrackets(text, i)
    const parsed = end === undefined ? undefined : parseJson(text.slice(i, end))
    if (parsed === undefined || 'fault' in parsed) continue
    found = parsed
    i = end! - 1
  }
  return found
}

const [QUOTE, BACKSLASH, NEWLINE] = [0x22, 0x5c, 0x0a]

/** What a character means outside of strings: 1 opens, 2 closes, 3 is any other that JSON has there, 0 none. */
const MEANING = new Uint8Array(128)
for (const sign of ':,"0123456789+-.eEtrufalsn \t\r\n') MEANING[sign.charCodeAt(0)] = 3
for (const sign of '{[') MEANING[sign.charCodeAt(0)] = 1
for (const sign of '}]') MEANING[sign.charCodeAt(0)] = 2

/** Index behind the bracket that closes the one at `begin`; undefined as soon as this cannot be JSON of allowed depth. */
function endOfBrackets(text: string, begin: number): number | undefined {
  let depth = 0
  let isText = false
  for (let i = begin; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (isText) {
      if (code === BACKSLASH) i++
      else if (code === QUOTE) isText = false
      else if (code === NEWLINE) return undefined
      continue
    }
    const meaning = code < 128 ? MEANING[code] : 0
    if (meaning === 0) return undefined
    if (meaning === 1 && ++depth > JSON_LIMITS.depth) return undefined
    if (meaning === 2 && --depth === 0) return i + 1
    if (code === QUOTE) isText = true
  }
  return undefined
}
