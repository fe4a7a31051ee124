import { multiply, rational } from '../rational.ts'
import type { Answer, CasesAnswer, EquationAnswer, Piece, TupleAnswer, ValueAnswer } from './answer.ts'
import type { WorkBudget } from './budget.ts'
import { textKey } from './reading/plain-text.ts'
import { areSameRegions, intersection, piecesOf, variableOf } from './region.ts'
import { decimalOf, difference, integer, type Node, product, variablesOf } from './tree.ts'
import { Comparer } from './values/same-value.ts'

/** How strictly answers are compared; see docs/grading.md. */
export interface ComparisonOptions {
  /** Whether a bare number may stand for a percentage: `50%` for 0.5 and 50 (`either`), or for 0.5 alone (`exact`). */
  percent: 'either' | 'exact'
  /** Whether a bare number may stand for a quantity. */
  units: 'optional' | 'required'
  /** Whether the order of a tuple's parts counts. */
  tuples: 'ordered' | 'unordered'
}

/** Compares a response with the reference, which decides what kind of thing is asked for. */
export class AnswerComparison {
  readonly #comparer: Comparer
  readonly #options: ComparisonOptions

  constructor(options: ComparisonOptions, budget: WorkBudget) {
    this.#comparer = new Comparer(budget)
    this.#options = options
  }

  areSame(reference: Answer, response: Answer): boolean {
    if (reference.kind === 'equation' && response.kind === 'equation')
      return this.#equations(reference, response)
    if (response.kind === 'equation') {
      return this.#holds(response) && response.value !== undefined && this.areSame(reference, response.value)
    }
    if (reference.kind === 'equation') {
      return reference.value !== undefined && this.areSame(reference.value, response)
    }
    if (reference.kind === 'moment' || reference.kind === 'text') return this.#texts(reference, response)
    if (reference.kind === 'value' && response.kind === 'value') return this.#values(reference, response)
    if (reference.kind === 'tuple' && response.kind === 'tuple') {
      const verdict = this.#tuples(reference, response)
      if (verdict) return true
    }
    if (reference.kind === 'tuple' && response.kind === 'list')
      return this.#inOrder(reference.items, valuesByName(response.items))
    if (reference.kind === 'list' && response.kind === 'tuple') {
      if (this.#inOrder(valuesByName(reference.items), response.items)) return true
    }
    if (reference.kind === 'cases') return this.#cases(reference, response)
    if (reference.kind === 'matrix' || reference.kind === 'ratio') return this.#tables(reference, response)
    if (reference.kind === 'inequality' && response.kind === 'inequality') {
      const verdict = this.#inequalities(
        reference.sides,
        reference.operators,
        response.sides,
        response.operators,
      )
      if (verdict !== undefined) return verdict
    }
    const regions = this.#regions(reference, response)
    if (regions !== undefined) return regions
    if (reference.kind === 'list')
      return this.#lists(reference.items, response.kind === 'list' ? response.items : [response])
    if (response.kind === 'list' && reference.kind === 'value') {
      // A list of candidates is no answer to a question for one value, unless it says one value twice.
      return response.items.length > 0 && this.#lists([reference], response.items)
    }
    return false
  }

  #texts(reference: Answer, response: Answer): boolean {
    if (reference.kind === 'moment') return response.kind === 'moment' && reference.key === response.key
    return (
      reference.kind === 'text' &&
      response.kind === 'text' &&
      textKey(reference.text) === textKey(response.text)
    )
  }

  #values(reference: ValueAnswer, response: ValueAnswer): boolean {
    const [unit, other] = [reference.unit, response.unit]
    let given = response.node
    if (unit !== undefined && other !== undefined) {
      if (unit.dimensions !== other.dimensions) return false
      // An equal scale is left alone, so that the response keeps its decimals for the rounding rule.
      if (!this.#comparer.areSame(unit.scale, other.scale)) {
        given = product(given, { kind: 'quotient', above: other.scale, below: unit.scale })
      }
    } else if (unit !== other && this.#options.units === 'required') return false
    // A share has no unit: 40% is not 40 dollars.
    if (reference.isPercent ? other !== undefined : response.isPercent && unit !== undefined) return false
    if (reference.isPercent === response.isPercent) return this.#comparer.matches(reference.node, given)
    if (this.#comparer.matches(reference.node, shifted(given, reference.isPercent ? 2 : -2))) return true
    return this.#options.percent === 'either' && this.#comparer.matches(reference.node, given)
  }

  #tuples(reference: TupleAnswer, response: TupleAnswer): boolean {
    if (reference.items.length !== response.items.length) return false
    if (!haveSameBrackets(reference, response)) return false
    if (this.#options.tuples === 'unordered') return this.#lists(reference.items, response.items)
    return this.#inOrder(reference.items, response.items)
  }

  #inOrder(reference: readonly Answer[] | undefined, response: readonly Answer[] | undefined): boolean {
    if (reference?.length !== response?.length) return false
    return reference?.every((item, index) => this.areSame(item, response![index]!)) ?? false
  }

  #tables(reference: Answer, response: Answer): boolean {
    if (reference.kind === 'ratio') {
      if (response.kind !== 'ratio' || response.parts.length !== reference.parts.length) return false
      const [first, other] = [reference.parts[0]!, response.parts[0]!]
      return reference.parts.every((part, index) =>
        this.#comparer.areSame(product(part, other), product(response.parts[index]!, first)),
      )
    }
    if (reference.kind !== 'matrix' || response.kind !== 'matrix') return false
    const { rows } = reference
    return (
      rows.length === response.rows.length &&
      rows[0]!.length === response.rows[0]!.length &&
      rows.every((row, i) => row.every((node, j) => this.#comparer.matches(node, response.rows[i]![j]!)))
    )
  }

  #cases({ cases }: CasesAnswer, response: Answer): boolean {
    if (response.kind !== 'cases' || response.cases.length !== cases.length) return false
    const rest = [...response.cases]
    return cases.every(({ value, condition }) => {
      const at = rest.findIndex(
        (other) => this.areSame(condition, other.condition) && this.areSame(value, other.value),
      )
      if (at !== -1) rest.splice(at, 1)
      return at !== -1
    })
  }

  /** Equality as sets: each has its like on the other side. */
  #lists(reference: readonly Answer[], response: readonly Answer[]): boolean {
    if (reference.length === 0 || response.length === 0) return reference.length === response.length
    const met = new Set<number>()
    for (const item of response) {
      const before = met.size
      for (const [index, asked] of reference.entries()) {
        if (this.areSame(asked, item)) met.add(index)
        else continue
        break
      }
      if (
        met.size === before &&
        !reference.some((asked, index) => met.has(index) && this.areSame(asked, item))
      ) {
        return false
      }
    }
    // The reference may repeat itself, too.
    return reference.every(
      (asked, index) => met.has(index) || response.some((item) => this.areSame(asked, item)),
    )
  }

  #equations(reference: EquationAnswer, response: EquationAnswer): boolean {
    if (!this.#holds(response)) return false
    if (reference.value !== undefined && response.value !== undefined) {
      const isNamed = reference.name === response.name || isLabel(reference.name!) || isLabel(response.name!)
      if (isNamed && this.areSame(reference.value, response.value)) return true
    }
    if (!reference.left || !reference.right || !response.left || !response.right) return false
    if (response.isChain || reference.isChain) return false
    const [a, b] = [difference(reference.left, reference.right), difference(response.left, response.right)]
    return this.#comparer.proportion(a, b) !== 0
  }

  /** Whether a chain of numbers, `2 + 3 = 5`, is true; what holds variables may be said under conditions. */
  #holds({ isChain, left, right }: EquationAnswer): boolean {
    if (!isChain || left === undefined || right === undefined) return true
    if (variablesOf(left).size + variablesOf(right).size > 0) return true
    return this.#comparer.areSame(left, right)
  }

  #inequalities(
    asked: readonly Node[],
    askedOperators: readonly string[],
    given: readonly Node[],
    givenOperators: readonly string[],
  ): boolean | undefined {
    if (asked.length !== 2 || given.length !== 2) return undefined
    const [operator, other] = [askedOperators[0]!, givenOperators[0]!]
    const a = difference(asked[0]!, asked[1]!)
    const b = difference(given[0]!, given[1]!)
    const sign = this.#comparer.proportion(a, b)
    if (sign === 0) return undefined
    if (operator === '!=' || other === '!=') return operator === other
    return operator.length === other.length && (sign === 1) === (operator[0] === other[0])
  }

  #regions(reference: Answer, response: Answer): boolean | undefined {
    if (reference.kind === 'value' || response.kind === 'value') return undefined
    // Two lists of points are for the comparison as sets.
    if (isPointList(reference) && isPointList(response)) return undefined
    const [name, other] = [variableOf(reference), variableOf(response)]
    if (name !== undefined && other !== undefined && name !== other) return false
    const [asked, given] = [this.#pieces(reference), this.#pieces(response)]
    return asked && given && areSameRegions(asked, given, this.#comparer)
  }

  #pieces(answer: Answer): readonly Piece[] | undefined {
    if (answer.kind !== 'list' || answer.joiner === 'or' || answer.joiner === 'braces')
      return piecesOf(answer)
    const sets = answer.items.map((item) => piecesOf(item))
    if (sets.includes(undefined) || answer.items.some(({ kind }) => kind === 'tuple')) return undefined
    const common = intersection(
      sets.map((set) => set!),
      this.#comparer,
    )
    // `x < -1, x > 1` with nothing in common can only mean both.
    return answer.joiner === ',' && common?.length === 0 ? sets.flatMap((set) => set!) : common
  }
}

function isPointList(answer: Answer): boolean {
  return (
    answer.kind === 'list' &&
    answer.items.every(({ kind }) => kind === 'value' || kind === 'tuple' || kind === 'text')
  )
}

/** Points and vectors in any notation; but square brackets around two numbers are an interval. */
function haveSameBrackets(a: TupleAnswer, b: TupleAnswer): boolean {
  if (a.brackets === b.brackets) return true
  const isPlain = ({ brackets, items }: TupleAnswer) =>
    brackets === '()' || brackets === '⟨⟩' || brackets === '|' || (brackets === '[]' && items.length > 2)
  if (isPlain(a) && isPlain(b)) return true
  return a.brackets === '|' ? b.brackets === '[]' : b.brackets === '|' && a.brackets === '[]'
}

function isLabel(name: string): boolean {
  // A derivative is no name for the function itself, and one angle is not another.
  if (/^frac|[∠△]/.test(name)) return false
  return name === '' || name.includes(' ') || /^[A-Z]?[a-z]{3,}$/.test(name) || name.includes('(')
}

/** `x = 1, y = 2` as the parts of `(1, 2)`, where the names stand in the alphabet's order, each once. */
function valuesByName(items: readonly Answer[]): Answer[] | undefined {
  const values: Answer[] = []
  let last = ''
  for (const item of items) {
    if (item.kind !== 'equation' || item.value === undefined || !item.name || item.name <= last)
      return undefined
    last = item.name
    values.push(item.value)
  }
  return values
}

/** The value times a power of ten; a decimal stays one. */
function shifted(node: Node, places: 2 | -2): Node {
  const decimal = decimalOf(node)
  const factor = places === 2 ? rational(100n) : rational(1n, 100n)
  if (decimal === undefined || node.kind !== 'number') {
    if (node.kind === 'negation') return { kind: 'negation', operand: shifted(node.operand, places) }
    return places === 2 ? product(node, integer(100)) : { kind: 'quotient', above: node, below: integer(100) }
  }
  const value = multiply(node.value, factor)
  return {
    kind: 'number',
    value,
    places: Math.max(0, decimal.places - places),
    significant: decimal.significant,
  }
}
