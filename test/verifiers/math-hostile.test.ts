import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { WorkBudget } from '../../src/verifiers/math/budget.ts'
import { compareTexts } from '../../src/verifiers/math/grade.ts'
import { createVerifierPool, verifyAll } from '../../src/verify.ts'
import { HOSTILE_ANSWERS } from './hostile-answers.ts'
import { sampleOf, verdictOf } from './verdict-table.ts'

const REFERENCES = [
  '5',
  '\\frac{1}{2}',
  'x^2 + 1',
  '\\sin 2x',
  '(1, 2)',
  '\\{1, 2\\}',
  'x > 3',
  '(-\\infty, 3)',
  '3.14',
  'B',
  'Monday',
  '3:30 PM',
  '5 cm',
]
const OPTIONS = { percent: 'either', units: 'optional', tuples: 'ordered' } as const

describe('math verifier and hostile answers', () => {
  it('gives each a verdict within the budget, whatever the reference', () => {
    assert.ok(new Set(HOSTILE_ANSWERS).size >= 140)
    for (const answer of HOSTILE_ANSWERS) {
      for (const reference of REFERENCES) {
        const budget = new WorkBudget()
        const { verdict } = compareTexts(reference, answer, OPTIONS, budget)
        assert.match(verdict, /^(?:wrong|unparsed)$/, `${reference} and ${answer.slice(0, 60)}`)
      }
    }
  })

  it('survives them as references and against themselves', () => {
    for (const [index, answer] of HOSTILE_ANSWERS.entries()) {
      assert.match(verdictOf('math', answer, '5').verdict, /^(?:wrong|unparsed)$/, answer.slice(0, 60))
      const other = HOSTILE_ANSWERS[(index + 1) % HOSTILE_ANSWERS.length]!
      assert.ok(['right', 'wrong', 'unparsed'].includes(verdictOf('math', answer, `${other} `).verdict))
    }
  })

  it('loses no process to them, and needs no clock', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'coppice-hostile-'))
    const file = join(folder, 'math.ts')
    const grader = JSON.stringify(new URL('../../src/verifiers/math/grade.ts', import.meta.url).href)
    await writeFile(file, `import { mathVerifier } from ${grader}\nexport default mathVerifier()\n`)
    const samples = HOSTILE_ANSWERS.flatMap((answer) => [
      sampleOf('\\frac{1}{2}', `\\boxed{${answer}}`),
      sampleOf('\\frac{1}{2}', `The answer is ${answer}`),
    ])
    try {
      await using pool = await createVerifierPool(file, { concurrency: 1 })
      const isolated = await pool.verify(samples)
      assert.deepEqual([pool.failures, pool.clockVerdicts], [0, 0])
      assert.deepEqual(isolated, await verifyAll(samples, 'math'))
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('the loose rules survive them too', () => {
    for (const answer of HOSTILE_ANSWERS) {
      for (const reference of REFERENCES) {
        const { verdict } = verdictOf('math:policy=loose', reference, `\\boxed{${answer}}`)
        assert.notEqual(verdict, 'timed-out')
      }
      assert.notEqual(verdictOf('math:policy=loose', answer, '17').verdict, 'timed-out')
    }
  })

  it('finds boxes in long responses in linear time', () => {
    const pieces = [
      '\\boxed{',
      '\\boxed{}',
      '}',
      '{',
      'answer is ',
      '\\boxed{1}, ',
      '\\boxed{1} and ',
      '$$',
      '\n',
      '\\',
    ]
    pieces.push(
      '</think>',
      '####\n',
      '\\[',
      '**',
      '$',
      '. ',
      'answer: \n',
      'final answer',
      '\\fbox {',
      ' ',
      '\ud800',
    )
    for (const piece of pieces) {
      const { verdict } = verdictOf('math', '5', piece.repeat(100_000))
      assert.match(verdict, /^(?:wrong|unparsed)$/, piece)
    }
  })

  it('says that it gave up where numbers get too large', () => {
    for (const answer of ['9^{9^{9^9}}', '10^{10^{10}}', '100000!']) {
      const { verdict, reason } = verdictOf('math', `${answer} + 1`, answer)
      assert.deepEqual({ verdict, reason }, { verdict: 'wrong', reason: 'too large to decide' }, answer)
    }
  })
})
