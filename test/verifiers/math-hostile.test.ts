import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { WorkBudget } from '../../src/verifiers/math/budget.ts'
import { compareTexts } from '../../src/verifiers/math/grade.ts'
import { verdictOf } from './verdict-table.ts'

const nested = (depth: number) => `${'\\frac{1}{1+'.repeat(depth)}x${'}'.repeat(depth)}`

/** What could run away: towers, factorials, expansions, depth, length, digits, brackets that never close. */
const HOSTILE: readonly string[] = [
  '9^{9^{9^9}}',
  '9^9^9^9',
  '10^{10^{10}}',
  '10^{-10^{10}}',
  '(10^{10^{10}})^{10^{10}}',
  '2^{2^{2^{2^{2^2}}}}',
  '1e9999999',
  '1e-9999999',
  '0^{0^{0}}',
  '1^{10^{100}}',
  '(-1)^{10^{100}}',
  '100000!',
  '9999999999!',
  '5!!!!!',
  '((((10!)!)!)!)!',
  '\\binom{100000}{50000}',
  '\\binom{10^9}{3}',
  '(x+y+z)^{500}',
  '(a+b+c+d+e+f)^{60}',
  '(x+1)^{20000}',
  '((x+1)^{100}+1)^{100}',
  '(((((x+y)^9+1)^9+1)^9+1)^9+1)^9',
  '(1+x)^{(1+x)^{(1+x)}}',
  nested(20),
  nested(90),
  nested(400),
  '('.repeat(3000),
  `${'('.repeat(1900)}1${')'.repeat(1900)}`,
  '{'.repeat(3999),
  `${'-'.repeat(3990)}1`,
  '\\frac'.repeat(700),
  '\\sqrt'.repeat(700),
  `${'\\sqrt{'.repeat(90)}2${'}'.repeat(90)}`,
  `${'\\sin('.repeat(90)}1${')'.repeat(90)}`,
  `${'e^{'.repeat(60)}1${'}'.repeat(60)}`,
  '7'.repeat(3990),
  `0.${'3'.repeat(3980)}`,
  `1/${'7'.repeat(3980)}`,
  `\\sqrt{${'7'.repeat(3900)}}`,
  '\\sqrt{10^{200}+7}',
  '\\sqrt[99]{7}',
  '\\sqrt[0]{7}',
  Array.from({ length: 900 }, (_, i) => `1/${i + 2}`).join('+'),
  Array.from({ length: 500 }, (_, i) => `\\sqrt{${i + 2}}`)
    .join('+')
    .slice(0, 3990),
  Array.from({ length: 80 }, () => '(x+y+1)').join(''),
  Array.from({ length: 600 }, () => '9^9').join('*'),
  Array.from({ length: 1500 }, (_, i) => i)
    .join(',')
    .slice(0, 3900),
  Array.from({ length: 90 }, (_, i) => `\\sin(${i}x)`).join(','),
  '\\pm'.repeat(500),
  '\\pm 1 \\pm 2 \\pm 3 \\pm 4',
  '|'.repeat(3000),
  '||||x||||',
  '\\sin(10^{30})',
  '\\sin(10^{300})',
  '\\tan(\\pi/2)',
  '\\ln(0)',
  '\\log_1 5',
  'e^{e^{e^{e^e}}}',
  '\\ln(\\ln(\\ln(2)))',
  '\\arcsin(2)',
  '0/0',
  '\\infty - \\infty',
  '\\lfloor \\pi^{500} \\rfloor',
  '\\gcd(10^{60}, 10^{61})',
  '\\begin{pmatrix}'.repeat(200),
  '\\begin{pmatrix} 1 & 2 \\\\ 3 \\end{pmatrix}',
  `\\begin{pmatrix} ${'1 & '.repeat(900)} \\end{pmatrix}`,
  '\\text{'.repeat(700),
  '$'.repeat(3999),
  '\\'.repeat(3999),
  '^'.repeat(3999),
  '_'.repeat(3999),
  'x_{'.repeat(900),
  '1'.repeat(30) + '!'.repeat(900),
  '\u{1d7d8}'.repeat(900),
  '\u0000\u202e\ufeff',
  'A'.repeat(3999),
  'a b '.repeat(900),
  '1 or '.repeat(700),
  '(1,2'.repeat(900),
  '\\cup'.repeat(900),
  `${'(1,2)\\cup'.repeat(90)}(3,4)`,
  'x<'.repeat(900),
  '='.repeat(3000),
  `${'1='.repeat(900)}1`,
  '1:'.repeat(900),
]

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
    assert.ok(HOSTILE.length >= 60)
    for (const answer of HOSTILE) {
      for (const reference of REFERENCES) {
        const budget = new WorkBudget()
        const { verdict } = compareTexts(reference, answer, OPTIONS, budget)
        assert.match(verdict, /^(?:wrong|unparsed)$/, `${reference} and ${answer.slice(0, 60)}`)
      }
    }
  })

  it('survives them as references and against themselves', () => {
    for (const [index, answer] of HOSTILE.entries()) {
      assert.match(verdictOf('math', answer, '5').verdict, /^(?:wrong|unparsed)$/, answer.slice(0, 60))
      const other = HOSTILE[(index + 1) % HOSTILE.length]!
      assert.ok(['right', 'wrong', 'unparsed'].includes(verdictOf('math', answer, `${other} `).verdict))
    }
  })

  it('finds boxes in long responses in linear time', () => {
    for (const piece of ['\\boxed{', '\\boxed{}', '}', '{', 'answer is ', '\\boxed{1}, ', '$$', '\n', '\\']) {
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
