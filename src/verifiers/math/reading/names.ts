import { isEnclosed, isSymbol } from './token-groups.ts'
import type { Token } from './tokens.ts'

// What stands to the left of an equation's sign: names and labels.

/** The name that stands alone, with an index, a prime or its arguments: `x`, `x_1`, `f(x)`. */
export function nameOf(tokens: readonly Token[]): string | undefined {
  const [first, ...rest] = tokens
  if (first?.kind !== 'name' || first.text === 'i' || first.text === 'e' || first.text === 'infinity')
    return undefined
  if (first.text === 'pi') return undefined
  if (rest.length === 0) return first.text
  const text = rest.map((token) => token.text).join('')
  return /^(?:_\{?[A-Za-z0-9]+\}?|_\w+)?(?:\^\{?-1\}?)?'*(?:\(\w+(?:,\w+)*\))?$/.test(text)
    ? first.text + text.replaceAll(/[{}]/g, '')
    : undefined
}

/** A label in words (`Area`), of points (`AB`, `\angle ABC`), or names in brackets (`(x, y)`). */
export function labelOf(tokens: readonly Token[]): string | undefined {
  const text = tokens.map((token) => token.text).join(' ')
  const isWords = tokens.every(({ kind }) => kind === 'word' || kind === 'text')
  // Letters that name points are no product.
  if (tokens.length === 1 && isWords && /^[A-Z]{2,4}$/.test(text)) return text
  const figure = tokens[isMeasure(tokens[0]) ? 1 : 0]
  if (isSymbol(figure, '∠', '△') && tokens.slice(1).every(isPoints)) return text
  const isNames =
    isEnclosed(tokens) &&
    tokens.length > 3 &&
    tokens
      .slice(1, -1)
      .every((token, index) => (index % 2 === 0 ? token.kind === 'name' : isSymbol(token, ',')))
  if (/^frac \{ d\w* \} \{ d\w+ \}$/.test(text)) return text
  return (isWords && !tokens.some(isAlgebraic)) || isNames ? text : undefined
}

/** A run of letters that is rather a product of variables than a word. */
export function isAlgebraic({ kind, text }: Token): boolean {
  if (kind === 'word' && /^(?:no|yes|ok|up|on)$/i.test(text)) return false
  return kind === 'word' && (text.length === 2 || (text.length === 3 && !/[aeiou]/i.test(text.slice(1))))
}

function isMeasure(token: Token | undefined): boolean {
  return token?.kind === 'name' && token.text === 'm'
}

function isPoints(token: Token): boolean {
  return token.kind === 'name' || token.kind === 'word' || isSymbol(token, '∠', '△', '_', "'")
}
