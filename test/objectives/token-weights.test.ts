import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectiveOptions } from '../../src/objective-options.ts'
import { weighTokens } from '../../src/objectives/token-weights.ts'
import { resolveObjective } from '../../src/objectives.ts'
import { lossParams } from '../../src/policy-loss.ts'
import { BATCHES, toBatch } from './cases.ts'
import { plainKernel } from './plain-kernel.ts'

// Rows of 3, 2, 0, 4 and 1 tokens in a sliced column; the third token of row 0 and all of row 1 are masked.
const COMPLETIONS = { offsets: [2, 5, 7, 7, 11, 12], mask: [9, 9, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1] }
const ADVANTAGES = { rowAdvantages: [1, 2, 3, 4, 5] }

function weigh(rows: number[], options: ObjectiveOptions = {}) {
  return weighTokens(rows, ADVANTAGES, COMPLETIONS, resolveObjective({ kind: 'psr', ...options }), 'f64')!
}

test('tokens are laid out in the order of the rows asked for', () => {
  const weights = weigh([3, 0])
  assert.deepEqual(weights.rows, Int32Array.of(3, 0))
  assert.deepEqual(weights.offsets, Int32Array.of(0, 4, 7))
  assert.deepEqual(weights.advantages, Float64Array.of(4, 4, 4, 4, 1, 1, 1))
  assert.deepEqual(weights.norm, Float64Array.of(1 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 6, 1 / 6, 0))
  assert.equal(weights.activeTokens, 6)
})

test('each aggregation divides by its own denominator; rows without an active token count in none', () => {
  const norms = (options: ObjectiveOptions) => [...weigh([0, 1, 2, 3], options).norm]
  const shares = (short: number, long: number) => [short, short, 0, 0, 0, long, long, long, long]
  assert.deepEqual(norms({}), shares(1 / 6, 1 / 6))
  assert.deepEqual(norms({ aggregation: 'sequence-mean-token-mean' }), shares(1 / 4, 1 / 8))
  assert.deepEqual(norms({ aggregation: 'sequence-mean-token-sum' }), shares(1 / 2, 1 / 2))
  assert.deepEqual(norms({ aggregation: 'constant', constant: 40 }), shares(1 / 40, 1 / 40))
})

test('no active token is no step', () => {
  const psr = resolveObjective({ kind: 'psr' })
  assert.equal(weighTokens([1, 2], ADVANTAGES, COMPLETIONS, psr, 'f32'), null)
  assert.equal(weighTokens([], ADVANTAGES, COMPLETIONS, psr, 'f32'), null)
})

test('rows, offsets and masks that do not fit are refused', () => {
  const psr = resolveObjective({ kind: 'psr' })
  const refused = (rows: number[], completions: object, message: RegExp) =>
    assert.throws(
      () => weighTokens(rows, ADVANTAGES, { ...COMPLETIONS, ...completions }, psr, 'f32'),
      (error: Error) => message.test(error.message),
    )
  refused([5], {}, /rows: .*from 0 to 4/)
  refused([-1], {}, /rows/)
  refused([0.5], {}, /rows/)
  refused([0], { offsets: [] }, /offsets: .*rows \+ 1/)
  refused([0], { offsets: [0, 3, 2] }, /offsets, entry 2: .*at least 3/)
  refused([0], { offsets: [-1, 3] }, /offsets, entry 0/)
  refused([0], { mask: [1, 1, 1] }, /mask: .*at least 12 entries/)
})

test('cutting a batch into micro-batches changes neither loss nor gradient', () => {
  const rows = BATCHES['mixed, later update']!
  const { mask, logprobs, oldLogprobs } = toBatch(rows)
  const offsets = [0]
  for (const row of rows) offsets.push(offsets.at(-1)! + row.lp.length)
  const all = rows.map((_, i) => i)
  for (const aggregation of ['token-mean', 'sequence-mean-token-mean', 'sequence-mean-token-sum'] as const) {
    const objective = resolveObjective({
      kind: 'w-reinforce',
      aggregation,
      importanceSamplingLevel: 'sequence',
    })
    const advantages = { rowAdvantages: rows.map((row) => (row.reward ? 0.1 : -1)) }
    const completions = { offsets, mask: mask.flat() }
    const weights = weighTokens(all, advantages, completions, objective, 'f64')!
    const run = (from: number, to: number) => {
      const begin = weights.offsets[from]!
      const end = weights.offsets[to]!
      return plainKernel.policyLoss(
        {
          logprobs: Float64Array.from(logprobs.slice(from, to).flat()),
          oldLogprobs: Float64Array.from(oldLogprobs.slice(from, to).flat()),
          refLogprobs: null,
          entropies: null,
          advantages: weights.advantages.slice(begin, end),
          norm: weights.norm.slice(begin, end),
          offsets: weights.offsets.slice(from, to + 1).map((offset) => offset - begin),
        },
        lossParams(objective),
      )
    }
    const whole = run(0, rows.length)
    const parts = [run(0, 3), run(3, 4), run(4, rows.length)]
    assert.deepEqual(
      parts.flatMap((part) => [...part.dLogprobs]),
      [...whole.dLogprobs],
    )
    const loss = parts.reduce((sum, part) => sum + part.loss, 0)
    assert.ok(Math.abs(loss - whole.loss) < 1e-15)
    const active = parts.reduce((sum, part) => sum + part.stats.activeTokens, 0)
    assert.equal(active, weights.activeTokens)
  }
})
