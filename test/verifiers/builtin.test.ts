import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from '../../src/tasks/random.ts'
import { builtinVerifier, verifierNames } from '../../src/verifiers/builtin.ts'
import { checkTable, verdictOf } from './verdict-table.ts'

describe('countdown verifier', () => {
  it('judges steps', () => {
    checkTable('countdown', '3 5 7 2 > 24', [
      ['7 + 5 12 12 * 2 24 24 - 3 21', 'wrong', /misses the target/],
      ['5 * 3 15 15 + 7 22 22 + 2 24', 'right'],
      ['5 * 3 = 15\n15 + 7 = 22\n22 + 2 = 24', 'right'],
      ['5*3=15, 15+7=22, 22+2=24', 'right'],
      ['5 * 3 16 16 + 7 23 23 + 1 24', 'wrong', /5 \* 3 is not 16/],
      ['5 * 3 15 15 + 7 22 22 + 3 25', 'wrong', /no 3 left/],
      ['5 * 3 15 15 + 9 24', 'wrong', /no 9 left/],
      ['5 * 3 15 15 + 7 22', 'wrong', /leaves 2 numbers/],
      ['5 * 3 15 15 + 7', 'unparsed'],
      ['5 * 3 15 15 + 7 22 22 + 2 24 >', 'unparsed'],
      ['3 - 3 0', 'wrong', /no 3 left/],
    ])
    checkTable('countdown', '4 6 > 24', [
      ['4 * 6 24', 'right'],
      ['4 / 0 24', 'wrong'],
    ])
    checkTable('countdown', '4 1 1 > 4', [
      ['4 / 1 4 4 * 1 4', 'right'],
      ['1 / 4 0 4 * 1 4', 'wrong', /1 \/ 4 is not 0/],
    ])
  })

  it('judges free expressions as TinyZero does: any valid one over the numbers counts', () => {
    checkTable('countdown', '3 5 7 2 > 24', [
      ['5*3+7+2', 'right'],
      ['(2 + 7) + 3 * 5 = 24', 'right'],
      ['I think so.\n<answer> 3*5 + 2 + 7 </answer>', 'right'],
      ['so that \\boxed{5 × 3 + 7 + 2}', 'right'],
      ['Let me see.\n5*3+7+2 = 24', 'right'],
      ['<answer>1</answer> no, <answer>7+2+3*5</answer>', 'right'],
      ['5*3+7+2 = 25', 'wrong', /is not 25/],
      ['5*3+7', 'wrong', /exactly once/],
      ['5*3+7+2+2-2', 'wrong', /exactly once/],
      ['24', 'wrong', /exactly once/],
      ['(5+3)*7/2', 'wrong', /misses/],
      ['5/(7-5-2)*3', 'wrong'],
      ['<answer>seven</answer>', 'unparsed'],
      ['', 'unparsed'],
      ['5*3+7+2 = 24 = 24', 'unparsed'],
    ])
    checkTable('countdown', '3 8 3 8 > 24', [['8/(3-8/3)', 'right']])
    checkTable('countdown', '2 2 2 > 1', [['2/(2-2)', 'wrong', /divides by zero/]])
  })

  it('abstains on a reference that is none', () => {
    for (const reference of ['', '24', '3 5 > ', '3 5 > x', `${'1 '.repeat(60)}> 3`, '99999999999 > 1']) {
      const { verdict, reward } = verdictOf('countdown', reference, '3 + 5 8')
      assert.deepEqual([verdict, reward], ['unparsed', null])
    }
  })
})

describe('walk verifier', () => {
  it('judges walks', () => {
    checkTable('walk', '[12] [0] [01]', [
      ['0 2 1', 'right'],
      [' 2\t1 0\n', 'right'],
      ['1 0 2', 'right'],
      ['0 1 2', 'wrong', /no arc from 1 to 2/],
      ['0 1 0', 'wrong', /twice/],
      ['0 2', 'wrong', /2 nodes instead of 3/],
      ['0 2 1 0', 'wrong', /4 nodes/],
      ['0 2 3', 'unparsed'],
      ['02 1', 'unparsed'],
      ['[12] 0', 'unparsed'],
      ['', 'unparsed'],
    ])
    checkTable(
      'walk',
      Array.from({ length: 12 }, (_, i) => `[${i < 11 ? (i + 1).toString(36) : ''}]`).join(' '),
      [
        ['0 1 2 3 4 5 6 7 8 9 a b', 'right'],
        ['0 1 2 3 4 5 6 7 8 9 b a', 'wrong'],
      ],
    )
  })

  it('abstains on a reference that is none', () => {
    for (const reference of ['', '12 0', '[3] [0]', '[] '.repeat(40)]) {
      assert.equal(verdictOf('walk', reference, '0 1').reward, null, reference)
    }
  })
})

describe('arithmetic verifier', () => {
  it('judges scratchpads', () => {
    checkTable('arithmetic', '(3+4)*2-5', [
      ['7*2-5=14-5=9', 'right'],
      ['9', 'right'],
      [' 14 - 5 = 9 ', 'right'],
      ['7*2-5=15-5=10', 'wrong', /15-5/],
      ['7*2-5=15-5=9', 'wrong', /15-5/],
      ['10', 'wrong'],
      ['7*2-5', 'unparsed'],
      ['7*2-5=14-5=', 'unparsed'],
      ['7*2-5=14-5=9=', 'unparsed'],
      ['nine', 'unparsed'],
      ['', 'unparsed'],
      ['9/0', 'unparsed'],
      ['9/0=9', 'wrong'],
    ])
    checkTable('arithmetic', '3-5', [['-2', 'right']])
    checkTable('arithmetic', '1/3', [['1', 'wrong']])
    assert.equal(verdictOf('arithmetic', '3-', '2').reward, null)
    assert.equal(verdictOf('arithmetic', '3/0', '2').reward, null)
  })
})

describe('exact verifier', () => {
  it('compares texts', () => {
    checkTable('exact', 'Yes', [
      ['Yes', 'right'],
      [' Yes\n', 'right'],
      ['yes', 'wrong'],
      ['Yes.', 'wrong'],
      ['  ', 'unparsed'],
    ])
    checkTable('exact:ignoreCase=true', 'Yes', [['yES', 'right']])
  })
})

describe('numeric verifier', () => {
  it('compares numbers exactly, however they are written', () => {
    checkTable('numeric', '0.5', [
      ['1/2', 'right'],
      ['.50', 'right'],
      ['50%', 'right'],
      ['5e-1', 'right'],
      ['the answer is 0.5.', 'right'],
      ['\\boxed{\\frac{1}{2}}', 'right'],
      ['\\boxed{\\dfrac{2}{4}}', 'right'],
      ['1\n#### 0.5', 'right'],
      ['<answer>0.50</answer> or 3', 'right'],
      ['0.5000000000000000000000000000001', 'wrong'],
      ['-0.5', 'wrong'],
      ['0.5 and 1', 'wrong'],
      ['half', 'unparsed'],
      ['\\boxed{x} 0.5', 'unparsed'],
      ['1/0', 'unparsed'],
      ['', 'unparsed'],
    ])
    checkTable('numeric', '1234567', [
      ['1,234,567', 'right'],
      ['It costs $1,234,567.', 'right'],
      ['\\boxed{1{,}234{,}567}', 'unparsed'],
      ['+1234567', 'right'],
      ['1234567.0', 'right'],
      ['1.234567e6', 'right'],
      ['1234568', 'wrong'],
    ])
    checkTable('numeric', '-3', [
      ['10-13=-3', 'right'],
      ['−3', 'right'],
      ['10-3', 'wrong'],
    ])
    checkTable('numeric', '2', [
      ['[1,2]', 'right'],
      ['1,2', 'right'],
    ])
    const big = '9'.repeat(400)
    checkTable('numeric', big, [
      [big, 'right'],
      [`${'9'.repeat(399)}8`, 'wrong'],
    ])
  })

  it('allows the tolerance that was asked for, and not a hair more', () => {
    checkTable('numeric:tolerance=0.1', '1', [
      ['1.1', 'right'],
      ['0.9', 'right'],
      ['1.1000000000000000000001', 'wrong'],
    ])
    checkTable('numeric:relativeTolerance=0.01', '-200', [
      ['-202', 'right'],
      ['-202.01', 'wrong'],
    ])
  })

  it('reads no number that is too long for bounded work', () => {
    checkTable('numeric', '1', [
      ['1'.repeat(2000), 'unparsed'],
      ['1e9999', 'unparsed'],
      ['1e99999999999', 'unparsed'],
    ])
    assert.equal(verdictOf('numeric', 'x', '1').reward, null)
  })
})

describe('regex verifier', () => {
  it('searches for the reference', () => {
    checkTable('regex', '^a+b$', [
      ['aab', 'right'],
      ['aabc', 'wrong'],
    ])
    checkTable('regex', '/HELLO/i', [['well, hello there', 'right']])
    assert.equal(verdictOf('regex', '(', 'x').reward, null)
  })
})

/** Seconds that this process computed, whether or not something else held it up meanwhile. */
function processorTime(work: () => void): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1e6
}

/** A verifier's name with the options that it cannot do without. */
const spec = (name: string) => (name === 'overlong' ? 'overlong:maxLength=10,cache=5' : name)

describe('built-in verifiers', () => {
  it('are found by name, with options', () => {
    assert.deepEqual([...verifierNames].sort(), [
      'arithmetic',
      'choice',
      'countdown',
      'exact',
      'format',
      'json-schema',
      'math',
      'numeric',
      'overlong',
      'regex',
      'walk',
    ])
    assert.deepEqual(
      verifierNames.filter((name) => !builtinVerifier(spec(name)).isBounded),
      ['regex', 'json-schema'],
    )
    assert.equal(builtinVerifier('format:pattern=^a{1,3}$').isBounded, false)
    const bad = [
      'countdwn',
      '',
      'toString',
      'walk:depth=1',
      'numeric:tolerance',
      'numeric:tolerance=',
      'numeric:tolerance=-1',
      'numeric:tolerance=x',
      'exact:ignoreCase=1',
      'numeric:tol=1',
      'json-schema:schema=',
      'json-schema:file=a.json',
      'format:template=xml',
      'format:thinking=no',
      'format:pattern=(',
      'format:template=think,pattern=a,b',
      `format:pattern=${'a'.repeat(10_001)}`,
      'overlong',
      'overlong:maxLength=100',
      'overlong:maxLength=100,cache=',
      'overlong:maxLength=100,cache=101',
      'overlong:maxLength=0,cache=0',
      'overlong:maxLength=10,cache=1.5',
    ]
    for (const each of bad) assert.throws(() => builtinVerifier(each), { code: 'INVALID_ARGUMENT' }, each)
    assert.throws(() => builtinVerifier('numric'), { message: /did you mean 'numeric'/ })
  })

  it('answer hostile completions and references with a verdict, at once', () => {
    const random = new Random(1, 'hostile')
    const alphabet = [
      ...'0123456789+-*/()=<>[].,:e%$\\{} \n#a…😀\0',
      '<answer>',
      '</answer>',
      '\\boxed{',
      '####',
      '\ud800',
    ]
    const fixed = [
      ' '.repeat(300_000),
      '9'.repeat(300_000),
      '('.repeat(300_000),
      '\\boxed{'.repeat(50_000),
      '<answer>'.repeat(50_000),
      '1,'.repeat(100_000),
      ',111'.repeat(100_000),
      '1 + '.repeat(100_000),
      '1='.repeat(100_000),
      '-'.repeat(300_000),
      '0 '.repeat(100_000),
      '\\frac{'.repeat(50_000),
      `1${'*9'.repeat(499)}`,
      `1${'/9'.repeat(499)}`,
    ]
    const texts = [...fixed]
    for (let i = 0; i < 400; i++)
      texts.push(Array.from({ length: random.below(40) }, () => random.pick(alphabet)).join(''))
    const references: Record<string, string> = {
      countdown: '3 5 7 2 > 24',
      walk: '[12] [0] [01]',
      arithmetic: '(3+4)*2-5',
      exact: 'x',
      numeric: '7',
      math: '7',
      choice: 'B',
    }
    const judging = [...verifierNames.map(spec), 'format:template=boxed'].filter((name) => {
      const { isBounded, isShaping = false } = builtinVerifier(name)
      return isBounded && !isShaping
    })
    // Bounded is what takes some passes over a text; work that grows with its square takes a hundred thousand of them. Processor
    // time by processor time of the same run: neither the machine's speed nor what else it does decides.
    const longest = texts.reduce((a, b) => (b.length > a.length ? b : a))
    const passes = 20
    const onePass =
      processorTime(() => {
        for (let i = 0; i < passes; i++) longest.replaceAll(/[^ ]/g, '')
      }) / passes
    for (const name of judging) {
      for (const text of texts) {
        const took = processorTime(() => {
          assert.notEqual(verdictOf(name, references[name] ?? '', text).verdict, 'timed-out')
          verdictOf(name, text, '1')
        })
        assert.ok(
          took < 100 * onePass,
          `${name}: as long as ${took / onePass} passes over a text: ${text.slice(0, 20)}...`,
        )
      }
    }
  })
})
