import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { countdown } from '../../src/tasks/countdown.ts'
import { reachableValues } from '../../src/tasks/countdown-values.ts'
import { splits } from '../../src/tasks/task.ts'
import { checkTaskContract, judge, rightShare } from './task-contract.ts'

const referenceOf = (prompt: string) => prompt.replace(/ :$/, '')
const numbersOf = (prompt: string) => prompt.split(' > ')[0]!.split(' ').map(Number)
const keyOf = (prompt: string) =>
  numbersOf(prompt)
    .sort((a, b) => a - b)
    .join(' ')

describe('countdown', () => {
  it('keeps a task’s promises ', () => {
    for (const numbers of [4, 5, 6]) checkTaskContract(countdown({ numbers }), keyOf)
    checkTaskContract(countdown({ numbers: 5, targets: 'uniform', minTarget: 31 }), keyOf)
  })

  it('has the vocabulary and lengths of four numbers up to nine', () => {
    const task = countdown()
    const { tokens } = task.tokenizer
    assert.deepEqual(
      [tokens[0], tokens[30], ...tokens.slice(31)],
      ['0', '30', '+', '-', '*', '>', ':', '<end>'],
    )
    assert.deepEqual([tokens.length, task.maxPromptLength, task.maxCompletionLength], [37, 7, 13])
    const { offsets, promptLengths } = task.demonstrationTokens(50, 1)
    assert.ok(promptLengths.every((length) => length === 7))
    assert.ok(offsets.every((offset, row) => offset === 20 * row))
  })

  it('shows demonstrations that are right in the stated share', () => {
    // Half without a slip; nine in ten of those meet their target, and the rest by chance.
    const share = rightShare(countdown(), 8000, referenceOf)
    assert.ok(share > 0.43 && share < 0.48, String(share))
    assert.equal(rightShare(countdown({ slips: 0, hindsight: 1 }), 500, referenceOf), 1)
    assert.equal(rightShare(countdown({ slips: 1 }), 500, referenceOf), 0)
    const missing = rightShare(countdown({ slips: 0, hindsight: 0 }), 2000, referenceOf)
    assert.ok(missing > 0.01 && missing < 0.15, String(missing))
  })

  it('slips in one result only, and goes on from it', () => {
    const task = countdown({ slips: 1, hindsight: 1 })
    for (const { prompt, completion } of task.demonstrations(300, 2)) {
      const steps = completion.match(/\S+ \S \S+ \S+/g)!.map((step) => step.split(' '))
      const isWrong = ([a, operator, b, c]: string[]) => {
        const value = operator === '+' ? +a! + +b! : operator === '-' ? +a! - +b! : +a! * +b!
        return value !== Number(c)
      }
      assert.equal(steps.filter(isWrong).length, 1, completion)
      assert.equal(steps.at(-1)!.at(-1), prompt.split(' ').at(-2), 'the target is what came out')
      const left = numbersOf(prompt)
      for (const [a, , b, c] of steps) {
        for (const used of [a, b])
          left.splice(left.indexOf(Number(used)), left.includes(Number(used)) ? 1 : 99)
        left.push(Number(c))
      }
      assert.equal(left.length, 1)
    }
  })

  it('asks only what can be answered', () => {
    for (const options of [{}, { numbers: 5, targets: 'uniform', minTarget: 20 }] as const) {
      const task = countdown(options)
      for (const split of splits) {
        for (const { prompt, reference } of task.prompts(split, 60, 9)) {
          const target = Number(reference.split(' > ')[1])
          const { minTarget, maxTarget, maxValue } = task.options as Record<string, number>
          assert.ok(target >= minTarget! && target <= maxTarget!)
          assert.ok(reachableValues(numbersOf(prompt), maxValue!).includes(target), prompt)
        }
      }
    }
  })

  it('finds the same values by subsets as by trying all steps', () => {
    for (const numbers of [
      [3, 5, 7],
      [1, 1, 2, 9],
      [9, 9, 9, 9],
      [2, 4, 6, 8, 1],
    ]) {
      const found = new Set<number>()
      const play = (left: number[]) => {
        if (left.length === 1) found.add(left[0]!)
        for (const [i, a] of left.entries()) {
          for (const [j, b] of left.entries()) {
            if (i === j) continue
            const rest = left.filter((_, k) => k !== i && k !== j)
            for (const value of [a + b, a - b, a * b]) if (value >= 0 && value <= 30) play([...rest, value])
          }
        }
      }
      play(numbers)
      assert.deepEqual(
        reachableValues(numbers, 30),
        [...found].sort((a, b) => a - b),
      )
    }
  })

  it('counts answers that differ in order and grouping once', () => {
    const { distinctKey } = countdown()
    const key = distinctKey('7 + 5 12 12 * 2 24 24 - 3 21')
    for (const same of [
      '5 + 7 12 2 * 12 24 24 - 3 21',
      '(7+5)*2-3',
      '2*(5+7) - 3 = 21',
      '<answer>-3+2*(5+7)</answer>',
    ]) {
      assert.equal(distinctKey(same), key, same)
    }
    assert.notEqual(distinctKey('(7+5)*3-2'), key)
    assert.equal(distinctKey(' gibberish '), 'gibberish')
  })

  it('refuses options that make no sense', () => {
    const bad = [
      { numbers: 2 },
      { numbers: 7 },
      { maxNumber: 40 },
      { slips: 1.5 },
      { minTarget: 31 },
      { maxTarget: 31 },
    ]
    for (const options of bad)
      assert.throws(() => countdown(options), { code: 'INVALID_ARGUMENT' }, JSON.stringify(options))
    assert.throws(() => countdown({ number: 4 } as never), {
      code: 'INVALID_ARGUMENT',
      message: /did you mean 'numbers'/,
    })
    assert.throws(() => countdown({ targets: 'easy' as never }), { code: 'INVALID_ARGUMENT' })
  })

  it('says when a split has fewer prompts than asked for', () => {
    assert.throws(() => countdown({ maxNumber: 2, maxTarget: 3 }).prompts('train', 500, 1), {
      code: 'INVALID_ARGUMENT',
      message: /too few prompts|split is empty/,
    })
  })

  it('judges its own prompts', () => {
    const task = countdown()
    const [row] = task.prompts('heldout', 1, 1)
    assert.equal(judge(task, row!.reference, '').verdict, 'unparsed')
  })
})
