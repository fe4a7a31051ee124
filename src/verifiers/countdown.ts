import type { Judgement, Sample } from '../verdicts.ts'
import { boxedAnswer, taggedAnswer } from './answer-text.ts'
import {
  canonicalForm,
  type Expression,
  evaluate,
  numbersIn,
  type Operator,
  operate,
  parseExpression,
} from './expression.ts'
import { compare, rational } from './rational.ts'

// Countdown: make the target from the numbers, each used exactly once. As in TinyZero, any valid expression counts.
// Reference: `3 5 7 2 > 24`, the numbers and the target.

/** What a completion claims: an expression, or why there is none to look at. */
type Claim = { expression: Expression } | { fault: 'wrong' | 'unparsed'; reason: string }

/** Judges steps (`3 + 5 8 7 * 2 14 ...`, with or without `=`) or one infix expression. */
export function verifyCountdown(sample: Pick<Sample, 'reference' | 'completion'>): Judgement {
  const puzzle = parsePuzzle(sample.reference)
  if (puzzle === undefined) {
    return { verdict: 'unparsed', reward: null, reason: 'the reference is not of the form 3 5 7 2 > 24' }
  }
  const claim = readClaim(puzzle.numbers, sample.completion)
  if ('fault' in claim) return { verdict: claim.fault, reward: 0, reason: claim.reason }
  const wrong = (reason: string): Judgement => ({ verdict: 'wrong', reward: 0, reason })
  if (sortedText(numbersIn(claim.expression)) !== sortedText(puzzle.numbers)) {
    return wrong('does not use each number exactly once')
  }
  const value = evaluate(claim.expression)
  if (value === undefined) return wrong('divides by zero')
  if (compare(value, rational(puzzle.target)) !== 0) return wrong('misses the target')
  return { verdict: 'right', reward: 1 }
}

/** Equal for answers that differ only in the order and grouping of sums and products. */
export function countdownKey(completion: string): string {
  const steps = readSteps(completion)
  const claim = steps === undefined ? readInfix(completion) : replaySteps(undefined, steps)
  return 'expression' in claim ? canonicalForm(claim.expression) : completion.trim()
}

function parsePuzzle(reference: string): { numbers: bigint[]; target: bigint } | undefined {
  const match = /^\s*(\d{1,9}(?: \d{1,9}){0,49}) > (\d{1,9})\s*$/.exec(reference)
  if (match === null) return undefined
  return { numbers: match[1]!.split(' ').map(BigInt), target: BigInt(match[2]!) }
}

function readClaim(numbers: bigint[], completion: string): Claim {
  const steps = readSteps(completion)
  return steps === undefined ? readInfix(completion) : replaySteps(numbers, steps)
}

interface Step {
  left: bigint
  operator: Operator
  right: bigint
  result: bigint
}

/** The whole completion as steps `a op b c` or `a op b = c`, or undefined where it is not that. */
function readSteps(completion: string): Step[] | undefined {
  const text = completion.trim().replace(/\s+/g, ' ')
  if (text.length > 1000) return undefined
  const step = /(\d+) ?([-+*/]) ?(\d+)(?: ?= ?| )(\d+)(?: ?[,;] ?| |$)/y
  const steps: Step[] = []
  while (step.lastIndex < text.length) {
    const match = step.exec(text)
    if (match === null) return undefined
    const [, left, operator, right, result] = match as unknown as [string, string, Operator, string, string]
    steps.push({ left: BigInt(left), operator, right: BigInt(right), result: BigInt(result) })
  }
  return steps.length === 0 ? undefined : steps
}

/**
 * Plays the steps on the numbers: each takes two of those that are left and puts its result back. Without `given`
 * numbers every operand that no step has made is taken as given.
 */
function replaySteps(given: bigint[] | undefined, steps: Step[]): Claim {
  const left: { value: bigint; expression: Expression }[] = []
  for (const value of given ?? []) left.push({ value, expression: { kind: 'number', value } })
  const take = (value: bigint): Expression | undefined => {
    const place = left.findLastIndex((entry) => entry.value === value)
    if (place !== -1) return left.splice(place, 1)[0]!.expression
    return given === undefined ? { kind: 'number', value } : undefined
  }
  for (const step of steps) {
    const [a, b] = [take(step.left), take(step.right)]
    if (a === undefined || b === undefined) {
      return { fault: 'wrong', reason: `there is no ${a === undefined ? step.left : step.right} left to use` }
    }
    const result = operate(step.operator, rational(step.left), rational(step.right))
    if (result === undefined || compare(result, rational(step.result)) !== 0) {
      return { fault: 'wrong', reason: `${step.left} ${step.operator} ${step.right} is not ${step.result}` }
    }
    const expression: Expression = { kind: 'operation', operator: step.operator, left: a, right: b }
    left.push({ value: step.result, expression })
  }
  if (left.length !== 1) return { fault: 'wrong', reason: `leaves ${left.length} numbers` }
  return { expression: left[0]!.expression }
}

/** An infix expression: between answer tags, in a box, as the whole text or on its last line; `= value` may follow. */
function readInfix(completion: string): Claim {
  const marked = taggedAnswer(completion) ?? boxedAnswer(completion)
  const trimmed = completion.trim()
  const candidates = marked === undefined ? [trimmed, trimmed.slice(trimmed.lastIndexOf('\n') + 1)] : [marked]
  for (const candidate of candidates) {
    const [side, value, ...more] = candidate.split('=')
    const expression = parseExpression(side!)
    if (expression === undefined || more.length > 0) continue
    if (value === undefined) return { expression }
    const claimed = parseExpression(value)
    const [actual, stated] = [evaluate(expression), claimed && evaluate(claimed)]
    if (stated === undefined) continue
    if (actual !== undefined && compare(actual, stated) !== 0) {
      return { fault: 'wrong', reason: `${side!.trim()} is not ${value.trim()}` }
    }
    return { expression }
  }
  return { fault: 'unparsed', reason: 'neither steps nor an expression' }
}

function sortedText(numbers: bigint[]): string {
  return numbers.map(String).sort().join(' ')
}
