import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CoppiceError } from '../../src/errors.ts'
import { type Answer, classifyAnswers, distinctRightAnswers } from '../../src/statistics/answers.ts'
import { majorityAtK, majorityAtKTable } from '../../src/statistics/majority-at-k.ts'
import { philox4x32 } from '../../src/statistics/philox.ts'

/** Letters are answers, upper case right; '.' is a completion without an answer. */
function answers(text: string): Answer[] {
  return [...text].map((key) =>
    key === '.' ? { key: null, right: false } : { key, right: key === key.toUpperCase() },
  )
}

/** The definition: every choice of k completions, every tied winner equally likely. */
function byEnumeration(list: Answer[], k: number): number {
  let total = 0
  let subsets = 0
  const visit = (start: number, chosen: Answer[]): void => {
    if (chosen.length === k) {
      subsets++
      const votes = new Map<string, { count: number; right: boolean }>()
      for (const { key, right } of chosen) {
        if (key === null) continue
        votes.set(key, { count: (votes.get(key)?.count ?? 0) + 1, right })
      }
      const most = Math.max(0, ...[...votes.values()].map((v) => v.count))
      const winners = [...votes.values()].filter((v) => v.count === most)
      if (winners.length > 0) total += winners.filter((v) => v.right).length / winners.length
      return
    }
    for (let i = start; i < list.length; i++) visit(i + 1, [...chosen, list[i]!])
  }
  visit(0, [])
  return total / subsets
}

describe('majorityAtK', () => {
  it('agrees with enumeration of every choice of k', () => {
    const cases = [
      'A',
      'a',
      '.',
      'AAb',
      'AABBcc',
      'Abcd',
      'AAABBccccdd',
      '..A.',
      '....',
      'ABCDEfghij',
      'AAbbccdd..',
    ]
    const words = new Uint32Array(4)
    for (let i = 0; i < 40; i++) {
      philox4x32(Uint32Array.of(i, 0, 0, 1), Uint32Array.of(5, 5), words)
      const length = 3 + (words[0]! % 8)
      let text = ''
      for (let j = 0; j < length; j++) {
        philox4x32(Uint32Array.of(i, j, 1, 1), Uint32Array.of(5, 5), words)
        text += 'AABbc.d'[words[0]! % 7]
      }
      cases.push(text)
    }
    for (const text of cases) {
      for (let k = 1; k <= text.length; k++) {
        const expected = byEnumeration(answers(text), k)
        const actual = majorityAtK(answers(text), k)
        assert.ok(Math.abs(actual - expected) < 1e-12, `${text} k ${k}: ${actual}, expected ${expected}`)
      }
    }
  })

  it('is the share of right completions at k = 1 and the plurality at k = n, for hundreds of completions', () => {
    const list = answers('A'.repeat(90) + 'b'.repeat(91) + 'C'.repeat(40) + '.'.repeat(35))
    assert.ok(Math.abs(majorityAtK(list, 1) - 130 / 256) < 1e-12)
    assert.equal(majorityAtK(list, 256), 0)
    assert.equal(majorityAtK(answers('A'.repeat(91) + 'b'.repeat(91)), 182), 0.5)
    const large = majorityAtK(answers('A'.repeat(600) + 'b'.repeat(400)), 101)
    assert.ok(large > 0.97 && large < 1, `${large}`)
  })

  it('refuses contradictions and impossible k', () => {
    const refusals: [() => unknown, RegExp][] = [
      [() => majorityAtK([], 1), /answers/],
      [() => majorityAtK(answers('Ab'), 3), /majorityAtK k/],
      [() => majorityAtK(answers('Ab'), 0), /majorityAtK k/],
      [
        () =>
          majorityAtK(
            [
              { key: 'x', right: true },
              { key: 'x', right: false },
            ],
            1,
          ),
        /contradictory/,
      ],
      [() => majorityAtK([{ key: null, right: true }], 1), /contradictory/],
      [() => majorityAtKTable([]), /at least one prompt/],
    ]
    for (const [call, message] of refusals) {
      assert.throws(
        call,
        (error) => error instanceof CoppiceError && message.test(error.message),
        String(message),
      )
    }
  })
})

describe('majorityAtKTable', () => {
  it('averages over prompts, with the shape of the pass@k table', () => {
    const table = majorityAtKTable([answers('AAbb'), answers('AAAb'), answers('bbbb')])
    assert.deepEqual(Object.keys(table), ['1', '2', '4'])
    assert.ok(Math.abs(table['4']!.mean - 0.5) < 1e-12)
    assert.ok(table['4']!.low >= 0 && table['4']!.high <= 1)
  })
})

describe('answers', () => {
  it('counts classes and distinct right answers', () => {
    assert.equal(distinctRightAnswers(answers('AABCd..d')), 3)
    assert.equal(distinctRightAnswers(answers('dd.')), 0)
    assert.deepEqual(classifyAnswers(answers('AdA.')), {
      classes: [
        { key: 'A', right: true, count: 2 },
        { key: 'd', right: false, count: 1 },
      ],
      unanswered: 1,
    })
  })
})
