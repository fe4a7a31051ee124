import type { Answer, EquationAnswer, ValueAnswer } from '../answer.ts'
import { TooLarge, Unreadable, type WorkBudget } from '../budget.ts'
import { complement, unionOf, wholeLine } from '../region.ts'
import { type Node, product, variablesOf } from '../tree.ts'
import { readDate, readTime } from './calendar.ts'
import { type Environment, environmentOf, splitCondition, withoutIf } from './environments.ts'
import { isAlgebraic, labelOf, nameOf } from './names.ts'
import { textKey, toLatex } from './plain-text.ts'
import { attempt, readNode, readValue, sumOfQuantities } from './read-value.ts'
import { withScaleWords } from './scale-words.ts'
import { isEnclosed, isSymbol, placesOf, splitAt } from './token-groups.ts'
import { type Token, type TokenOptions, tokenize } from './tokens.ts'

export interface ReadOptions extends TokenOptions {
  /** The reference's variables: these letters are not units. */
  variables?: ReadonlySet<string>
  /** Whether a ratio is asked for: then `12:16` is no time of day, and `3 to 4` is a ratio. Default false. */
  isRatio?: boolean
}

const RELATIONS = ['=', '<', '>', '<=', '>=', '!=', '≈', '∈']
const MAX_ITEMS = 100
/** The empty set in words, as `textKey` has them. */
const NO_SOLUTION = /^(?:no(?:real)?solutions?|(?:the)?emptyset)$/

/** Reads what an answer says; text where it is no mathematics. */
export function readAnswer(text: string, budget: WorkBudget, options: ReadOptions = {}): Answer {
  const { variables = new Set(), isRatio = false } = options
  const moment = isRatio ? undefined : momentOf(text)
  if (moment !== undefined) return moment
  try {
    const tokens = withScaleWords(tokenize(toLatex(text), budget, options))
    return new Reader(budget, variables).read(isRatio ? withColons(tokens) : tokens)
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    if (NO_SOLUTION.test(textKey(text))) return { kind: 'list', items: [], joiner: 'braces' }
    return { kind: 'text', text, isProse: isProse(text) }
  }
}

function momentOf(text: string): Answer | undefined {
  const date = readDate(text)
  if (date !== undefined) return { kind: 'moment', key: date }
  const time = /:\d\d|[ap]\.?m|noon|midnight/i.test(text) ? readTime(text) : undefined
  return time === undefined ? undefined : { kind: 'moment', key: `${time} s` }
}

/** How sentences start and answers do not. */
const SPEAKERS: ReadonlySet<string> = new Set(
  'i we it this there let so thus hence therefore since because cannot sorry'.split(' '),
)

/** Notation that is compared as it is written. */
const CALCULUS = /\\(?:i?i?int|oint|lim|equiv|partial|nabla|[pb]?mod)(?![a-zA-Z])/

function isBalanced(text: string): boolean {
  let depth = 0
  for (const sign of text.replaceAll(/\\./g, '')) {
    if (sign === '{') depth++
    if (sign === '}' && --depth < 0) return false
  }
  return depth === 0
}

/** Whether it reads like a sentence, or like notation that broke, rather than like an answer in words. */
function isProse(text: string): boolean {
  if (CALCULUS.test(text) && isBalanced(text)) return false
  const plain = text.replaceAll(
    /\\(?:text(?:bf|it|rm)?|mathrm|mathbf|mbox|quad|left|right)(?![a-zA-Z])|\\[,;: !]|[{}$]/g,
    ' ',
  )
  if (/^\s*-?[0-9A-F.]+_\s*\w+\s*$/.test(plain)) return false
  const words = plain.match(/[A-Za-z\u00c0-\u024f']+/g) ?? []
  if (words.length > 2 && SPEAKERS.has(words[0]!.toLowerCase())) return true
  if (words.length > 2 && /\d/.test(plain)) return true
  return words.length === 0 || words.length > 5 || /[\\=+*^_<>|[\]]/.test(plain)
}

class Reader {
  readonly #budget: WorkBudget
  readonly #variables: ReadonlySet<string>
  #depth = 0

  constructor(budget: WorkBudget, variables: ReadonlySet<string>) {
    this.#budget = budget
    this.#variables = variables
  }

  read(given: readonly Token[]): Answer {
    this.#budget.spend(10 + given.length)
    if (++this.#depth > 20) throw new Unreadable('nested too deeply')
    let tokens = [...given]
    while (isSymbol(tokens.at(-1), '.', ',', ';')) tokens.pop()
    while (isSymbol(tokens[0], '≈', ':', '=') || isAbout(tokens[0])) tokens = tokens.slice(1)
    if (tokens.length === 0) throw new Unreadable('nothing')
    const answer = this.#list(tokens) ?? this.#shape(tokens)
    this.#depth--
    return answer
  }

  #list(tokens: readonly Token[]): Answer | undefined {
    const isSeparator = (token: Token) => isSymbol(token, ',', ';', 'and', 'or')
    const separators = placesOf(tokens, isSeparator).map((place) => tokens[place]!.text)
    if (separators.length === 0) return undefined
    if (separators.length > MAX_ITEMS) throw new TooLarge('too large to decide')
    const parts = splitAt(tokens, isSeparator).filter((part) => part.length > 0)
    const joiner = separators.includes('or') ? 'or' : separators.includes('and') ? 'and' : ','
    const items = parts.map(
      (part): Answer =>
        // `1, 2, ..., 10` is a list whose middle nobody knows.
        part.every((token) => isSymbol(token, '…', '.'))
          ? { kind: 'text', text: '...', isProse: false }
          : this.read(part),
    )
    if (joiner === 'and' && items.every((item): item is ValueAnswer => item.kind === 'value')) {
      const sum = items[0]!.unit?.scale !== items[1]?.unit?.scale ? sumOfQuantities(items) : undefined
      if (sum !== undefined && separators.length === 1) return sum
    }
    return { kind: 'list', items: withoutNames(items), joiner }
  }

  #shape(tokens: readonly Token[]): Answer {
    const unions = splitAt(tokens, (token) => isSymbol(token, '∪'))
    const relations = placesOf(tokens, (token) => isSymbol(token, ...RELATIONS))
    if (relations.length > 0) return this.#relation(tokens, relations)
    if (unions.length > 1) return unionOf(unions.map((part) => this.read(part)))
    const difference = splitAt(tokens, (token) => isSymbol(token, '∖'))
    if (difference.length === 2 && isReals(difference[0]!)) return complement(this.read(difference[1]!))
    if (isReals(tokens)) return wholeLine()
    if (tokens.length === 1 && isSymbol(tokens[0], '∅')) return { kind: 'list', items: [], joiner: 'braces' }
    if (isEnclosed(tokens)) {
      const enclosed = this.#enclosed(tokens)
      if (enclosed !== undefined) return enclosed
    }
    const environment = environmentOf(tokens)
    if (environment !== undefined) {
      return environment.name === 'cases' ? this.#cases(environment) : this.#matrix(environment)
    }
    const variants = signVariants(tokens)
    if (variants !== undefined) {
      return { kind: 'list', items: variants.map((variant) => this.read(variant)), joiner: 'or' }
    }
    const ratio = splitAt(tokens, (token) => isSymbol(token, ':'))
    if (ratio.length > 1 && ratio.length < 6) {
      return { kind: 'ratio', parts: ratio.map((part) => readNode(part, this.#budget)) }
    }
    if (
      tokens.every(isLetters) &&
      tokens.some((token) => (token.kind === 'word' || token.kind === 'text') && !isAlgebraic(token))
    ) {
      throw new Unreadable('words')
    }
    return readValue(tokens, this.#variables, this.#budget)
  }

  /** Sets, tuples, intervals; undefined for brackets around one value. */
  #enclosed(tokens: readonly Token[]): Answer | undefined {
    const [open, close] = [tokens[0]!.text, tokens.at(-1)!.text]
    const inner = tokens.slice(1, -1)
    const isComma = (token: Token) => isSymbol(token, ',', ';')
    const commas = placesOf(inner, isComma).length
    if (commas > MAX_ITEMS) throw new TooLarge('too large to decide')
    if (open === '\\{' || (open === '{' && commas > 0)) {
      if (inner.length === 0) return { kind: 'list', items: [], joiner: 'braces' }
      const bar = placesOf(inner, (token) => isSymbol(token, '|', ':'))[0]
      if (
        bar !== undefined &&
        bar < 4 &&
        placesOf(inner, (token) => isSymbol(token, ...RELATIONS)).length > 0
      ) {
        return this.read(inner.slice(bar + 1))
      }
      const items = splitAt(inner, isComma).flatMap((part) => {
        const item = this.read(part)
        return item.kind === 'list' && item.joiner !== 'braces' ? item.items : [item]
      })
      return { kind: 'list', items, joiner: 'braces' }
    }
    if (open === '{') return this.read(inner)
    if (!'([⟨'.includes(open) || (commas === 0 && open !== '⟨')) {
      return undefined
    }
    const items = splitAt(inner, isComma).map((part) => this.read(part))
    return { kind: 'tuple', items, brackets: open + close }
  }

  #relation(tokens: readonly Token[], places: readonly number[]): Answer {
    const operators = places.map((place) => tokens[place]!.text)
    const sides = splitAt(tokens, (token) => isSymbol(token, ...RELATIONS))
    if (operators[0] === '∈' && operators.length === 1) return this.read(sides[1]!)
    const rounded = operators.indexOf('≈')
    if (rounded !== -1) {
      const before = tokens.slice(0, places[rounded]!)
      return rounded === 0 && nameOf(before) !== undefined
        ? this.read(tokens.slice(places[0]! + 1))
        : this.read(before)
    }
    if (operators.every((operator) => operator === '=')) return this.#equation(sides)
    const nodes = sides.map((side) => readNode(side, this.#budget))
    if (operators.includes('=') || (operators.includes('!=') && operators.length > 1)) {
      throw new Unreadable('a mixed chain of relations')
    }
    return { kind: 'inequality', sides: nodes, operators }
  }

  #equation(sides: readonly Token[][]): Answer {
    const [first, second] = [sides[0]!, sides.at(-1)!]
    const name = nameOf(first) ?? labelOf(first)
    if (sides.length > 2) {
      const values = sides.slice(name === undefined ? 0 : 1).map((side) => this.read(side))
      const nodes = values.map((value) => (value.kind === 'value' ? value.node : undefined))
      const [left, right] = [nodes[0], nodes.at(-1)]
      // A chain ends in its result; whether the links hold is the comparison's matter.
      const value = values.at(-1)!
      return left && right
        ? { kind: 'equation', name: name ?? '', value, left, right, isChain: true }
        : { kind: 'equation', name: name ?? '', value }
    }
    const answer: EquationAnswer = { kind: 'equation' }
    const [left, right] = [first, second].map((side) => attempt(() => readNode(side, this.#budget)))
    if (left !== undefined && right !== undefined) Object.assign(answer, { left, right })
    if (name !== undefined) return { ...answer, name, value: this.read(second) }
    const behind = nameOf(second)
    if (behind !== undefined) return { ...answer, name: behind, value: this.read(first) }
    if (left && right && variablesOf(left).size + variablesOf(right).size === 0) {
      return { ...answer, name: '', value: this.read(second), isChain: true }
    }
    if (answer.left === undefined) throw new Unreadable('an equation without expressions')
    return answer
  }

  /** A matrix, perhaps with a factor before it; one of a single column is a vector. */
  #matrix({ before, rows }: Environment): Answer {
    const factor = before.length === 0 ? undefined : readNode(before, this.#budget)
    const nodes = rows.map((row) =>
      row.map((cell): Node => {
        const node = readNode(cell, this.#budget)
        return factor === undefined ? node : product(factor, node)
      }),
    )
    if (nodes.some((row) => row.length !== nodes[0]!.length))
      throw new Unreadable('rows of different lengths')
    if (nodes[0]!.length > 1) return { kind: 'matrix', rows: nodes }
    const items = nodes.map(([node]): Answer => ({ kind: 'value', node: node!, isPercent: false }))
    return { kind: 'tuple', items, brackets: '|' }
  }

  /** A function by cases: in each row a value and its condition. */
  #cases({ before, rows }: Environment): Answer {
    if (before.length > 0) throw new Unreadable('something before the cases')
    const cases = rows.map((row) => {
      const [value, condition] = row.length === 1 ? splitCondition(row[0]!) : row
      if (row.length > 2 || value === undefined) throw new Unreadable('a row of cases')
      return { value: this.read(value), condition: this.#condition(condition ?? []) }
    })
    return { kind: 'cases', cases }
  }

  #condition(tokens: readonly Token[]): Answer {
    const rest = withoutIf(tokens)
    const text = rest.map((token) => token.text.trim()).join(' ')
    if (/^(?:|otherwise|else)$/i.test(text)) return { kind: 'text', text: 'otherwise', isProse: false }
    return attempt(() => this.read(rest)) ?? { kind: 'text', text, isProse: false }
  }
}

/** `x = 1 or x = 2` and `x = 1, 2` are lists of values. */
function withoutNames(items: readonly Answer[]): Answer[] {
  const flat = items.flatMap((item) =>
    item.kind === 'list' && item.joiner !== 'braces' ? item.items : [item],
  )
  const first = flat[0]
  if (first?.kind !== 'equation' || first.value === undefined) return flat
  const isList = flat.every((item, index) =>
    item.kind === 'equation'
      ? item.name === first.name && item.value !== undefined
      : index > 0 && item.kind === 'value',
  )
  if (!isList) return flat
  return flat.flatMap((item) => {
    const value = item.kind === 'equation' ? item.value! : item
    return value.kind === 'list' && value.joiner !== 'braces' ? value.items : [value]
  })
}

/** What a careful writer puts before a value that is rounded. */
function isAbout(token: Token | undefined): boolean {
  const isWord = token?.kind === 'word' || token?.kind === 'text'
  return isWord && /^\s*(?:approximately|about|roughly)\s*$/i.test(token.text)
}

/** With a colon for each `to`. */
function withColons(tokens: readonly Token[]): Token[] {
  return tokens.map((token) =>
    token.kind !== 'symbol' && token.text.trim() === 'to' ? { ...token, kind: 'symbol', text: ':' } : token,
  )
}

function isLetters({ kind, text }: Token): boolean {
  return kind === 'word' || kind === 'text' || kind === 'name' || /^[',!?]$/.test(text)
}

function isReals(tokens: readonly Token[]): boolean {
  const [first] = tokens
  if (tokens.length === 1 && first!.kind === 'name') return first!.text === 'ℝ'
  const words = tokens.map(({ text }) => text.trim().toLowerCase()).join(' ')
  return words === 'all real numbers' || words === 'all reals'
}

/** The readings of a text with plus-minus signs: two where the signs go together, else every choice. */
function signVariants(tokens: readonly Token[]): Token[][] | undefined {
  const places = tokens.flatMap((token, place) => (isSymbol(token, '±', '∓') ? [place] : []))
  if (places.length === 0) return undefined
  if (places.length > 3) throw new Unreadable('too many signs')
  const goTogether = places.some((place) => tokens[place]!.text === '∓')
  const variants: Token[][] = []
  for (let choice = 0; choice < 2 ** (goTogether ? 1 : places.length); choice++) {
    const variant = [...tokens]
    for (const [index, place] of places.entries()) {
      const isMinus = ((choice >> (goTogether ? 0 : index)) & 1) === 1
      const flips = tokens[place]!.text === '∓'
      variant[place] = { ...tokens[place]!, text: isMinus !== flips ? '-' : '+' } as Token
    }
    variants.push(variant)
  }
  return variants
}
