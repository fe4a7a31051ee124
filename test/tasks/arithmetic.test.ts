import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { arithmetic } from '../../src/tasks/arithmetic.ts'
import { evaluate, numbersIn, parseExpression } from '../../src/verifiers/expression.ts'
import { checkTaskContract, judge, rightShare } from './task-contract.ts'

const referenceOf = (prompt: string) => prompt.replace(/=$/, '')
const keyOf = (prompt: string) =>
  numbersIn(parseExpression(referenceOf(prompt))!)
    .map(Number)
    .sort((a, b) => a - b)
    .join(' ')

const operationsOf = (text: string) => text.replace(/[^-+*]/g, '').length

describe('arithmetic', () => {
  it('keeps a task’s promises', () => {
    checkTaskContract(arithmetic(), keyOf)
    checkTaskContract(
      arithmetic({ maxNumber: 20, maxValue: 999, heldoutOperations: 7, demonstrationOperations: 7 }),
      keyOf,
    )
  })

  it('works out one operation a step, all values within the range', () => {
    const { maxValue } = arithmetic().options as { maxValue: number }
    for (const { prompt, completion } of arithmetic({ slips: 0 }).demonstrations(400, 1)) {
      const links = [referenceOf(prompt), ...completion.split('=')]
      const value = evaluate(parseExpression(links[0]!)!)!.numerator
      for (const [i, link] of links.entries()) {
        assert.equal(operationsOf(link), links.length - 1 - i, `${prompt}${completion}`)
        assert.equal(evaluate(parseExpression(link)!)!.numerator, value)
      }
      assert.ok(value >= 0n && value <= BigInt(maxValue))
      assert.ok(
        links.every((link) => (link.match(/\d+/g) ?? []).every((number) => Number(number) <= maxValue)),
      )
    }
  })

  it('shows demonstrations that are right in the stated share', () => {
    assert.equal(rightShare(arithmetic({ slips: 0 }), 500, referenceOf), 1)
    // A slip goes unseen only where a factor of zero swallows it.
    assert.ok(rightShare(arithmetic({ slips: 1 }), 2000, referenceOf) < 0.05)
    const share = rightShare(arithmetic(), 4000, referenceOf)
    assert.ok(Math.abs(share - 0.51) < 0.03, String(share))
  })

  it('slips once and takes the wrong value over to the end', () => {
    let slips = 0
    for (const { prompt, completion } of arithmetic({ slips: 1 }).demonstrations(400, 2)) {
      const links = [referenceOf(prompt), ...completion.split('=')]
      const values = links.map((link) => evaluate(parseExpression(link)!)!.numerator)
      const changes = values.filter((value, i) => i > 0 && value !== values[i - 1]).length
      assert.ok(changes <= 1, `${prompt}${completion}`)
      assert.ok(values.every((value) => value >= 0n && value <= 99n))
      slips += changes
    }
    assert.ok(slips > 380)
  })

  it('has as many operations as each split says', () => {
    const task = arithmetic({ trainOperations: 2, tuneOperations: 4, heldoutOperations: 6 })
    for (const [split, count] of [
      ['train', 2],
      ['tune', 4],
      ['heldout', 6],
    ] as const) {
      assert.ok(task.prompts(split, 50, 1).every((row) => operationsOf(row.reference) === count))
    }
    const counts = new Set(task.demonstrations(200, 1).map((row) => operationsOf(row.prompt)))
    assert.deepEqual([...counts].sort(), [1, 2, 3, 4, 5])
  })

  it('takes different scratchpads for different answers', () => {
    const task = arithmetic()
    assert.equal(task.distinctKey(' 7*2 - 5 = 9'), task.distinctKey('7*2-5=9'))
    assert.notEqual(task.distinctKey('7*2-5=14-5=9'), task.distinctKey('7*2-5=9'))
    assert.equal(judge(task, '(3+4)*2-5', '7*2-5=14-5=9').verdict, 'right')
  })

  it('refuses options that make no sense', () => {
    const bad = [
      { maxNumber: 0 },
      { maxNumber: 100 },
      { trainOperations: 0 },
      { heldoutOperations: 13 },
      { slips: -1 },
    ]
    for (const options of bad) assert.throws(() => arithmetic(options), { code: 'INVALID_ARGUMENT' })
  })
})
