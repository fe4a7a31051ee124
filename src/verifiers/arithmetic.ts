import type { Judgement, Sample } from '../verdicts.ts'
import { evaluate, parseExpression } from './expression.ts'
import { compare } from './rational.ts'

// Arithmetic with a scratchpad. Reference: the expression, `(3+4)*2-5`. An answer goes on from `(3+4)*2-5=`, either
// with the value at once or through as many equal expressions as it likes: `7*2-5=14-5=9`.

/** Longer completions are not read. */
const MAX_CHARACTERS = 10_000

/** Right where every link of the chain has the expression's exact value and the last is a plain number. */
export function verifyArithmetic(sample: Pick<Sample, 'reference' | 'completion'>): Judgement {
  const problem = parseExpression(sample.reference)
  const value = problem && evaluate(problem)
  if (value === undefined)
    return { verdict: 'unparsed', reward: null, reason: 'the reference is not an expression' }
  const links = sample.completion.length > MAX_CHARACTERS ? [''] : sample.completion.split('=')
  const values = links.map((link) => {
    const expression = parseExpression(link)
    return expression && { expression: link.trim(), value: evaluate(expression) }
  })
  if (!values.every((link) => link !== undefined) || !/^\s*-?\d+\s*$/.test(links.at(-1)!)) {
    return { verdict: 'unparsed', reward: 0, reason: 'not expressions joined by = that end in a number' }
  }
  for (const link of values) {
    if (link.value === undefined || compare(link.value, value) !== 0) {
      return { verdict: 'wrong', reward: 0, reason: `${link.expression} has another value` }
    }
  }
  return { verdict: 'right', reward: 1 }
}
