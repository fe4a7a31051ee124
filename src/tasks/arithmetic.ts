import { refuseUnknownKeys, requireInteger, requireNumber } from '../options.ts'
import { characterTokenizer } from '../tokenizer-definition.ts'
import { verifyArithmetic } from '../verifiers/arithmetic.ts'
import { operations, randomExpression, reductionSteps, show, slip } from './arithmetic-expression.ts'
import type { Random } from './random.ts'
import { defineTask, type Split, type Task, type TaskRow } from './task.ts'

/** Arithmetic's options. */
export interface ArithmeticOptions {
  /** Numbers are drawn from 1 to this. Default 9. */
  maxNumber: number
  /** No value on the way may be larger, nor below zero. Default 99. */
  maxValue: number
  /** Operations of a training prompt. Default 3. */
  trainOperations: number
  /** Default 5, as `heldoutOperations`. */
  tuneOperations: number
  /** Default 5. */
  heldoutOperations: number
  /** Demonstrations have from one to this many operations. Default 5. */
  demonstrationOperations: number
  /** The share of demonstrations with one wrong result, which the later steps take over. Default 0.5. */
  slips: number
}

const defaults: ArithmeticOptions = {
  maxNumber: 9,
  maxValue: 99,
  trainOperations: 3,
  tuneOperations: 5,
  heldoutOperations: 5,
  demonstrationOperations: 5,
  slips: 0.5,
}

/**
 * Multi-step arithmetic with a scratchpad, character by character. Prompt `(3+4)*2-5=`; completion `7*2-5=14-5=9`: the
 * expression again with one operation worked out, until a number is left. Which operation comes next is free, so that
 * there are many right answers. Token ids: the ten digits, `+ - * ( ) =` and the end token.
 */
export function arithmetic(given: Partial<ArithmeticOptions> = {}): Task {
  const options = completeOptions(given)
  const { maxNumber, maxValue } = options
  const counts: Record<Split, number> = {
    train: options.trainOperations,
    tune: options.tuneOperations,
    heldout: options.heldoutOperations,
  }

  function draw(random: Random, use: Split | 'demonstration'): TaskRow {
    const isDemonstration = use === 'demonstration'
    const count = isDemonstration ? random.between(1, options.demonstrationOperations) : counts[use]
    const numbers = Array.from({ length: count + 1 }, () => random.between(1, maxNumber))
    const expression = randomExpression(random, numbers, maxValue)
    const reference = show(expression)
    let completion = ''
    if (isDemonstration) {
      if (random.chance(options.slips)) slip(random, expression, maxValue)
      completion = reductionSteps(random, expression).join('=')
    }
    // Expressions over the same numbers share subproblems and often values: they stay on one side.
    return { prompt: `${reference}=`, reference, completion, key: numbers.sort((a, b) => a - b).join(' ') }
  }

  const most = Math.max(...Object.values(counts), options.demonstrationOperations)
  let maxCompletionLength = most - 1 + 1
  for (let left = 0; left < most; left++) maxCompletionLength += longestText(left, maxValue)
  return defineTask({
    name: 'arithmetic',
    description: `work out an expression with ${operations.join(' ')} step by step`,
    options: { ...options },
    tokenizer: characterTokenizer('0123456789+-*()='),
    maxPromptLength: longestText(most, maxNumber) + 1,
    maxCompletionLength,
    verifier: verifyArithmetic,
    draw,
    distinctKey: (completion) => completion.replace(/\s+/g, ''),
  })
}

/** Characters of an expression: numbers, operators, and a pair of parentheses for all operations but the outermost. */
function longestText(operationCount: number, largest: number): number {
  const digits = String(largest).length
  return (operationCount + 1) * digits + operationCount + 2 * Math.max(0, operationCount - 1)
}

function completeOptions(given: Partial<ArithmeticOptions>): ArithmeticOptions {
  const names = Object.keys(defaults) as (keyof ArithmeticOptions)[]
  refuseUnknownKeys(given, names, 'arithmetic')
  const options = { ...defaults, ...given }
  requireInteger(options.maxNumber, 'arithmetic maxNumber', 1, 10_000)
  requireInteger(options.maxValue, 'arithmetic maxValue', Math.max(2, options.maxNumber), 100_000_000)
  for (const name of names)
    if (name.endsWith('Operations')) requireInteger(options[name], `arithmetic ${name}`, 1, 12)
  requireNumber(options.slips, 'arithmetic slips', 0, 1)
  return options
}
