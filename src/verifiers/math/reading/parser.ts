import { rational } from '../../rational.ts'
import { Unreadable, type WorkBudget } from '../budget.ts'
import { boundName, integer, type Node, product } from '../tree.ts'
import { mixedFraction } from './mixed-number.ts'
import { TokenCursor } from './token-cursor.ts'
import type { NumberToken, Token } from './tokens.ts'
import { SAME_FUNCTION, STOP_WORDS } from './vocabulary.ts'

/** Deeper nesting is not read: every later step walks the tree by recursion. */
const MAX_DEPTH = 100

/** Steps that a node costs the parser and whoever walks the tree after it. */
const NODE_STEPS = 20

export interface ParserOptions {
  /** Whether a run of letters such as `xy` is a product of variables; else it ends the expression. */
  splitsWords: boolean
  /** Whether a unit starts at this token, which ends the expression before it. */
  stopsAtUnits?: (place: number) => boolean
}

/** Reads an expression by recursive descent: LaTeX, plain text and mixtures of both. */
export class Parser extends TokenCursor {
  readonly #budget: WorkBudget
  readonly #options: ParserOptions
  #depth = 0
  /** Bars that are open: inside them a bar closes. */
  #bars = 0
  /** Letters of the sums and products around this place, and what they are called in the tree. */
  readonly #indices: { letter: string; name: string }[] = []

  constructor(tokens: readonly Token[], budget: WorkBudget, options: ParserOptions) {
    super(tokens)
    this.#budget = budget
    this.#options = options
  }

  /** Reads a sum; what follows it is left. Throws `Unreadable`. */
  sum(): Node {
    this.#enter()
    const terms: Node[] = []
    let sign = this.acceptSign() ?? '+'
    for (;;) {
      const term = this.#term()
      terms.push(sign === '-' ? { kind: 'negation', operand: term } : term)
      const next = this.acceptSign()
      if (next === undefined) break
      sign = next
    }
    this.#depth--
    return terms.length === 1 ? terms[0]! : { kind: 'sum', terms }
  }

  #enter(): void {
    this.#budget.spend(NODE_STEPS)
    if (++this.#depth > MAX_DEPTH) throw new Unreadable('nested too deeply')
  }

  #term(): Node {
    let left = this.#signed()
    for (;;) {
      this.#budget.spend(NODE_STEPS)
      if (this.accept('*')) left = product(left, this.#signed())
      else if (this.accept('/')) left = { kind: 'quotient', above: left, below: this.#signed() }
      else if (this.#startsFactor()) {
        const token = this.tokens[this.place]!
        const before = this.tokens[this.place - 1]
        const isAfterLetters = token.spaced && (before?.kind === 'name' || before?.kind === 'word')
        if (token.kind === 'number' && (before?.kind === 'number' || isAfterLetters))
          throw new Unreadable('two numbers side by side')
        left = product(left, this.#power())
      } else return left
    }
  }

  /** Whether what stands here multiplies what stood before without a sign between. */
  #startsFactor(): boolean {
    const token = this.tokens[this.place]
    if (token === undefined) return false
    if (token.kind === 'number' || token.kind === 'function') return true
    if (token.kind === 'name') return this.#options.stopsAtUnits?.(this.place) !== true
    if (token.kind === 'word') return this.#options.splitsWords
    if (token.kind === 'text') return false
    if (token.text === '|') return this.#bars === 0
    return ['(', '{', '[', 'frac', 'binom', '|(', '⌊', '⌈', '∑', '∏'].includes(token.text)
  }

  #signed(): Node {
    this.#enter()
    const sign = this.acceptSign()
    const node = sign === undefined ? this.#power() : this.#signed()
    this.#depth--
    return sign === '-' ? { kind: 'negation', operand: node } : node
  }

  #power(): Node {
    this.#enter()
    let base = this.#postfix(this.#primary())
    while (this.is('^')) {
      if (this.#acceptDegrees()) base = product(base, DEGREE)
      else {
        this.place++
        base = this.#postfix({ kind: 'power', base, exponent: this.#exponent() })
      }
    }
    if (this.accept('°')) base = product(base, DEGREE)
    this.#depth--
    return base
  }

  #acceptDegrees(): boolean {
    if (this.is('°', 1)) this.place += 2
    else if (this.is('{', 1) && this.is('°', 2) && this.is('}', 3)) this.place += 4
    else return false
    return true
  }

  #exponent(): Node {
    this.#enter()
    let node: Node
    const sign = this.acceptSign()
    if (sign !== undefined) {
      const operand = this.#exponent()
      node = sign === '-' ? { kind: 'negation', operand } : operand
    } else {
      node = this.#primary()
      if (this.is('^')) {
        this.place++
        node = { kind: 'power', base: node, exponent: this.#exponent() }
      }
    }
    this.#depth--
    return node
  }

  #postfix(node: Node): Node {
    let result = node
    while (this.accept('!')) result = { kind: 'call', name: 'factorial', operands: [result] }
    return result
  }

  #primary(): Node {
    this.#enter()
    const node = this.#readPrimary()
    this.#depth--
    return node
  }

  #readPrimary(): Node {
    const token = this.tokens[this.place]
    if (token === undefined) throw new Unreadable('it ends too early')
    this.place++
    if (token.kind === 'number') return this.#number(token)
    if (token.kind === 'function') return this.#call(token.text)
    if (token.kind === 'name') return this.#name(token.text)
    if (token.kind === 'word') {
      if (!this.#options.splitsWords || token.text.length > 4 || STOP_WORDS.has(token.text.toLowerCase()))
        throw new Unreadable(token.text)
      // Letter by letter, so that a power belongs to the last one alone.
      if (token.text.length > 1)
        this.tokens[--this.place] = { ...token, text: token.text.slice(1), spaced: false }
      return this.#name(token.text[0]!, token.text.length === 1)
    }
    if (token.kind === 'text') throw new Unreadable(token.text)
    switch (token.text) {
      case '(':
        return this.#closed(')')
      case '[':
        return this.#closed(']')
      case '{':
        return this.#closed('}')
      case '|(':
        return { kind: 'call', name: 'abs', operands: [this.#closed('|)')] }
      case '⌊':
        return { kind: 'call', name: 'floor', operands: [this.#closed('⌋')] }
      case '⌈':
        return { kind: 'call', name: 'ceil', operands: [this.#closed('⌉')] }
      case '|': {
        this.#bars++
        const operand = this.sum()
        this.#bars--
        this.expect('|')
        return { kind: 'call', name: 'abs', operands: [operand] }
      }
      case 'frac':
        return { kind: 'quotient', above: this.#argument(), below: this.#argument() }
      case 'binom':
        return { kind: 'call', name: 'binomial', operands: [this.#argument(), this.#argument()] }
      case '∑':
        return this.#series('sum')
      case '∏':
        return this.#series('product')
      default:
        throw new Unreadable(`${token.text} where a value should stand`)
    }
  }

  /** What follows `\sum`: limits, then a body as far as a product goes. Its index is named by depth, whatever its letter. */
  #series(operation: 'sum' | 'product'): Node {
    let lower: { letter: string; from: Node } | undefined
    let to: Node | undefined
    while (this.is('_') || this.is('^')) {
      if (this.accept('_')) lower = this.#lowerLimit()
      else {
        this.place++
        to = this.#exponent()
      }
    }
    if (lower === undefined || to === undefined) throw new Unreadable('a sum without limits')
    const index = boundName(this.#indices.length)
    this.#indices.push({ letter: lower.letter, name: index })
    const body = this.#term()
    this.#indices.pop()
    return { kind: 'series', operation, index, from: lower.from, to, body }
  }

  #lowerLimit(): { letter: string; from: Node } {
    this.expect('{')
    const token = this.tokens[this.place++]
    if (token?.kind !== 'name') throw new Unreadable('the index of a sum')
    this.expect('=')
    const from = this.sum()
    this.expect('}')
    return { letter: token.text, from }
  }

  #closed(symbol: string): Node {
    const bars = this.#bars
    this.#bars = 0
    const node = this.sum()
    this.#bars = bars
    this.expect(symbol)
    return node
  }

  #number(token: NumberToken): Node {
    if (this.is('_')) throw new Unreadable('a number with an index')
    const node: Node = { kind: 'number', value: token.value }
    if (token.places !== undefined) return { ...node, places: token.places, significant: token.significant! }
    if (!/^\d+$/.test(token.text)) return node
    const fraction = mixedFraction(this)
    return fraction === undefined ? node : { kind: 'sum', terms: [node, fraction] }
  }

  #name(name: string, isWhole = true): Node {
    let full = name
    if (isWhole && this.is('_')) {
      this.place++
      const index = this.#index()
      const bound = this.#indices.findLast(({ letter }) => letter === index)
      if (bound !== undefined) {
        return { kind: 'call', name: `${full}_`, operands: [{ kind: 'variable', name: bound.name }] }
      }
      full += `_${index}`
    }
    while (isWhole && this.accept("'")) full += "'"
    return this.#nameNode(full)
  }

  #nameNode(name: string): Node {
    const bound = this.#indices.findLast(({ letter }) => letter === name)
    if (bound !== undefined) return { kind: 'variable', name: bound.name }
    if (name === 'pi' || name === 'e' || name === 'i' || name === 'infinity')
      return { kind: 'constant', name }
    return { kind: 'variable', name }
  }

  #index(): string {
    if (!this.accept('{')) return this.tokens[this.place++]?.text ?? ''
    let text = ''
    for (let token = this.tokens[this.place++]; token !== undefined; token = this.tokens[this.place++]) {
      if (token.kind === 'symbol' && token.text === '}') return text
      text += token.text
    }
    throw new Unreadable('an index that does not close')
  }

  /** What a command takes: a group in braces, or one sign. */
  #argument(): Node {
    const token = this.tokens[this.place]
    if (token?.kind === 'number' && token.text.length > 1 && /^\d+$/.test(token.text)) {
      const [digit, rest] = [token.text[0]!, token.text.slice(1)]
      this.tokens[this.place] = { kind: 'number', text: rest, value: rational(BigInt(rest)), spaced: false }
      return integer(BigInt(digit))
    }
    if (token?.kind === 'word' && token.text.length > 1) {
      this.tokens[this.place] = { ...token, text: token.text.slice(1) }
      return this.#nameNode(token.text[0]!)
    }
    return this.#primary()
  }

  #call(written: string): Node {
    const name = Object.hasOwn(SAME_FUNCTION, written) ? SAME_FUNCTION[written]! : written
    if (name === 'sqrt') return this.#root()
    if (name === 'cbrt') return { kind: 'root', degree: 3, operand: this.#callOperands()[0]! }
    let base: Node | undefined
    if (name === 'log' && this.accept('_')) base = this.#argument()
    let power: Node | undefined
    if (this.is('^') && !this.is('°', 1)) {
      this.place++
      power = this.#exponent()
    }
    const operands = this.#callOperands()
    const isInverse = power !== undefined && isMinusOne(power)
    const call: Node = {
      kind: 'call',
      name: isInverse && /^(?:sin|cos|tan|cot|sec|csc|sinh|cosh|tanh)$/.test(name) ? `arc${name}` : name,
      operands: name === 'log' ? [operands[0]!, base ?? integer(10)] : operands,
    }
    if (power === undefined || call.name !== name) return call
    return { kind: 'power', base: call, exponent: power }
  }

  #root(): Node {
    let degree = 2
    if (this.is('[')) {
      const token = this.tokens[this.place + 1]
      if (token?.kind !== 'number' || !/^\d{1,3}$/.test(token.text) || !this.is(']', 2)) {
        throw new Unreadable('the degree of a root')
      }
      degree = Number(token.text)
      if (degree === 0) throw new Unreadable('the degree of a root')
      this.place += 3
    }
    return { kind: 'root', degree, operand: this.#argument() }
  }

  /** Operands in brackets, or the product that follows up to the next function, sign or sum. */
  #callOperands(): Node[] {
    this.#enter()
    const closing = this.is('(') ? ')' : this.is('{') ? '}' : this.is('[') ? ']' : undefined
    const operands: Node[] = []
    if (closing !== undefined) {
      this.place++
      const bars = this.#bars
      this.#bars = 0
      do operands.push(this.sum())
      while (this.accept(','))
      this.#bars = bars
      this.expect(closing)
    } else {
      let operand = this.#signed()
      while (this.#startsFactor() && this.tokens[this.place]?.kind !== 'function' && !this.is('(')) {
        operand = product(operand, this.#power())
      }
      operands.push(operand)
    }
    this.#depth--
    return operands
  }
}

const DEGREE: Node = { kind: 'quotient', above: { kind: 'constant', name: 'pi' }, below: integer(180) }

function isMinusOne(node: Node): boolean {
  return node.kind === 'negation' && node.operand.kind === 'number' && node.operand.value.numerator === 1n
}
