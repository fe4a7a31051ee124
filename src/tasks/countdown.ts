import { refuseUnknownKeys, requireInteger, requireNumber, requireOneOf } from '../options.ts'
import { wordTokenizer } from '../tokenizer-definition.ts'
import { countdownKey, verifyCountdown } from '../verifiers/countdown.ts'
import { reachableValues } from './countdown-values.ts'
import type { Random } from './random.ts'
import { defineTask, type Split, type Task, type TaskRow } from './task.ts'

/** Countdown's options. The ranges' defaults follow `numbers`; see `countdownSizes`. */
export interface CountdownOptions {
  /** How many numbers are given: 3 to 6. Default 4. */
  numbers: number
  /** Numbers are drawn from 1 to this. */
  maxNumber: number
  /** No intermediate value may be larger; it bounds the vocabulary. */
  maxValue: number
  /** Targets lie between these two. */
  minTarget: number
  maxTarget: number
  /**
   * How a prompt's target is drawn: `hindsight`, the value of a random expression, so that frequent values are
   * frequent targets; `uniform`, any value that can be made at all, which is harder. Default `hindsight`.
   */
  targets: 'hindsight' | 'uniform'
  /** The share of demonstrations that reach their target, slips aside; the rest have a random one. Default 0.9. */
  hindsight: number
  /** The share of demonstrations with one wrong result, which the later steps take over. Default 0.5. */
  slips: number
}

/** Default ranges for each count of numbers. Three and four share a vocabulary of 37 tokens. */
export const countdownSizes: Readonly<Record<number, { maxNumber: number; maxValue: number }>> = {
  3: { maxNumber: 9, maxValue: 30 },
  4: { maxNumber: 9, maxValue: 30 },
  5: { maxNumber: 15, maxValue: 60 },
  6: { maxNumber: 25, maxValue: 100 },
}

const optionNames = [
  'numbers',
  'maxNumber',
  'maxValue',
  'minTarget',
  'maxTarget',
  'targets',
  'hindsight',
  'slips',
] as const satisfies (keyof CountdownOptions)[]

/**
 * Countdown, step by step. Prompt `3 5 7 2 > 24 :`; completion `7 + 5 12 ...`, steps `a op b c` that each replace two
 * of the numbers by their sum, difference (not below zero) or product, until one is left. Token ids: the values 0 to
 * `maxValue`, then `+ - * > :` and the end token.
 */
export function countdown(given: Partial<CountdownOptions> = {}): Task {
  const options = completeOptions(given)
  const { numbers: count, maxNumber, maxValue, minTarget, maxTarget } = options
  const values = Array.from({ length: maxValue + 1 }, (_, value) => String(value))

  const isTarget = (value: number) => value >= minTarget && value <= maxTarget

  function draw(random: Random, use: Split | 'demonstration'): TaskRow {
    const isDemonstration = use === 'demonstration'
    for (;;) {
      const numbers = Array.from({ length: count }, () => random.between(1, maxNumber))
      const slipAt = isDemonstration && random.chance(options.slips) ? random.below(count - 1) : -1
      const { completion, result } = randomSteps(random, numbers, maxValue, slipAt)
      let target = result
      if (options.targets === 'uniform' && !isDemonstration) {
        const targets = reachableValues(numbers, maxValue).filter(isTarget)
        if (targets.length === 0) continue
        target = random.pick(targets)
      }
      if (!isTarget(target)) continue
      if (isDemonstration && !random.chance(options.hindsight)) target = random.between(minTarget, maxTarget)
      const reference = `${numbers.join(' ')} > ${target}`
      return { prompt: `${reference} :`, reference, completion, key: numbers.sort((a, b) => a - b).join(' ') }
    }
  }

  return defineTask({
    name: 'countdown',
    description: `make the target from ${count} numbers with + - *, each number used once`,
    options: { ...options },
    tokenizer: wordTokenizer([...values, '+', '-', '*', '>', ':']),
    maxPromptLength: count + 3,
    maxCompletionLength: 4 * (count - 1) + 1,
    verifier: verifyCountdown,
    draw,
    distinctKey: countdownKey,
  })
}

/**
 * Steps that are drawn one at a time, uniformly over the ordered pairs and operations that are allowed. `slipAt` names
 * the step whose result is wrong, -1 for none.
 */
function randomSteps(random: Random, numbers: readonly number[], maxValue: number, slipAt: number) {
  const left = [...numbers]
  let completion = ''
  for (let step = 0; left.length > 1; step++) {
    const i = random.below(left.length)
    const j = random.below(left.length - 1)
    const other = j < i ? j : j + 1
    const [a, b] = [left[i]!, left[other]!]
    const operation = random.below(3)
    let result = operation === 0 ? a + b : operation === 1 ? a - b : a * b
    if (result < 0 || result > maxValue) {
      step--
      continue
    }
    if (step === slipAt) result = (result + 1 + random.below(maxValue)) % (maxValue + 1)
    completion += `${step === 0 ? '' : ' '}${a} ${'+-*'[operation]} ${b} ${result}`
    left[Math.min(i, other)] = result
    left[Math.max(i, other)] = left[left.length - 1]!
    left.pop()
  }
  return { completion, result: left[0]! }
}

function completeOptions(given: Partial<CountdownOptions>): CountdownOptions {
  const where = (name: keyof CountdownOptions) => `countdown ${name}`
  refuseUnknownKeys(given, optionNames, 'countdown')
  const numbers = requireInteger(given.numbers ?? 4, where('numbers'), 3, 6)
  const { maxNumber, maxValue } = { ...countdownSizes[numbers]!, ...given }
  requireInteger(maxNumber, where('maxNumber'), 2, 1000)
  requireInteger(maxValue, where('maxValue'), maxNumber, 10_000)
  const maxTarget = requireInteger(given.maxTarget ?? maxValue, where('maxTarget'), 0, maxValue)
  return {
    numbers,
    maxNumber,
    maxValue,
    minTarget: requireInteger(given.minTarget ?? Math.min(1, maxTarget), where('minTarget'), 0, maxTarget),
    maxTarget,
    targets: requireOneOf(given.targets ?? 'hindsight', where('targets'), ['hindsight', 'uniform']),
    hindsight: requireNumber(given.hindsight ?? 0.9, where('hindsight'), 0, 1),
    slips: requireNumber(given.slips ?? 0.5, where('slips'), 0, 1),
  }
}
