import { Unreadable } from '../budget.ts'
import type { NumberToken, Token } from './tokens.ts'

/** A place in a list of tokens, and what every reader asks there. */
export class TokenCursor {
  place = 0
  /** A copy, so that a reader may cut a token in two. */
  protected readonly tokens: Token[]

  constructor(tokens: readonly Token[]) {
    this.tokens = [...tokens]
  }

  get isAtEnd(): boolean {
    return this.place >= this.tokens.length
  }

  is(symbol: string, ahead = 0): boolean {
    const token = this.tokens[this.place + ahead]
    return token?.kind === 'symbol' && token.text === symbol
  }

  accept(symbol: string): boolean {
    if (!this.is(symbol)) return false
    this.place++
    return true
  }

  expect(symbol: string): void {
    if (!this.accept(symbol)) throw new Unreadable(`no ${symbol}`)
  }

  acceptSign(): '+' | '-' | undefined {
    if (this.accept('+')) return '+'
    return this.accept('-') ? '-' : undefined
  }

  /** The number written with digits alone that stands so far ahead. */
  digitsAt(ahead: number): NumberToken | undefined {
    const token = this.tokens[this.place + ahead]
    return token?.kind === 'number' && /^\d+$/.test(token.text) ? token : undefined
  }
}
