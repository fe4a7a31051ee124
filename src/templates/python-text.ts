// Python's notions of text where JavaScript's differ: templates are written for Python's Jinja.

/** What str.isspace accepts, as the inside of a character class: U+001C to U+001F and U+0085, but not U+FEFF. */
const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
const isSpace = new RegExp(`[${SPACE}]`)
/** What str.splitlines splits at. */
const LINE_ENDS = '\\n-\\r\\x1c-\\x1e\\x85\\u2028\\u2029'
const LINE_END = new RegExp(`\\r\\n|[${LINE_ENDS}]`)
const SPACES = new RegExp(`[${SPACE}]+`, 'g')

/** str.strip, lstrip or rstrip, of white space or of the given characters. */
export function strip(text: string, sides: 'both' | 'left' | 'right', characters?: string): string {
  const points = Array.from(text)
  const set = characters === undefined ? undefined : new Set(characters)
  const isStripped = (point: string) => (set === undefined ? isSpace.test(point) : set.has(point))
  let [begin, end] = [0, points.length]
  if (sides !== 'right') while (begin < end && isStripped(points[begin]!)) begin++
  if (sides !== 'left') while (end > begin && isStripped(points[end - 1]!)) end--
  return points.slice(begin, end).join('')
}

/** str.split: without a separator at runs of white space, empty pieces left out. */
export function split(text: string, separator: string | undefined, most = -1): string[] {
  if (separator === undefined) return splitAtSpace(text, most)
  if (separator === '') throw new Error('empty separator')
  const pieces = text.split(separator)
  if (most < 0 || pieces.length <= most + 1) return pieces
  return [...pieces.slice(0, most), pieces.slice(most).join(separator)]
}

function splitAtSpace(text: string, most: number): string[] {
  const pieces: string[] = []
  let rest = strip(text, 'left')
  while (rest !== '') {
    SPACES.lastIndex = 0
    const gap = most >= 0 && pieces.length >= most ? null : SPACES.exec(rest)
    if (gap === null) {
      pieces.push(rest)
      break
    }
    pieces.push(rest.slice(0, gap.index))
    rest = rest.slice(SPACES.lastIndex)
  }
  return pieces
}

/** str.capitalize and str.title, letter by letter. */
export function capitalize(text: string): string {
  const [first = '', ...others] = text
  return first.toUpperCase() + others.join('').toLowerCase()
}

export function title(text: string): string {
  return text.replace(/\p{L}+/gu, capitalize)
}

/** str.splitlines. */
export function lines(text: string): string[] {
  const pieces = text.split(LINE_END)
  if (pieces.at(-1) === '') pieces.pop()
  return pieces
}

/** A float as Python prints it: 1.0, 1e-07, 1e+16, inf. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  if (Object.is(value, -0)) return '-0.0'
  const size = Math.abs(value)
  if (value !== 0 && (size < 1e-4 || size >= 1e16)) {
    return value.toExponential().replace(/e([+-])(\d)$/, 'e$10$2')
  }
  const text = String(value)
  return /[.e]/.test(text) ? text : `${text}.0`
}

/** A string as Python's repr gives it. */
export function textRepr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const escapes: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }
  const inner = Array.from(text, (point) => {
    if (point === quote) return `\\${point}`
    const known = escapes[point]
    if (known !== undefined) return known
    if (!isPrintable.test(point)) return codeEscape(point.codePointAt(0)!)
    return point
  })
  return quote + inner.join('') + quote
}

const isPrintable = /^(?: |[^\p{C}\p{Z}])$/u

function codeEscape(code: number): string {
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, '0')}`
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, '0')}`
  return `\\U${code.toString(16).padStart(8, '0')}`
}
