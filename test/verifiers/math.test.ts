import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { builtinVerifier } from '../../src/verifiers/builtin.ts'
import { checkTable, verdictOf } from './verdict-table.ts'

describe('math verifier', () => {
  it('finds the answer where it stands', () => {
    checkTable('math', '7', [
      ['7', 'right'],
      ['$7$.', 'right'],
      ['so \\boxed{7}', 'right'],
      ['\\boxed{3}\n\\boxed{7}', 'right'],
      ['\\boxed{3}, \\boxed{7}', 'wrong'],
      ['\\boxed{3} and $\\boxed{7}$', 'wrong'],
      ['\\boxed{\\boxed{7}}', 'right'],
      ['<think>\\boxed{3}</think> The answer is 7.', 'right'],
      ['<think>\\boxed{7}</think>', 'unparsed'],
      ['<think>hm</think> <answer> 7 </answer>', 'right'],
      ['<answer></answer> 7', 'unparsed'],
      ['**Answer: 7**', 'right'],
      ['The final answer is $7$. I am sure.', 'right'],
      ['3 + 4 makes\nx = 7', 'right'],
      ['\\boxed{7', 'unparsed'],
      ['\\boxed{7 +}', 'unparsed'],
      ['\\boxed{\\frac{7}{}}', 'unparsed'],
      ['The answer is unclear from the given information.', 'unparsed'],
      ['\\boxed{7} \\boxed{}', 'unparsed'],
      ['I do not know what to do here at all', 'unparsed'],
      ['', 'unparsed'],
    ])
    checkTable('math:extraction=boxed', '7', [
      ['7', 'unparsed'],
      ['the answer is 7', 'unparsed'],
      ['\\fbox{7}', 'right'],
    ])
  })

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

  it('is not taken in by answers that say several things', () => {
    checkTable('math', '5', [
      ['\\boxed{5 \\text{ or maybe not}}', 'unparsed'],
      ['\\boxed{\\text{5 or 6}}', 'wrong'],
      ['\\boxed{4 = 5}', 'wrong'],
      ['\\boxed{x = 4 = 5}', 'wrong'],
      ['\\boxed{A = x^2 + 1 = 5}', 'right'],
      ['\\boxed{[0, 10]}', 'wrong'],
      ['\\boxed{5x}', 'wrong'],
    ])
    checkTable('math', 'A', [['(A) 1 (B) 2 (C) 3', 'wrong']])
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
