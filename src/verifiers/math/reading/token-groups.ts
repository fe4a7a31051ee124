import type { Token } from './tokens.ts'

// Cutting token lists at the top level, outside of every bracket.

const OPENING: ReadonlySet<string> = new Set(['(', '[', '{', '\\{', '⟨', '|(', '⌊', '⌈', 'begin'])
const CLOSING: ReadonlySet<string> = new Set([')', ']', '}', '\\}', '⟩', '|)', '⌋', '⌉', 'end'])

export function isSymbol(token: Token | undefined, ...texts: string[]): boolean {
  return token?.kind === 'symbol' && texts.includes(token.text)
}

/** The places of top-level tokens that pass the test. */
export function placesOf(tokens: readonly Token[], test: (token: Token) => boolean): number[] {
  const places: number[] = []
  let depth = 0
  for (const [place, token] of tokens.entries()) {
    const symbol = token.kind === 'symbol' ? token.text : ''
    if (CLOSING.has(symbol)) depth--
    if (depth === 0 && !OPENING.has(symbol) && !CLOSING.has(symbol) && test(token)) places.push(place)
    if (OPENING.has(symbol)) depth++
  }
  return places
}

/** What stands between the top-level tokens that pass the test. */
export function splitAt(tokens: readonly Token[], test: (token: Token) => boolean): Token[][] {
  const parts: Token[][] = []
  let start = 0
  for (const place of placesOf(tokens, test)) {
    parts.push(tokens.slice(start, place))
    start = place + 1
  }
  parts.push(tokens.slice(start))
  return parts
}

/** Whether the first token opens a bracket that the last one closes. */
export function isEnclosed(tokens: readonly Token[]): boolean {
  if (tokens.length < 2 || tokens[0]!.kind !== 'symbol' || !OPENING.has(tokens[0]!.text)) return false
  let depth = 0
  for (const [place, token] of tokens.entries()) {
    if (token.kind !== 'symbol') continue
    if (OPENING.has(token.text)) depth++
    if (CLOSING.has(token.text) && --depth === 0) return place === tokens.length - 1
  }
  return false
}
