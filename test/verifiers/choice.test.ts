import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkTable, verdictOf } from './verdict-table.ts'

describe('choice verifier', () => {
  it('takes the last box, then what is announced, then the last line', () => {
    checkTable('choice', 'B', [
      ['B', 'right'],
      ['(b)', 'right'],
      ['**B) Paris**', 'right'],
      ['\\boxed{A}\nNo:\n\\boxed{\\textbf{(B)}\\ 42}', 'right'],
      ['\\boxed{B}. The answer is C', 'right'],
      ['The answer is C. No, the correct answer is option B because it is larger', 'right'],
      ['Final answer: `B`.\n\nA and C were too small.', 'right'],
      ['**Answer**: B', 'right'],
      ['### Answer\n\n**(B)**', 'right'],
      ['The answer is:\n\n(B)', 'right'],
      ['The best choice is $\\text{B}$', 'right'],
      ['(A) is too small.\n(B)', 'right'],
      ['<think>The answer is C</think>B.', 'right'],
      ['<think>hm</think>\n<answer>\nB\n</answer>', 'right'],
      ['The answer is C', 'wrong', /C instead of B/],
      ['\\boxed{C}\nThe answer is B', 'wrong', /C instead of B/],
    ])
    checkTable('choice', '(J)', [['J: none of these', 'right']])
  })

  it('does not guess', () => {
    checkTable('choice', 'B', [
      ['', 'unparsed', /no answer/],
      ['\\boxed{}', 'unparsed', /empty box/],
      ['\\boxed{B', 'unparsed', /does not close/],
      ['It must be B', 'unparsed', /no letter/],
      ['B\nbut I am not sure about it', 'unparsed', /no letter/],
      ['The answer is not A', 'unparsed', /no letter/],
      ['Because of that', 'unparsed', /no letter/],
      ['\\boxed{42}\nThe answer is B', 'unparsed', /no letter/],
      ['K', 'unparsed', /no letter/],
    ])
  })

  it('calls several letters wrong', () => {
    checkTable('choice', 'B', [
      ['The answer is A or B', 'wrong', /several/],
      ['\\boxed{A}, \\boxed{B}', 'wrong', /several/],
      ['A, B, C, D', 'wrong', /several/],
      ['(B) 42 (C) 7', 'wrong', /several/],
    ])
  })

  it('abstains on a reference that is no letter', () => {
    for (const reference of ['', '2', 'K', 'Paris', 'A dog'])
      assert.equal(verdictOf('choice', reference, 'A').reward, null)
  })
})
