import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runInNewContext } from 'node:vm'
import { Random } from '../../src/tasks/random.ts'
import { canonicalForm, evaluate, numbersIn, parseExpression } from '../../src/verifiers/expression.ts'

function fractionOf(text: string): string | undefined {
  const expression = parseExpression(text)
  if (expression === undefined) return undefined
  const value = evaluate(expression)
  return value === undefined ? 'none' : `${value.numerator}/${value.denominator}`
}

describe('expressions', () => {
  it('are read with the usual precedence, from left to right', () => {
    const values: Record<string, string> = {
      '1+2*3': '7/1',
      '(1+2)*3': '9/1',
      '10-4-3': '3/1',
      '24/4/3': '24/12',
      ' 7 - -2 ': '9/1',
      '-(2+3)*4': '-20/1',
      '--5': '5/1',
      '1/3+1/6': '9/18',
      '2 × 3 − 8 ÷ 4': '16/4',
      '5/(2-4)': '-5/2',
      '007': '7/1',
    }
    for (const [text, value] of Object.entries(values)) assert.equal(fractionOf(text), value, text)
    assert.equal(fractionOf('1/(2-2)'), 'none')
    assert.deepEqual(numbersIn(parseExpression('3*(5-3)+12')!), [3n, 5n, 3n, 12n])
  })

  it('agree with JavaScript on random whole-number expressions', () => {
    const random = new Random(1, 'expressions')
    const make = (depth: number): string => {
      if (depth === 0 || random.chance(0.2)) return String(random.below(20))
      const text = `${make(depth - 1)}${random.pick(['+', '-', '*'])}${make(depth - 1)}`
      return random.chance(0.5) ? `(${text})` : text
    }
    for (let i = 0; i < 300; i++) {
      const text = make(4)
      assert.equal(fractionOf(text), `${runInNewContext(text)}/1`, text)
    }
  })

  it('are nothing else', () => {
    const bad = [
      '',
      ' ',
      '+',
      '1+',
      '*2',
      '(1',
      '1)',
      '2(3)',
      '(2)3',
      '1 2',
      '1.5',
      'x',
      '2**3',
      '2^3',
      '()',
      '1=1',
      '1e3',
      '٣',
    ]
    for (const text of bad) assert.equal(parseExpression(text), undefined, text)
    assert.equal(parseExpression(`${'('.repeat(80)}1${')'.repeat(80)}`), undefined)
    assert.equal(parseExpression(`${'-'.repeat(80)}1`), undefined)
    assert.equal(parseExpression(`1${'+1'.repeat(600)}`), undefined)
    assert.equal(fractionOf(`1${'+1'.repeat(400)}`), '401/1')
    assert.ok(fractionOf(Array(300).fill('99').join('*'))!.length > 500)
  })

  it('have one canonical form for every order and grouping', () => {
    const same = [
      ['3+(4+1*2)', '2*1+4+3', '(4+3)+1*2'],
      ['7-(3-2)', '7+2-3', '2-(3-7)'],
      ['8/(4/2)', '2*8/4', '8*2/4'],
      ['-(1-2)', '2-1'],
      ['(1+2)*(3+4)', '(4+3)*(2+1)'],
    ]
    const forms = same.map((group) => {
      const found = new Set(group.map((text) => canonicalForm(parseExpression(text)!)))
      assert.equal(found.size, 1, group.join(' | '))
      return [...found][0]
    })
    assert.equal(new Set(forms).size, forms.length)
    assert.notEqual(canonicalForm(parseExpression('3+4+2')!), canonicalForm(parseExpression('3+(4+1*2)')!))
    assert.notEqual(canonicalForm(parseExpression('12+3')!), canonicalForm(parseExpression('1+23')!))
  })
})
