import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { builtinVerifier } from '../../src/verifiers/builtin.ts'
import { mathVerifier } from '../../src/verifiers/math/grade.ts'
import { checkTable } from './verdict-table.ts'

describe('math verifier and whole responses', () => {
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
      ['\\textbf{Answer: } 7', 'right'],
      ['so it is\n<answer>7</answer>', 'right'],
      ['<answer> The answer is $7$. </answer>\n', 'right'],
      ['7\n<answer>3</answer>', 'wrong'],
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

  it('takes what GSM8K marks for the answer', () => {
    checkTable('math', '18', [
      ['9 * 2 = 18\n#### 18', 'right'],
      ['The answer is 17.\n#### 18\n', 'right'],
      ['9 * 2 = 18\n#### 26', 'wrong'],
      ['#### Step 2\nThe answer is 18.', 'right'],
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

  it('takes no expression of the question for its answer', () => {
    const rows = [
      ['Factor $x^2 - 5x + 6$.', '(x-2)(x-3)', 'x^2-5x+6', 'wrong'],
      ['Factor $x^2 - 5x + 6$.', '(x-2)(x-3)', '(x-3)(x-2)', 'right'],
      ['Compute $2 + 3$.', '5', '\\boxed{2+3}', 'wrong'],
      ['Compute $2 + 3$.', '5', '\\boxed{3+2}', 'right'],
      ['Compute $\\dfrac{6}{4}$.', '3/2', '\\frac{6}{4}', 'wrong'],
      ['Is it $\\frac{3}{2}$ or $2$?', '1.5', '\\frac{3}{2}', 'right'],
      ['Simplify $\\sqrt{8}$.', '2\\sqrt{2}', '\\sqrt{8}', 'wrong'],
      ['Which is larger, $2^{30}$ or $3^{20}$?', '3^{20}', '3^{20}', 'right'],
      ['Solve $2x+1 = 1 + x$.', '1+x', 'x+1', 'right'],
      ['A board of 5 cm', '0.05 m', '5 cm', 'right'],
    ] as const
    const [refusing, allowing] = [mathVerifier(), mathVerifier({ echoes: 'allowed' })]
    for (const [prompt, reference, completion, verdict] of rows) {
      assert.equal(refusing({ prompt, reference, completion }).verdict, verdict, completion)
      assert.equal(allowing({ prompt, reference, completion }).verdict, 'right')
    }
  })

  it('has the loose rules of the paper by name, to compare with', () => {
    checkTable('math:policy=loose', '\\frac{1}{3}', [
      ['\\boxed{0.33333}', 'right'],
      ['\\boxed{0.333}', 'wrong'],
      ['\\boxed{33.333}', 'right'],
      ['I think it may be 0.33334 or so', 'right'],
      ['The answer is $\\dfrac13$.', 'right'],
      ['The answer is one third.', 'wrong'],
      ['\\boxed{}', 'unparsed'],
      ['no idea', 'unparsed'],
    ])
    checkTable('math:policy=loose', '5 \\text{ cm}', [
      ['so 5', 'right'],
      ['\\boxed{x=5}', 'right'],
      ['\\boxed{500}', 'right'],
      ['5 and then 7', 'wrong'],
    ])
    checkTable('math', '\\frac{1}{3}', [
      ['\\boxed{0.33333}', 'wrong'],
      ['\\boxed{33.333}', 'wrong'],
    ])
    assert.throws(() => builtinVerifier('math:policy=loose,units=required'), { code: 'INVALID_ARGUMENT' })
    assert.throws(() => builtinVerifier('math:policy=paper'), { code: 'INVALID_ARGUMENT' })
  })
})
