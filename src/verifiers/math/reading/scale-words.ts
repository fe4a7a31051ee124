import { multiply, rational } from '../../rational.ts'
import type { NumberToken, Token } from './tokens.ts'

const SCALES: Readonly<Record<string, bigint>> = {
  hundred: 100n,
  thousand: 1000n,
  million: 10n ** 6n,
  billion: 10n ** 9n,
  trillion: 10n ** 12n,
}

/** Numbers with the word behind them multiplied in: `1.5 million dollars` becomes `1500000 dollars`. */
export function withScaleWords(tokens: readonly Token[]): Token[] {
  const joined: Token[] = []
  for (const token of tokens) {
    const last = joined.at(-1)
    const words = token.kind === 'word' || token.kind === 'text' ? token.text.trim().split(/\s+/) : []
    const scale = Object.hasOwn(SCALES, words[0] ?? '') ? SCALES[words[0]!] : undefined
    if (last?.kind !== 'number' || scale === undefined) {
      joined.push(token)
      continue
    }
    // Exact: `1.5 million` is rounded to no places.
    const { text, value, spaced } = last
    const scaled: NumberToken = {
      kind: 'number',
      text: `${text} ${words[0]}`,
      value: multiply(value, rational(scale)),
      spaced,
    }
    joined[joined.length - 1] = scaled
    if (words.length > 1) joined.push({ ...token, text: words.slice(1).join(' ') } as Token)
  }
  return joined
}
