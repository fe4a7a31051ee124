import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { builtinVerifier } from '../../src/verifiers/builtin.ts'
import { checkTable, verdictOf } from './verdict-table.ts'

describe('math verifier', () => {
  it('compares numbers by value', () => {
    checkTable('math', '\\frac{1}{2}', [
      ['0.5', 'right'],
      ['\\frac24', 'right'],
      ['50\\%', 'right'],
      ['½', 'right'],
      ['2^{-1}', 'right'],
      ['\\sin 30^\\circ', 'right'],
      ['0.49999999', 'wrong'],
      ['1/0', 'wrong'],
    ])
    checkTable('math', '1234567', [
      ['1,234,567', 'right'],
      ['1{,}234{,}567', 'right'],
      ['1 234 567', 'right'],
      ['1.234567 \\times 10^6', 'right'],
      ['1.23457e6', 'wrong'],
    ])
    checkTable('math', '2^{1000}', [
      ['4^{500}', 'right'],
      ['2^{1000} + 1', 'wrong'],
    ])
    checkTable('math', '2\\sqrt{2}', [
      ['\\sqrt8', 'right'],
      ['√8', 'right'],
      ['\\frac{4}{\\sqrt{2}}', 'right'],
      ['2.828427', 'right'],
      ['2.82843', 'right'],
      ['2.828', 'wrong'],
      ['2.828426', 'wrong'],
    ])
    checkTable('math', '3.14', [
      ['\\pi', 'right'],
      ['22/7', 'right'],
      ['3.1', 'wrong'],
      ['3.15', 'wrong'],
    ])
    checkTable('math', '0.1\\overline{6}', [['1/6', 'right']])
    checkTable('math', '2\\frac{1}{2}', [
      ['2 1/2', 'right'],
      ['5/2', 'right'],
      ['2\\cdot\\frac12', 'wrong'],
    ])
  })

  it('converts units and reads percentages both ways', () => {
    checkTable('math', '5 \\text{ cm}', [
      ['5', 'right'],
      ['0.05 m', 'right'],
      ['50 mm', 'right'],
      ['5 m', 'wrong'],
      ['5 \\text{ cm}^2', 'wrong'],
    ])
    checkTable('math', '50\\%', [
      ['0.5', 'right'],
      ['50', 'right'],
      ['5', 'wrong'],
    ])
    checkTable('math', '90 minutes', [
      ['1 hour 30 minutes', 'right'],
      ['1.5 h', 'right'],
      ['1 hour and 30 minutes', 'right'],
    ])
    checkTable('math:percent=exact', '50\\%', [
      ['0.5', 'right'],
      ['50', 'wrong'],
    ])
    checkTable('math:units=required', '5 cm', [
      ['5', 'wrong'],
      ['50 mm', 'right'],
    ])
  })

  it('keeps the order of tuples and forgets that of sets', () => {
    checkTable('math', '(1, 2)', [
      ['\\langle 1, 2 \\rangle', 'right'],
      ['\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}', 'right'],
      ['(2, 1)', 'wrong'],
      ['[1, 2]', 'wrong'],
      ['(1, 1)', 'wrong'],
    ])
    checkTable('math', '(0, -6)', [
      ['(7, -2)', 'wrong'],
      ['(1, 1)', 'wrong'],
    ])
    checkTable('math', '(3, 3)', [['(2, 2)', 'wrong']])
    checkTable('math', '40\\%', [['\\$40', 'wrong']])
    checkTable('math:tuples=unordered', '(1, 2)', [['(2, 1)', 'right']])
    checkTable('math', '1, 2', [
      ['\\{2, 1\\}', 'right'],
      ['x = 2 or x = 1', 'right'],
      ['\\frac{3 \\pm 1}{2}', 'right'],
      ['1', 'wrong'],
      ['1, 2, 3', 'wrong'],
    ])
    checkTable('math', '1', [
      ['1, 2', 'wrong'],
      ['1 or 2', 'wrong'],
      ['\\pm 1', 'wrong'],
    ])
  })

  it('knows intervals, inequalities and their unions', () => {
    checkTable('math', '(-\\infty, 3) \\cup (3, \\infty)', [
      ['x \\ne 3', 'right'],
      ['\\mathbb{R} \\setminus \\{3\\}', 'right'],
      ['x < 3 or x > 3', 'right'],
      ['(-\\infty, \\infty)', 'wrong'],
      ['(-\\infty, 3] \\cup (3, \\infty)', 'wrong'],
    ])
    checkTable('math', 'x > 3', [
      ['3 < x', 'right'],
      ['(3, \\infty)', 'right'],
      ['2x - 6 > 0', 'right'],
      ['-x < -3', 'right'],
      ['x \\ge 3', 'wrong'],
      ['y > 3', 'wrong'],
    ])
    checkTable('math', '-2 < x < 2', [
      ['|x| < 2', 'right'],
      ['(-2, 2)', 'right'],
      ['2 > |x|', 'right'],
      ['|x| \\le 2', 'wrong'],
      ['|y| < 2', 'wrong'],
      ['|x - 1| < 2', 'wrong'],
      ['|x| < 3', 'wrong'],
    ])
    checkTable('math', '|x + 1| \\ge 3', [
      ['x \\le -4 \\text{ or } x \\ge 2', 'right'],
      ['(-\\infty, -4] \\cup [2, \\infty)', 'right'],
      ['[-4, 2]', 'wrong'],
      ['|x - 1| \\ge 3', 'wrong'],
    ])
    checkTable('math', '\\mathbb{R} \\setminus \\{1, 2\\}', [
      ['(-\\infty,1)\\cup(1,2)\\cup(2,\\infty)', 'right'],
      ['x \\ne 1, x \\ne 2', 'right'],
      ['x \\ne 1', 'wrong'],
    ])
  })

  it('compares expressions as functions', () => {
    checkTable('math', '\\sin 2x', [
      ['2\\sin x \\cos x', 'right'],
      ['2 sin(x) cos(x)', 'right'],
      ['\\sin 2y', 'wrong'],
      ['\\sin^2 x', 'wrong'],
    ])
    checkTable('math', '(x+1)^3', [
      ['x^3+3x^2+3x+1', 'right'],
      ['x^3+3x^2+3x+1+10^{-30}', 'wrong'],
    ])
    checkTable('math', '\\ln x^2', [
      ['2\\ln x', 'right'],
      ['2\\ln|x|', 'right'],
      ['(\\ln x)^2', 'wrong'],
    ])
    checkTable('math', '|x|', [
      ['\\sqrt{x^2}', 'right'],
      ['x', 'wrong'],
    ])
    checkTable('math', 'x^2 + C', [
      ['C + x \\cdot x', 'right'],
      ['x^2', 'wrong'],
    ])
    checkTable('math', '(-1)^n', [['\\cos(n\\pi)', 'right']])
    checkTable('math', '2x + 3y = 6', [
      ['y = 2 - \\frac{2x}{3}', 'right'],
      ['3y + 2x - 6 = 0', 'right'],
      ['2x + 3y = 5', 'wrong'],
    ])
  })

  it('adds sums up, or compares them by form and at whole numbers', () => {
    checkTable('math', '5050', [
      ['\\sum_{k=1}^{100} k', 'right'],
      ['\\sum_{k=1}^{99} k', 'wrong'],
    ])
    checkTable('math', '\\frac{n(n+1)}{2}', [
      ['\\sum_{i=1}^n i', 'right'],
      ['\\sum_{i=0}^{n-1} i', 'wrong'],
      ['\\sum_{k=1}^{n} j', 'wrong'],
    ])
    checkTable('math', '\\sum_{k=0}^{\\infty} x^k', [
      ['\\sum_{n=0}^\\infty x^n', 'right'],
      ['\\sum_{n=1}^\\infty x^n', 'wrong'],
    ])
    checkTable('math', '\\sum_{i=1}^{3} x_i', [
      ['x_1 + x_2 + x_3', 'right'],
      ['3x_i', 'wrong'],
      ['x_1 + x_2 + x_4', 'wrong'],
    ])
    checkTable('math', '9', [
      ['\\sum_{k=1}^{3} (k+1)', 'right'],
      ['\\sum_{k=1}^{3} k + 1', 'wrong'],
      ['\\sum_{k=1}^{10^9} k', 'wrong', /too large/],
    ])
    for (const name of ['n', 'm', 'x', 'p', 'r', 'a', 'b']) {
      checkTable('math', `${name}!`, [[`\\prod_{k=1}^{${name}} k`, 'right']])
      checkTable('math', `(${name}+1)!`, [
        [`(${name}+1) \\cdot ${name}!`, 'right'],
        [`(${name}+1) + ${name}!`, 'wrong'],
      ])
      checkTable('math', `3^${name}`, [[`\\sum_{k=0}^{${name}} \\binom{${name}}{k} 2^k`, 'right']])
    }
  })

  it('compares functions by cases, whatever their order', () => {
    checkTable('math', '\\begin{cases} 1 & \\text{if } x > 0 \\\\ 0 & \\text{otherwise} \\end{cases}', [
      ['\\begin{cases} 0, & \\text{otherwise} \\\\ 1, & 0 < x \\end{cases}', 'right'],
      ['f(x) = \\begin{cases} 1 \\text{ for } x > 0 \\\\ 0 \\text{ otherwise} \\end{cases}', 'right'],
      ['\\begin{cases} 1 & x \\ge 0 \\\\ 0 & \\text{otherwise} \\end{cases}', 'wrong'],
      ['\\begin{cases} 1 & x > 0 \\end{cases}', 'wrong'],
      ['1', 'wrong'],
    ])
  })

  it('reads angles, ratios, scale words and labels of points', () => {
    checkTable('math', '30.25^\\circ', [
      ["30^\\circ 15'", 'right'],
      ["30^{\\circ}15'0''", 'right'],
      ["30^\\circ 25'", 'wrong'],
    ])
    checkTable('math', '3:4', [
      ['12:16', 'right'],
      ['3 \\text{ to } 4', 'right'],
      ['4:3', 'wrong'],
    ])
    checkTable('math', '1500000', [
      ['\\$1.5 \\text{ million}', 'right'],
      ['1.5 million dollars', 'right'],
      ['1.5 billion', 'wrong'],
    ])
    checkTable('math', '60', [
      ['m\\angle ABC = 60^\\circ', 'right'],
      ['AB = 60', 'right'],
      ['AB = 61', 'wrong'],
    ])
    checkTable('math', 'AB = 5', [['BC = 5', 'wrong']])
    checkTable('math', '18', [
      ['\\$18 per day', 'right'],
      ['\\text{approximately } 18', 'right'],
      ['f^{-1}(x) = 18', 'right'],
    ])
    checkTable('math', '\\$18 \\text{ per day}', [
      ['18 dollars a day', 'right'],
      ['\\$18 per week', 'wrong'],
      ['\\$18', 'wrong'],
    ])
    checkTable('math', '\\emptyset', [
      ['\\text{no solution}', 'right'],
      ['0', 'wrong'],
    ])
    checkTable('math', 'x = 1, y = 2', [
      ['(1, 2)', 'right'],
      ['(2, 1)', 'wrong'],
      ['y = 2, x = 1', 'right'],
    ])
    checkTable('math', '135 minutes', [['2 \\text{ hours and } 15 \\text{ minutes}', 'right']])
    checkTable('math', 'x \\equiv 3 \\pmod{7}', [
      ['x \\equiv 3 \\pmod 7', 'right'],
      ['x \\equiv 4 \\pmod 7', 'wrong'],
    ])
  })

  it('reads letters, words, dates and times', () => {
    checkTable('math', 'B', [
      ['\\textbf{(B)}\\ 42', 'right'],
      ['(B)', 'right'],
      ['C', 'wrong'],
      ['42', 'wrong'],
      ['B, C', 'wrong'],
    ])
    checkTable('math', '\\text{Yes}', [
      ['yes.', 'right'],
      ['no', 'wrong'],
    ])
    checkTable('math', 'July 4, 1776', [
      ['1776-07-04', 'right'],
      ['the 4th of July 1776', 'right'],
      ['July 5, 1776', 'wrong'],
    ])
    checkTable('math', '3:30 PM', [
      ['15:30', 'right'],
      ['3:30', 'wrong'],
    ])
    checkTable('math', '101_2', [
      ['101_{2}', 'right'],
      ['5', 'wrong'],
    ])
  })

  it('runs in process, refuses unknown options and abstains without a reference', () => {
    assert.equal(builtinVerifier('math').isBounded, true)
    assert.throws(() => builtinVerifier('math:extraction=anywhere'), { code: 'INVALID_ARGUMENT' })
    assert.throws(() => builtinVerifier('math:unit=required'), { code: 'INVALID_ARGUMENT' })
    assert.equal(verdictOf('math', ' ', '1').reward, null)
  })
})
