import type { Random } from './random.ts'

export const operations = ['+', '-', '*'] as const

/** A number, or an operation with the value that it has; working it out makes a number of it. */
export interface Node {
  value: number
  /** Undefined once the node is a number. */
  operation: (typeof operations)[number] | undefined
  left: Node | undefined
  right: Node | undefined
}

/** An expression over `numbers` in their order, with values from 0 to `maxValue` at every node. */
export function randomExpression(random: Random, numbers: readonly number[], maxValue: number): Node {
  if (numbers.length === 1)
    return { value: numbers[0]!, operation: undefined, left: undefined, right: undefined }
  const split = 1 + random.below(numbers.length - 1)
  let left = randomExpression(random, numbers.slice(0, split), maxValue)
  let right = randomExpression(random, numbers.slice(split), maxValue)
  for (;;) {
    const operation = random.pick(operations)
    // A difference is always allowed, so that this ends.
    if (operation === '-' && left.value < right.value) [left, right] = [right, left]
    const value = apply(operation, left.value, right.value)
    if (value <= maxValue) return { value, operation, left, right }
  }
}

/** Tries at a slip anywhere before it is made at the outermost operation, where any value is possible. */
const SLIP_TRIES = 8

/** Gives one operation a wrong value, which those above it take over; all values stay from 0 to `maxValue`. */
export function slip(random: Random, root: Node, maxValue: number): void {
  const candidates = operationsIn(root, () => true)
  for (let tries = 0; tries <= SLIP_TRIES; tries++) {
    const node = tries === SLIP_TRIES ? root : random.pick(candidates)
    const wrong = (node.value + 1 + random.below(maxValue)) % (maxValue + 1)
    if (Number.isNaN(valueWith(root, node, wrong, maxValue))) continue
    node.value = wrong
    takeOver(root, node)
    return
  }
}

/** The texts from the first step to the last, a plain number; every step works out one operation. */
export function reductionSteps(random: Random, root: Node): string[] {
  const steps: string[] = []
  while (root.operation !== undefined) {
    const ready = operationsIn(
      root,
      (node) => node.left!.operation === undefined && node.right!.operation === undefined,
    )
    const node = random.pick(ready)
    node.operation = undefined
    steps.push(show(root))
  }
  return steps
}

/** The expression's text, with parentheses only where they are needed. */
export function show(node: Node): string {
  const { operation, left, right } = node
  if (operation === undefined) return String(node.value)
  if (operation === '*') return `${inner(left!, isSum)}*${inner(right!, isSum)}`
  return `${show(left!)}${operation}${operation === '-' ? inner(right!, isSum) : show(right!)}`
}

function inner(node: Node, needsParentheses: (node: Node) => boolean): string {
  return needsParentheses(node) ? `(${show(node)})` : show(node)
}

function isSum(node: Node): boolean {
  return node.operation === '+' || node.operation === '-'
}

function apply(operation: Node['operation'], left: number, right: number): number {
  if (operation === '+') return left + right
  return operation === '-' ? left - right : left * right
}

function operationsIn(node: Node, isWanted: (node: Node) => boolean, found: Node[] = []): Node[] {
  if (node.operation === undefined) return found
  if (isWanted(node)) found.push(node)
  operationsIn(node.left!, isWanted, found)
  operationsIn(node.right!, isWanted, found)
  return found
}

/** The value of `node` if `changed` had the value `wrong`; NaN where some value would leave the allowed range. */
function valueWith(node: Node, changed: Node, wrong: number, maxValue: number): number {
  if (node === changed) return wrong
  if (node.operation === undefined) return node.value
  const left = valueWith(node.left!, changed, wrong, maxValue)
  const right = valueWith(node.right!, changed, wrong, maxValue)
  const value = apply(node.operation, left, right)
  return value >= 0 && value <= maxValue ? value : Number.NaN
}

/** Works the values out again, all but that of `changed`. */
function takeOver(node: Node, changed: Node): number {
  if (node !== changed && node.operation !== undefined) {
    node.value = apply(node.operation, takeOver(node.left!, changed), takeOver(node.right!, changed))
  }
  return node.value
}
