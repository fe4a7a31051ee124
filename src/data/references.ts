import { describeValue } from '../errors.ts'
import type { RowFault } from './read-row.ts'

/** How a reference is taken from its column: as it is, from the last `\boxed{}`, or from behind `####`. */
export type ReferenceForm = 'plain' | 'boxed' | 'hashes'

/** An answer that a solution leads up to is short; what is longer, or has lines, is a solution without its answer. */
const LONGEST_BARE_ANSWER = 200

/** The text that a verifier is to compare with. */
export function referenceOf(
  value: unknown,
  { column, form }: { column: string; form: ReferenceForm },
): { text: string } | { fault: RowFault } {
  const text = scalarText(value)
  if (text === undefined) {
    const reason = `no reference in '${column}'`
    return { fault: { reason, expected: 'a text or a number', received: describeValue(value) } }
  }
  if (form === 'plain') return { text }
  if (form === 'boxed') {
    const boxed = lastBoxed(text)
    return boxed === undefined
      ? { fault: { reason: 'a solution without an answer', expected: 'a last \\boxed{...} that closes' } }
      : { text: boxed.trim() }
  }
  const hashes = text.lastIndexOf('####')
  if (hashes !== -1) return { text: text.slice(hashes + 4).trim() }
  if (text.length <= LONGEST_BARE_ANSWER && !text.includes('\n')) return { text }
  return {
    fault: { reason: 'an answer without ####', expected: 'the reference behind ####, or nothing else' },
  }
}

/** Texts and numbers as text; a list of one is that one. Undefined for all else. */
export function scalarText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return String(value)
  return Array.isArray(value) && value.length === 1 && !Array.isArray(value[0])
    ? scalarText(value[0])
    : undefined
}

/** What stands in the last `\boxed{...}` (or `\boxed x`), inner braces included. */
function lastBoxed(text: string): string | undefined {
  const start = text.lastIndexOf('\\boxed')
  if (start === -1) return undefined
  let begin = start + '\\boxed'.length
  while (text[begin] === ' ') begin++
  if (text[begin] !== '{') return /^[^\s$\\{}]+/.exec(text.slice(begin, begin + LONGEST_BARE_ANSWER))?.[0]
  let depth = 0
  for (let i = begin; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '{') depth++
    else if (text[i] === '}' && --depth === 0) return text.slice(begin + 1, i)
  }
  return undefined
}
