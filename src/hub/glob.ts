import { CoppiceError } from '../errors.ts'

const MAX_PATTERN = 1024
const MAX_ALTERNATIVES = 64
/** Comparisons that one pattern may take; over a hundred thousand paths an honest one takes some millions. */
const MAX_STEPS = 50_000_000

type Spend = () => void

/**
 * The paths that a pattern of a data set's card means: `*` and `?` within a name, `**` for any folders, `[abc]`, `{a,b}`. Matched
 * step by step, not by regular expressions made from it: a pattern from elsewhere could keep those busy for ever.
 */
export function matchingPaths(pattern: string, paths: readonly string[], where: string): string[] {
  const tooMuch = (what: string, most: number) =>
    new CoppiceError('DATA_CORRUPT', `a pattern ${what}`, { where, expected: `at most ${most}` })
  if (pattern.length > MAX_PATTERN) throw tooMuch('of too many characters', MAX_PATTERN)
  const plain = pattern.replace(/^(?:\.\/)+/, '')
  if (!/[*?[{]/.test(plain)) return paths.filter((path) => path === plain)
  const alternatives = expandBraces(plain).map((text) => text.split('/'))
  if (alternatives.length > MAX_ALTERNATIVES) throw tooMuch('of too many alternatives', MAX_ALTERNATIVES)
  let left = MAX_STEPS
  const spend = () => {
    if (--left < 0) throw tooMuch('that takes too long to match', MAX_STEPS)
  }
  return paths.filter((path) => {
    const names = path.split('/')
    return alternatives.some((parts) => matchParts(parts, names, spend))
  })
}

/** `a{b,c}` as `ab` and `ac`; stops early where there are too many. */
function expandBraces(pattern: string): string[] {
  const open: string[] = [pattern]
  const done: string[] = []
  for (let text = open.pop(); text !== undefined; text = open.pop()) {
    const braces = /\{([^{}]*)\}/.exec(text)
    if (braces === null) done.push(text)
    else {
      const [whole, inner = ''] = braces
      for (const choice of inner.split(',')) {
        open.push(text.slice(0, braces.index) + choice + text.slice(braces.index + whole.length))
      }
    }
    if (open.length + done.length > MAX_ALTERNATIVES) return [...open, ...done]
  }
  return done
}

function matchParts(parts: readonly string[], names: readonly string[], spend: Spend): boolean {
  const matches = (part: string, name: string) => matchName(part, name, spend)
  return matchList(parts, names, (part) => part === '**', matches, spend)
}

function matchName(pattern: string, name: string, spend: Spend): boolean {
  const symbols = pattern.match(/\[!?\]?[^\]]*\]|[\s\S]/g) ?? []
  return matchList(symbols, [...name], (symbol) => symbol === '*', matchSymbol, spend)
}

function matchSymbol(symbol: string, character: string): boolean {
  if (symbol === '?') return true
  if (symbol.length < 3 || !symbol.startsWith('[')) return symbol === character
  const isNegated = symbol[1] === '!'
  const inner = symbol.slice(isNegated ? 2 : 1, -1)
  let isIn = false
  for (let i = 0; i < inner.length; i++) {
    const isRange = inner[i + 1] === '-' && i + 2 < inner.length
    const last = isRange ? inner[i + 2]! : inner[i]!
    if (inner[i]! <= character && character <= last) isIn = true
    if (isRange) i += 2
  }
  return isIn !== isNegated
}

/** The usual matching with one step back: to the last wild element, which then takes one more. */
function matchList(
  pattern: readonly string[],
  text: readonly string[],
  isWild: (element: string) => boolean,
  matches: (element: string, item: string) => boolean,
  spend: Spend,
): boolean {
  let p = 0
  let t = 0
  let wildAt = -1
  let wildTook = 0
  while (t < text.length) {
    spend()
    const element = pattern[p]
    if (element !== undefined && isWild(element)) {
      wildAt = p++
      wildTook = t
    } else if (element !== undefined && matches(element, text[t]!)) {
      p++
      t++
    } else if (wildAt >= 0) {
      p = wildAt + 1
      t = ++wildTook
    } else return false
  }
  return pattern.slice(p).every(isWild)
}
