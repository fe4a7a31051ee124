import type { Rational } from '../../rational.ts'
import type { ValueAnswer } from '../answer.ts'
import { Unreadable, type WorkBudget } from '../budget.ts'
import { integer, type Node, product, variablesOf } from '../tree.ts'
import { Parser } from './parser.ts'
import { isSymbol } from './token-groups.ts'
import type { Token } from './tokens.ts'
import { currencyOf, isUnit, ratePer, readUnit } from './units.ts'

/** Reads an expression to the end of the tokens; throws `Unreadable`. Runs of letters are products of variables. */
export function readNode(tokens: readonly Token[], budget: WorkBudget): Node {
  const parser = new Parser(tokens, budget, { splitsWords: true })
  const node = parser.sum()
  if (!parser.isAtEnd) throw new Unreadable('something behind the expression')
  return node
}

/**
 * Reads a number or an expression with a percent sign, a currency or a unit; throws `Unreadable`. A letter in `variables`
 * (those of the reference) is never a unit.
 */
export function readValue(
  tokens: readonly Token[],
  variables: ReadonlySet<string>,
  budget: WorkBudget,
): ValueAnswer {
  const money = withoutCurrency(tokens)
  if (money !== undefined) {
    if (withoutCurrency(money.rest) !== undefined) throw new Unreadable('two currencies')
    const inner = readValue(money.rest, variables, budget)
    const unit = currencyOf(money.sign)!
    if (inner.unit === undefined) return { ...inner, unit }
    // `$5 dollars` says it twice, `$5 per day` is a rate.
    if (inner.unit.dimensions === unit.dimensions) return inner
    const rate = ratePer(unit, inner.unit)
    if (rate === undefined) throw new Unreadable('two units')
    return { ...inner, unit: rate }
  }
  if (isPercentSign(tokens.at(-1))) {
    if (isPercentSign(tokens.at(-2))) throw new Unreadable('two percent signs')
    return { ...readValue(tokens.slice(0, -1), variables, budget), isPercent: true }
  }
  const parts = degreesAndMinutes(tokens)
  if (parts !== undefined) return { kind: 'value', node: parts, isPercent: false, ...degrees(budget) }
  const angle = withoutDegrees(tokens)
  if (angle !== undefined) {
    return { kind: 'value', node: readNode(angle, budget), isPercent: false, ...degrees(budget) }
  }
  const parser = new Parser(tokens, budget, {
    splitsWords: false,
    stopsAtUnits: (place) => isUnitTail(tokens, place, variables),
  })
  let node: Node
  try {
    node = parser.sum()
  } catch (error) {
    if (!(error instanceof Unreadable)) throw error
    return { kind: 'value', node: readNode(tokens, budget), isPercent: false }
  }
  if (parser.isAtEnd) return { kind: 'value', node, isPercent: false }
  const rest = tokens.slice(parser.place)
  const compound = readCompound(tokens, rest, variables, budget)
  if (compound !== undefined) return compound
  const expression = attempt(() => readNode(tokens, budget))
  if (expression !== undefined && [...variablesOf(expression)].every((name) => variables.has(name))) {
    return { kind: 'value', node: expression, isPercent: false }
  }
  const unit = readUnit(rest, budget)
  const first = rest[0]!
  const isNoun = first.kind === 'word' && first.spaced && first.text.length > 2
  const isKnown = first.kind === 'text' || isUnit(first.text)
  if (unit !== undefined && (isKnown || isNoun || expression === undefined)) {
    if (variablesOf(node).size > 0 && !isKnown) throw new Unreadable('words behind an expression')
    return { kind: 'value', node, isPercent: false, unit }
  }
  if (expression === undefined) throw new Unreadable('something behind the expression')
  return { kind: 'value', node: expression, isPercent: false }
}

/** `1 hour 30 minutes` as one quantity, in base units. */
function readCompound(
  tokens: readonly Token[],
  rest: readonly Token[],
  variables: ReadonlySet<string>,
  budget: WorkBudget,
): ValueAnswer | undefined {
  const at = rest.findIndex(
    (token, place) => place > 0 && token.kind === 'number' && rest[place - 1]!.kind !== 'symbol',
  )
  if (at === -1) return undefined
  const cut = tokens.length - rest.length + at
  const [head, tail] = [tokens.slice(0, cut), tokens.slice(cut)].map((part) =>
    attempt(() => readValue(part, variables, budget)),
  )
  return head && tail && sumOfQuantities([head, tail])
}

/** The sum of quantities of one dimension; undefined where one has no unit or another. */
export function sumOfQuantities(quantities: readonly ValueAnswer[]): ValueAnswer | undefined {
  const unit = quantities[0]?.unit
  if (unit === undefined) return undefined
  const terms: Node[] = []
  for (const quantity of quantities) {
    if (quantity.unit?.dimensions !== unit.dimensions) return undefined
    terms.push(product(quantity.node, quantity.unit.scale))
  }
  const node: Node = { kind: 'quotient', above: { kind: 'sum', terms }, below: unit.scale }
  return { kind: 'value', node, isPercent: false, unit }
}

export function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (error instanceof Unreadable) return undefined
    throw error
  }
}

function isPercentSign(token: Token | undefined): boolean {
  if (isSymbol(token, '%')) return true
  return (
    token !== undefined && token.kind !== 'symbol' && /^\s*(?:percent|per cent|\\?%)\s*$/i.test(token.text)
  )
}

function withoutCurrency(tokens: readonly Token[]): { rest: Token[]; sign: string } | undefined {
  const at = isSymbol(tokens[0], '-', '+') ? 1 : 0
  for (const place of [at, tokens.length - 1]) {
    const token = tokens[place]
    if (isSymbol(token, '$', '€', '£', '¥') && tokens.length > 1) {
      return { rest: tokens.filter((_, index) => index !== place), sign: token!.text }
    }
  }
  return undefined
}

/** The tokens before a degree sign at the end; undefined where it belongs to the argument of a function. */
function withoutDegrees(tokens: readonly Token[]): Token[] | undefined {
  if (tokens.some((token) => token.kind === 'function')) return undefined
  const end = isSymbol(tokens.at(-1), '}') && isSymbol(tokens.at(-2), '°') ? -1 : undefined
  const body = tokens.slice(0, end)
  if (!isSymbol(body.at(-1), '°')) return undefined
  const mark = end === undefined ? body.slice(0, -1) : body.slice(0, -2)
  const rest = isSymbol(mark.at(-1), '^') ? mark.slice(0, -1) : mark
  return rest.some((token) => isSymbol(token, '°')) || rest.length === 0 ? undefined : rest
}

/** `30^\circ 15'` and `30^\circ 15' 20''` in degrees; undefined for anything else. */
function degreesAndMinutes(tokens: readonly Token[]): Node | undefined {
  const [whole, sign, minutes, mark, ...rest] = tokens.filter((token) => !isSymbol(token, '^', '{', '}'))
  if (whole?.kind !== 'number' || !isSymbol(sign, '°')) return undefined
  if (minutes?.kind !== 'number' || !isSymbol(mark, "'")) return undefined
  const [seconds, ...marks] = rest
  const hasSeconds =
    seconds?.kind === 'number' && marks.length === 2 && marks.every((one) => isSymbol(one, "'"))
  if (seconds !== undefined && !hasSeconds) return undefined
  const part = (value: Rational, below: number): Node => {
    return { kind: 'quotient', above: { kind: 'number', value }, below: integer(below) }
  }
  const terms = [part(whole.value, 1), part(minutes.value, 60)]
  if (hasSeconds) terms.push(part(seconds.value, 3600))
  return { kind: 'sum', terms }
}

function degrees(budget: WorkBudget) {
  const unit = readUnit([{ kind: 'word', text: 'degrees', spaced: true }], budget)
  return unit === undefined ? {} : { unit }
}

/** Whether from `place` on there is nothing but a unit: `m`, `m/s^2`, set apart by a space or by upright type. */
function isUnitTail(tokens: readonly Token[], place: number, variables: ReadonlySet<string>): boolean {
  const token = tokens[place]!
  const before = tokens[place - 1]
  if (token.kind !== 'name' || variables.has(token.text) || !(token.spaced || token.upright)) return false
  if (before?.kind !== 'number' && !isSymbol(before, '}', ')')) return false
  return tokens
    .slice(place)
    .every(
      (part) =>
        part.kind === 'number' ||
        (part.kind === 'symbol'
          ? '/^*{}-'.includes(part.text)
          : part.kind !== 'function' && isUnit(part.text)),
    )
}
