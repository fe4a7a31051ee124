import { TooLarge, Undefined, type WorkBudget } from '../budget.ts'
import { decimalOf, type Node, someNode, variablesOf } from '../tree.ts'
import { Algebra } from './algebra.ts'
import { Decimal, exponentOf, magnitudeOf, SHARED_DIGITS, type Value, ZERO } from './decimals.ts'
import { Evaluator, type Point } from './evaluate.ts'
import { polynomialKey, ratioOf } from './polynomial.ts'

/** Steps that exact algebra may take before decimals are tried. */
const ALGEBRA_STEPS = 20_000

/** Above this size the last of 70 digits is no longer small against 1: `2^{1000}` and `2^{1000}+1` would look the same. */
const LARGEST_EXPONENT = 24

/** Decides whether expressions have the same value: by exact algebra where that decides, else by evaluation with 70 digits. */
export class Comparer {
  readonly #budget: WorkBudget
  readonly #evaluator: Evaluator

  constructor(budget: WorkBudget) {
    this.#budget = budget
    this.#evaluator = new Evaluator(budget)
  }

  /** Whether both are the same number, or the same function of the same variables. */
  areSame(a: Node, b: Node): boolean {
    const [left, right] = [infinityOf(a), infinityOf(b)]
    if (left !== undefined || right !== undefined) return left === right
    const exact = this.#budget.within(ALGEBRA_STEPS, () => this.#compareExactly(a, b))
    if (exact === 'same' || exact === 'different') return exact === 'same'
    return this.#areSameAtPoints(a, b)
  }

  /**
   * `areSame`, and where that fails the rounding rules: a reference with two or more decimals may be met by what rounds
   * to it; an exact reference by a decimal of six or more significant digits to which it rounds.
   */
  matches(reference: Node, response: Node): boolean {
    if (this.areSame(reference, response)) return true
    const [asked, given] = [decimalOf(reference), decimalOf(response)]
    let places: number
    if (asked !== undefined) {
      if (asked.places < 2 || (given !== undefined && given.places <= asked.places)) return false
      places = asked.places
    } else {
      if (given === undefined || given.significant < 6) return false
      places = given.places
    }
    const [expected, value] = [this.realValue(reference), this.realValue(response)]
    if (expected === undefined || value === undefined) return false
    return expected
      .minus(value)
      .abs()
      .lte(new Decimal(`0.5e-${places}`))
  }

  /** The value of an expression without variables, where it is real. */
  realValue(node: Node): Decimal | undefined {
    if (variablesOf(node).size > 0) return undefined
    const value = this.#valueAt(node, new Map())
    return value?.im.isZero() ? value.re : undefined
  }

  /** Negative, zero or positive; undefined where they are not both real numbers. Infinities come last and first. */
  order(a: Node, b: Node): number | undefined {
    const [left, right] = [infinityOf(a) ?? 0, infinityOf(b) ?? 0]
    if (left !== 0 || right !== 0) return left - right
    if (this.areSame(a, b)) return 0
    const [x, y] = [this.realValue(a), this.realValue(b)]
    return x === undefined || y === undefined ? undefined : x.comparedTo(y)
  }

  /**
   * Whether `a = 0` and `b = 0` say the same: one is a nonzero constant times the other. Returns the constant's sign, or
   * 0 where they differ.
   */
  proportion(a: Node, b: Node): -1 | 0 | 1 {
    const exact = this.#budget.within(ALGEBRA_STEPS, () => {
      try {
        const algebra = new Algebra(this.#budget)
        const [left, right] = [algebra.fraction(a), algebra.fraction(b)]
        const ratio = ratioOf(left.above, right.above, this.#budget)
        if (ratio !== undefined) {
          const [below, other] = [polynomialKey(left.below), polynomialKey(right.below)]
          // Of constant denominators only the sign matters; others decide no sign.
          const signs = [left.below.get('')?.coefficient ?? 1n, right.below.get('')?.coefficient ?? 1n]
          const flips = below === other ? false : signs[0]! < 0n !== signs[1]! < 0n
          const isNegative = ratio[0] < 0n !== ratio[1] < 0n
          return isNegative !== flips ? -1 : 1
        }
        return undefined
      } catch (error) {
        if (error instanceof Undefined) return 0
        throw error
      }
    })
    if (exact !== undefined) return exact
    return this.#proportionAtPoints(a, b)
  }

  #compareExactly(a: Node, b: Node): 'same' | 'different' | 'unknown' {
    try {
      const algebra = new Algebra(this.#budget)
      if (algebra.areEqual(algebra.fraction(a), algebra.fraction(b))) return 'same'
      return algebra.isComplete ? 'different' : 'unknown'
    } catch (error) {
      if (error instanceof Undefined) return 'unknown'
      throw error
    }
  }

  #areSameAtPoints(a: Node, b: Node): boolean {
    const names = variablesOf(a)
    variablesOf(b, names)
    if (names.size === 0) {
      const [left, right] = [this.#valueAt(a, new Map()), this.#valueAt(b, new Map())]
      return left !== undefined && right !== undefined && areClose(left, right)
    }
    const isReal = ![a, b].some((node) =>
      someNode(node, (inner) => inner.kind === 'constant' && inner.name === 'i'),
    )
    // A sum up to n has values at whole numbers alone: there is a point less to refute it.
    const enough = [a, b].some((node) => someNode(node, ({ kind }) => kind === 'series')) ? 3 : 2
    let agreed = 0
    let complexAgreed = 0
    let tooLarge: TooLarge | undefined
    for (let index = 0; index < POINTS; index++) {
      if (index >= FIRST_POINTS && agreed >= enough) break
      const point = pointOf(names, index)
      try {
        const left = this.#valueAt(a, point)
        const right = left && this.#valueAt(b, point)
        if (left === undefined || right === undefined) continue
        if (isReal && !(left.im.isZero() && right.im.isZero())) {
          // Off the real line both may be principal values of different branches: it counts only where nothing else does.
          complexAgreed += areClose(left, right) ? 1 : -POINTS
        } else if (areClose(left, right)) agreed++
        else return false
      } catch (error) {
        // Factorials are too large at one whole number and not at another.
        if (!(error instanceof TooLarge)) throw error
        tooLarge = error
      }
    }
    if (agreed >= enough || (agreed === 0 && complexAgreed >= 3)) return true
    if (tooLarge !== undefined) throw tooLarge
    return false
  }

  #proportionAtPoints(a: Node, b: Node): -1 | 0 | 1 {
    const names = variablesOf(a)
    const others = variablesOf(b)
    if (names.size !== others.size || [...names].some((name) => !others.has(name))) return 0
    let first: [Value, Value] | undefined
    let sign: -1 | 0 | 1 = 0
    let agreed = 0
    for (let index = 0; index < POINTS && agreed < 3; index++) {
      const point = pointOf(names, index)
      const left = this.#valueAt(a, point)
      const right = left && this.#valueAt(b, point)
      if (!left || !right || !left.im.isZero() || !right.im.isZero()) continue
      if (left.re.isZero() !== right.re.isZero()) return 0
      if (left.re.isZero()) continue
      const turn = left.re.isPositive() === right.re.isPositive() ? 1 : -1
      if (first === undefined) {
        first = [left, right]
        sign = turn
      } else {
        const cross = (x: Value, y: Value): Value => ({
          re: x.re.times(y.re),
          im: ZERO,
          scale: x.scale + y.scale,
        })
        if (turn !== sign || !areClose(cross(left, first[1]), cross(right, first[0]))) return 0
      }
      agreed++
    }
    return agreed >= 2 ? sign : 0
  }

  #valueAt(node: Node, point: Point): Value | undefined {
    this.#budget.evaluations++
    try {
      return this.#evaluator.value(node, point)
    } catch (error) {
      if (error instanceof Undefined) return undefined
      throw error
    }
  }
}

/** 1 and -1 for infinity with its sign; undefined for anything else. */
export function infinityOf(node: Node): 1 | -1 | undefined {
  if (node.kind === 'constant' && node.name === 'infinity') return 1
  if (node.kind !== 'negation') return undefined
  const inner = infinityOf(node.operand)
  return inner && (inner === 1 ? -1 : 1)
}

function areClose(a: Value, b: Value): boolean {
  const scale = Math.max(a.scale, b.scale)
  const distance = Math.max(exponentOf(a.re.minus(b.re)), exponentOf(a.im.minus(b.im)))
  if (distance > scale - SHARED_DIGITS) return false
  if (Math.max(scale, magnitudeOf(a)) > LARGEST_EXPONENT) throw new TooLarge('too large to decide')
  return true
}

// The points: some below 1, some above, some of mixed signs; then, for what is defined on few of them, larger and whole
// numbers, no two the same. They are fixed, so that a verdict never changes, and odd enough that no answer meets them by accident.
const FIRST_POINTS = 4
const POINTS = 10
const RANGES: readonly [low: number, high: number, mixesSigns: boolean, isWhole: boolean][] = [
  [100, 950, false, false],
  [1050, 2950, false, false],
  [300, 2800, true, false],
  [200, 1900, true, false],
  [3100, 9000, false, false],
  [12, 20, false, true],
  [7, 12, false, true],
  [2, 7, false, true],
  [100, 400, true, false],
  [20, 27, false, true],
]

function pointOf(names: ReadonlySet<string>, index: number): Point {
  const [low, high, mixesSigns, isWhole] = RANGES[index]!
  const point = new Map<string, Value>()
  for (const name of [...names].sort()) {
    const noise = hash(`${name} ${index}`)
    const numerator = low + (noise % (high - low))
    // Of one variable alone the sign must be negative somewhere, or the root of its square would be itself.
    const isNegative =
      mixesSigns && (point.size === 0 ? index === 2 || index === 8 : (noise >>> 16) % 2 === 1)
    const size = isWhole ? new Decimal(numerator) : new Decimal(numerator).div(1009)
    const re = isNegative ? size.neg() : size
    point.set(name, { re, im: ZERO, scale: exponentOf(re) })
  }
  return point
}

function hash(text: string): number {
  let state = 2166136261
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 16777619) >>> 0
  return (Math.imul(state ^ (state >>> 15), 2246822519) ^ (state >>> 13)) >>> 0
}
