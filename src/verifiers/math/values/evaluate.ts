import { TooLarge, Undefined, Unreadable, type WorkBudget } from '../budget.ts'
import type { Node, SeriesNode } from '../tree.ts'
import { Calculator, Decimal, ONE, PI, type Value, ZERO } from './decimals.ts'

/** Terms of a sum that are added. */
const MAX_TERMS = 1000

/** What the variables stand for. */
export type Point = ReadonlyMap<string, Value>

/** Evaluates trees with 70 digits; throws `Undefined` where there is no value and `TooLarge` where it takes too long. */
export class Evaluator {
  readonly #calculator: Calculator
  readonly #budget: WorkBudget

  constructor(budget: WorkBudget) {
    this.#budget = budget
    this.#calculator = new Calculator(budget)
  }

  value(node: Node, point: Point): Value {
    const calculator = this.#calculator
    this.#budget.spend(5)
    switch (node.kind) {
      case 'number':
        return calculator.quotient(node.value.numerator, node.value.denominator)
      case 'variable': {
        const value = point.get(node.name)
        if (value === undefined) throw new Unreadable(node.name)
        return value
      }
      case 'constant':
        if (node.name === 'infinity') throw new Undefined('infinity')
        if (node.name === 'i') return { re: ZERO, im: ONE, scale: 0 }
        return calculator.real(node.name === 'pi' ? PI : E)
      case 'sum':
        return node.terms.map((term) => this.value(term, point)).reduce((a, b) => calculator.add(a, b))
      case 'product':
        return node.factors
          .map((factor) => this.value(factor, point))
          .reduce((a, b) => calculator.multiply(a, b))
      case 'negation':
        return calculator.negate(this.value(node.operand, point))
      case 'quotient':
        return this.#over(this.value(node.above, point), this.value(node.below, point))
      case 'power':
        return this.#power(node.base, node.exponent, point)
      case 'root':
        return calculator.root(this.value(node.operand, point), node.degree)
      case 'call':
        return this.#call(
          node.name,
          node.operands.map((operand) => this.value(operand, point)),
        )
      case 'series':
        return this.#series(node, point)
    }
  }

  /** Has a value between whole limits only. */
  #series({ operation, index, from, to, body }: SeriesNode, point: Point): Value {
    const calculator = this.#calculator
    const [first, last] = [from, to].map((limit) => {
      const { re, im } = this.value(limit, point)
      if (!im.isZero() || !re.isInteger()) throw new Undefined('a limit of a sum')
      if (re.abs().gt(Number.MAX_SAFE_INTEGER)) throw new TooLarge('too large to decide')
      return re.toNumber()
    }) as [number, number]
    if (last - first >= MAX_TERMS) throw new TooLarge('too large to decide')
    let result = calculator.real(operation === 'sum' ? ZERO : ONE)
    for (let value = first; value <= last; value++) {
      const inner = new Map(point).set(index, calculator.real(new Decimal(value)))
      const term = this.value(body, inner)
      result = operation === 'sum' ? calculator.add(result, term) : calculator.multiply(result, term)
    }
    return result
  }

  #over(above: Value, below: Value): Value {
    return this.#calculator.multiply(above, this.#calculator.inverse(below))
  }

  #power(base: Node, exponent: Node, point: Point): Value {
    const value = this.value(base, point)
    const degree = oddDegree(exponent)
    // x^{1/3} of a negative number is its real root.
    if (degree !== undefined && value.im.isZero() && value.re.lt(0)) {
      return this.#calculator.wholePower(this.#calculator.root(value, degree[1]), degree[0])
    }
    if (base.kind === 'constant' && base.name === 'e')
      return this.#calculator.exp(this.value(exponent, point))
    return this.#calculator.power(value, this.value(exponent, point))
  }

  #call(name: string, values: readonly Value[]): Value {
    const calculator = this.#calculator
    const [a, b] = values as [Value, Value | undefined]
    const one = calculator.real(ONE)
    const half = (value: Value) => calculator.quotientOf(value, 2)
    switch (name) {
      case 'sin':
        return calculator.sin(a)
      case 'cos':
        return calculator.cos(a)
      case 'tan':
        return this.#over(calculator.sin(a), calculator.cos(a))
      case 'cot':
        return this.#over(calculator.cos(a), calculator.sin(a))
      case 'sec':
        return calculator.inverse(calculator.cos(a))
      case 'csc':
        return calculator.inverse(calculator.sin(a))
      case 'sinh':
        return half(
          calculator.add(calculator.exp(a), calculator.negate(calculator.exp(calculator.negate(a)))),
        )
      case 'cosh':
        return half(calculator.add(calculator.exp(a), calculator.exp(calculator.negate(a))))
      case 'tanh':
        return this.#over(this.#call('sinh', [a]), this.#call('cosh', [a]))
      case 'coth':
        return this.#over(this.#call('cosh', [a]), this.#call('sinh', [a]))
      case 'sech':
        return calculator.inverse(this.#call('cosh', [a]))
      case 'csch':
        return calculator.inverse(this.#call('sinh', [a]))
      case 'arcsin':
        return calculator.arcsine(a)
      case 'arccos':
        return calculator.arccosine(a)
      case 'arctan':
        return calculator.arctangent(a)
      case 'arccot':
        return calculator.add(calculator.real(PI.div(2)), calculator.negate(calculator.arctangent(a)))
      case 'arcsec':
        return calculator.arccosine(calculator.inverse(a))
      case 'arccsc':
        return calculator.arcsine(calculator.inverse(a))
      case 'arcsinh': {
        const root = calculator.root(calculator.add(calculator.multiply(a, a), one), 2)
        return calculator.log(calculator.add(a, root))
      }
      case 'arccosh': {
        const root = calculator.root(calculator.add(calculator.multiply(a, a), calculator.negate(one)), 2)
        return calculator.log(calculator.add(a, root))
      }
      case 'arctanh':
        return half(
          calculator.log(this.#over(calculator.add(one, a), calculator.add(one, calculator.negate(a)))),
        )
      case 'ln':
        return calculator.log(a)
      case 'log':
        return this.#over(calculator.log(a), calculator.log(b!))
      case 'exp':
        return calculator.exp(a)
      case 'abs':
        return this.#absolute(a)
      case 'factorial':
        return this.#factorial(a)
      case 'binomial':
        return this.#over(
          this.#factorial(a),
          calculator.multiply(this.#factorial(b!), this.#factorial(calculator.add(a, calculator.negate(b!)))),
        )
      case 'floor':
      case 'ceil':
        if (!a.im.isZero()) throw new Undefined(name)
        // A value this close to a whole number may stand on either side of it.
        if (!a.re.isInteger() && a.re.minus(a.re.round()).abs().lt('1e-40')) {
          return calculator.real(a.re.round())
        }
        return calculator.real(name === 'floor' ? a.re.floor() : a.re.ceil())
      case 'max':
      case 'min':
        if (values.some((value) => !value.im.isZero())) throw new Undefined(name)
        return values.reduce((x, y) => ((name === 'max' ? y.re.gt(x.re) : y.re.lt(x.re)) ? y : x))
      default:
        throw new Undefined(name)
    }
  }

  #absolute(a: Value): Value {
    if (a.im.isZero()) return { re: a.re.abs(), im: ZERO, scale: a.scale }
    const size = a.re.times(a.re).plus(a.im.times(a.im)).sqrt()
    return { re: size, im: ZERO, scale: Math.max(a.scale, size.e) }
  }

  /** Of whole numbers up to 300 only. */
  #factorial(a: Value): Value {
    if (!a.im.isZero() || !a.re.isInteger() || a.re.lt(0)) throw new Undefined('a factorial')
    if (a.re.gt(300)) throw new TooLarge('too large to decide')
    let product = ONE
    for (let factor = 2; factor <= a.re.toNumber(); factor++) {
      this.#budget.spend(12)
      product = product.times(factor)
    }
    return this.#calculator.real(product)
  }
}

const E: Decimal = Decimal.exp(1)

/** `[p, q]` for an exponent written as p/q with odd q. */
function oddDegree(exponent: Node): [number, number] | undefined {
  if (exponent.kind === 'negation') {
    const inner = oddDegree(exponent.operand)
    return inner && [-inner[0], inner[1]]
  }
  if (exponent.kind !== 'quotient') return undefined
  const { above, below } = exponent
  if (above.kind !== 'number' || below.kind !== 'number') return undefined
  const [p, q] = [above.value, below.value]
  if (p.denominator !== 1n || q.denominator !== 1n || q.numerator % 2n === 0n) return undefined
  if (p.numerator > 1000n || q.numerator > 99n) return undefined
  return [Number(p.numerator), Number(q.numerator)]
}
