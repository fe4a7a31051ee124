import { Unreadable } from '../budget.ts'
import { isSymbol, splitAt } from './token-groups.ts'
import type { Token } from './tokens.ts'

const NAMES: ReadonlySet<string> = new Set([
  ...['pmatrix', 'bmatrix', 'matrix', 'Bmatrix', 'smallmatrix', 'array'],
  ...['cases', 'dcases', 'rcases'],
])

/** What stands between `\begin` and `\end`, in rows and cells, and what stands before it. */
export interface Environment {
  name: 'cases' | 'matrix'
  before: readonly Token[]
  rows: readonly (readonly (readonly Token[])[])[]
}

/** The environment that the tokens end in; undefined where there is none, `Unreadable` where it is another or broken. */
export function environmentOf(tokens: readonly Token[]): Environment | undefined {
  const start = tokens.findIndex((token) => isSymbol(token, 'begin'))
  if (start === -1) return undefined
  // Brackets around an array belong to it.
  const isBracketed = start > 0 && isSymbol(tokens[start - 1], '(', '[') && isSymbol(tokens.at(-1), ')', ']')
  const end = tokens.length - (isBracketed ? 3 : 2)
  const name = tokens[start + 1]?.text ?? ''
  if (!NAMES.has(name) || !isSymbol(tokens[end], 'end') || tokens[end + 1]?.text !== name) {
    throw new Unreadable('an environment')
  }
  let body = tokens.slice(start + 2, end)
  if (name === 'array' && isSymbol(body[0], '{')) {
    body = body.slice(body.findIndex((token) => isSymbol(token, '}')) + 1)
  }
  const rows = splitAt(body, (token) => isSymbol(token, '\\\\'))
    .filter((row) => row.length > 0)
    .map((row) => splitAt(row, (token) => isSymbol(token, '&')))
  if (rows.length === 0) throw new Unreadable('an empty environment')
  const before = tokens.slice(0, isBracketed ? start - 1 : start)
  return { name: name.endsWith('cases') ? 'cases' : 'matrix', before, rows }
}

const IF = /^\s*(?:if|for|when|where|as)\b\s*/i

/** A row of cases without `&` at its word, `x \text{ if } x > 0`; all in the first where there is none. */
export function splitCondition(row: readonly Token[]): [Token[], Token[]] {
  const at = row.findIndex(
    ({ kind, text }) => isWords(kind) && (IF.test(text) || /^\s*otherwise/i.test(text)),
  )
  return at === -1 ? [[...row], []] : [row.slice(0, at), row.slice(at)]
}

/** A condition without the word that announces it. */
export function withoutIf(tokens: readonly Token[]): Token[] {
  const [first, ...rest] = tokens
  if (first === undefined || !isWords(first.kind) || !IF.test(first.text)) return [...tokens]
  const text = first.text.replace(IF, '')
  return text === '' ? rest : [{ ...first, text } as Token, ...rest]
}

function isWords(kind: Token['kind']): boolean {
  return kind === 'word' || kind === 'text'
}
