import { type Rational, rational } from '../../rational.ts'
import { powerOfInteger, Unreadable, type WorkBudget } from '../budget.ts'
import { COMMANDS, FUNCTIONS, GREEK, LOOKS, PLAIN_WORDS, TEXTS } from './vocabulary.ts'

export type Token =
  | NumberToken
  /** One variable or constant: a letter, or a Greek letter's name. */
  | { kind: 'name'; text: string; spaced: boolean; upright?: boolean }
  /** A run of letters that is no function: `cm`, `xy`, `apples`. */
  | { kind: 'word'; text: string; spaced: boolean }
  /** What stands in `\text{...}` and its like. */
  | { kind: 'text'; text: string; spaced: boolean }
  | { kind: 'function'; text: string; spaced: boolean }
  /** Operators, brackets and separators, each with one spelling: `<=` for `\leq`. */
  | { kind: 'symbol'; text: string; spaced: boolean }

export interface NumberToken {
  kind: 'number'
  /** As written, separators of thousands left out. */
  text: string
  value: Rational
  places?: number
  significant?: number
  /** Whether white space stands before it. */
  spaced: boolean
}

const PAIRS: readonly string[] = ['<=', '>=', '!=', '**', '==', '\\\\']

const isDigit = (sign: string | undefined) => sign !== undefined && sign >= '0' && sign <= '9'
const isLetter = (sign: string | undefined) => sign !== undefined && /^[a-zA-Z]$/.test(sign)

export interface TokenOptions {
  /** Whether `1,234` outside of brackets is one number. Default true. */
  joinsThousands?: boolean
}

/** Cuts a text into tokens, in one pass; throws `Unreadable` at a command or a sign that means nothing here. */
export function tokenize(
  text: string,
  budget: WorkBudget,
  { joinsThousands = true }: TokenOptions = {},
): Token[] {
  const tokens: Token[] = []
  let place = 0
  let depth = 0
  let spaced = false
  budget.spend(4 * text.length)
  const dollars = text.replaceAll('\\$', '').split('$').length - 1
  const symbol = (sign: string) => tokens.push({ kind: 'symbol', text: sign, spaced })

  /** What stands in the braces at `place`; the one sign there where there are no braces. */
  function group(): string {
    while (text[place] === ' ') place++
    if (text[place] !== '{') return text[place++] ?? ''
    const start = ++place
    for (let open = 1; place < text.length; place++) {
      if (text[place] === '{') open++
      if (text[place] === '}' && --open === 0) return text.slice(start, place++)
    }
    throw new Unreadable('braces that do not close')
  }

  function command(): void {
    const start = ++place
    while (isLetter(text[place])) place++
    const name = text.slice(start, place)
    if (name === '') {
      const sign = text[place++] ?? ''
      if (sign === '\\') symbol('\\\\')
      else if (sign === '{' || sign === '}') {
        depth += sign === '{' ? 1 : -1
        symbol(`\\${sign}`)
      } else if (sign === '%') symbol('%')
      else if (sign === '$') symbol('$')
      else if (sign === '|') symbol('|')
      else if (',;: !'.includes(sign)) {
        if (sign !== '!') spaced = true
        return
      } else if ('()[]&#_'.includes(sign)) {
        if ('()'.includes(sign)) return
        if (sign === '&') symbol('&')
        return
      } else throw new Unreadable(`\\${sign}`)
    } else if (TEXTS.has(name)) {
      textGroup(group())
    } else if (LOOKS.has(name)) {
      // `\left.` opens nothing.
      if ((name === 'left' || name === 'right') && text[place] === '.') place++
      if (name.endsWith('quad')) spaced = true
      return
    } else if (FUNCTIONS.has(name)) tokens.push({ kind: 'function', text: name, spaced })
    else if (GREEK.has(name))
      tokens.push({ kind: 'name', text: name === 'infty' ? 'infinity' : name, spaced })
    else if (name === 'mathbb' || name === 'mathcal') {
      const letter = group().trim()
      tokens.push({ kind: 'name', text: letter === 'R' ? 'ℝ' : `${name}${letter}`, spaced })
    } else if (name === 'overline' || name === 'bar') overline()
    else {
      const sign = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
      if (sign === undefined) throw new Unreadable(`\\${name}`)
      if ('⟨'.includes(sign) || sign === 'begin') depth++
      if ('⟩'.includes(sign) || sign === 'end') depth--
      if (sign !== '') symbol(sign)
      if (sign === 'begin' || sign === 'end') tokens.push({ kind: 'text', text: group(), spaced })
    }
    spaced = false
  }

  /** What stands in `\text{...}`: a letter, a sign, a function, a number, else words. */
  function textGroup(content: string): void {
    const word = content.trim()
    // The joiner of a list may hide in the text beside it: `2\text{ hours and }15\text{ minutes}`.
    const [, before, inner, behind] = /^(?:(and|or)\s)?(.*?)(?:\s(and|or))?$/s.exec(word)!
    if (before !== undefined || behind !== undefined) {
      if (before !== undefined) symbol(before)
      textGroup(inner!)
      if (behind !== undefined) symbol(behind)
    } else if (word.length === 1 && isLetter(word))
      tokens.push({ kind: 'name', text: word, spaced, upright: true })
    else if (word === '$' || word === '\\$') symbol('$')
    else if (isFunctionHere(word)) tokens.push({ kind: 'function', text: word, spaced })
    else if (word === 'and' || word === 'or') symbol(word)
    else if (word === ',' || word === ';') symbol(word)
    else if (/^[-+]?\d/.test(word)) {
      // `\text{3 or 4}` hides no list.
      spaced = true
      if (depth > 20) throw new Unreadable('nested too deeply')
      tokens.push(...tokenize(word, budget, { joinsThousands }))
    } else if (word !== '') tokens.push({ kind: 'text', text: content, spaced })
  }

  /** `0.1\overline{6}` goes on for ever. */
  function overline(): void {
    const digits = group().trim()
    const last = tokens.at(-1)
    if (last?.kind !== 'number' || !/^\d{1,50}$/.test(digits) || last.text.includes('e')) {
      throw new Unreadable('\\overline')
    }
    const places = last.text.includes('.') ? last.text.length - last.text.indexOf('.') - 1 : 0
    if (places === 0 && !last.text.endsWith('.')) throw new Unreadable('\\overline')
    const { numerator, denominator } = last.value
    const repeating = 10n ** BigInt(digits.length) - 1n
    const scale = 10n ** BigInt(places)
    const value = rational(
      numerator * scale * repeating + BigInt(digits) * denominator,
      denominator * scale * repeating,
    )
    tokens[tokens.length - 1] = {
      kind: 'number',
      text: `${last.text}(${digits})`,
      value,
      spaced: last.spaced,
    }
  }

  /** Minutes and seconds have the names of functions; those have an operand behind them. */
  function isFunctionHere(word: string): boolean {
    if (word !== 'min' && word !== 'sec') return FUNCTIONS.has(word)
    return (
      tokens.at(-1)?.kind !== 'number' && /^\s{0,9}[a-zA-Z0-9(\\{[^|]/.test(text.slice(place, place + 10))
    )
  }

  /** Whether exactly three digits stand at `at`. */
  const isTriple = (at: number) =>
    isDigit(text[at]) && isDigit(text[at + 1]) && isDigit(text[at + 2]) && !isDigit(text[at + 3])

  function number(): void {
    let digits = ''
    while (isDigit(text[place])) digits += text[place++]
    if (digits !== '' && digits.length <= 3 && digits !== '0') {
      const first = digits
      const separators = joinsThousands
        ? depth === 0
          ? ['{,}', ',\\!', '\\,', '\\ ', ' ', ',']
          : ['{,}', ',\\!', '\\,']
        : ['{,}', ',\\!']
      const used = separators.find((mark) => text.startsWith(mark, place) && isTriple(place + mark.length))
      if (used !== undefined && first[0] !== '0') {
        while (text.startsWith(used, place) && isTriple(place + used.length)) {
          digits += text.slice(place + used.length, place + used.length + 3)
          place += used.length + 3
        }
      }
    }
    let decimals = ''
    const hasPoint =
      text[place] === '.' &&
      (isDigit(text[place + 1]) ||
        text.startsWith('\\overline', place + 1) ||
        text.startsWith('\\bar', place + 1))
    if (hasPoint) {
      place++
      while (isDigit(text[place])) decimals += text[place++]
    }
    let exponent = 0
    let written = ''
    const tail = /^[eE]([-+]?\d{1,7})(?![\d.a-zA-Z])/.exec(text.slice(place, place + 12))
    if (tail !== null && digits + decimals !== '') {
      exponent = Number(tail[1])
      written = tail[0].toLowerCase()
      place += tail[0].length
    }
    const all = BigInt(digits + decimals)
    const power = exponent - decimals.length
    const scale = powerOfInteger(10n, Math.abs(power), budget)
    const token: NumberToken = {
      kind: 'number',
      text: hasPoint ? `${digits}.${decimals}${written}` : digits + written,
      value: power < 0 ? rational(all, scale) : rational(all * scale),
      spaced,
    }
    if (decimals !== '') {
      token.places = Math.max(0, -power)
      token.significant = (digits + decimals).replace(/^0+/, '').length
    }
    tokens.push(token)
  }

  function letters(): void {
    const start = place
    while (isLetter(text[place])) place++
    const run = text.slice(start, place)
    for (const part of splitRun(run)) {
      const plain = Object.hasOwn(PLAIN_WORDS, part.toLowerCase())
        ? PLAIN_WORDS[part.toLowerCase()]
        : undefined
      if (part.length === 1) tokens.push({ kind: 'name', text: part, spaced })
      else if (isFunctionHere(part)) tokens.push({ kind: 'function', text: part, spaced })
      else if (plain !== undefined) tokens.push({ kind: 'name', text: plain, spaced })
      else if (part === 'and' || part === 'or') symbol(part)
      else if (part === 'U' && depth === 0) symbol('∪')
      else tokens.push({ kind: 'word', text: part, spaced })
      spaced = false
    }
  }

  while (place < text.length) {
    const sign = text[place]!
    if (sign === ' ' || sign === '\n' || sign === '\t' || sign === '\r' || sign === '~') {
      place++
      spaced = true
      continue
    }
    if (sign === '\\') {
      command()
      continue
    }
    if (isDigit(sign) || (sign === '.' && isDigit(text[place + 1]))) number()
    else if (isLetter(sign)) letters()
    else if (sign === '$') {
      place++
      // An odd one out is money; pairs are the marks around mathematics.
      if (dollars % 2 === 1) symbol('$')
      else continue
    } else if (PAIRS.includes(text.slice(place, place + 2))) {
      const pair = text.slice(place, place + 2)
      symbol(pair === '**' ? '^' : pair === '==' ? '=' : pair)
      place += 2
    } else if ("+-*/^_!%=<>()[]{}|,;:&'€£¥.".includes(sign)) {
      if (sign === '(' || sign === '[') depth++
      if (sign === ')' || sign === ']') depth--
      symbol(sign)
      place++
    } else if (sign === '"' || sign === '`') {
      place++
      continue
    } else throw new Unreadable(sign)
    spaced = false
  }
  return tokens
}

/** `xcos` is x and cos, `sinx` sin and x; other runs stay whole. */
function splitRun(run: string): string[] {
  if (run.length < 3 || FUNCTIONS.has(run)) return [run]
  for (let length = Math.min(7, run.length - 1); length >= 2; length--) {
    const [head, tail] = [run.slice(0, length), run.slice(length)]
    if (FUNCTIONS.has(head) && tail.length === 1) return [head, tail]
    const [front, back] = [run.slice(0, -length), run.slice(-length)]
    if ((FUNCTIONS.has(back) || back === 'pi') && front.length === 1) return [front, back]
  }
  return [run]
}
