import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectiveOptions } from '../../src/objective-options.ts'
import type { JudgedColumns } from '../../src/objectives/judged-rows.ts'
import { assignAdvantages, resolveObjective } from '../../src/objectives.ts'
import { assertNear } from './assert-near.ts'

const GRADED: JudgedColumns = {
  rewards: [1, 0, 0.1, 0, null, 1],
  verdicts: ['right', 'wrong', 'unparsed', 'timed-out', 'unparsed', 'right'],
  groupIds: [0, 0, 0, 0, 0, 1],
  finishReasons: ['stop', 'stop', 'length', 'cancelled', 'stop', 'length'],
}

const keptBy = (kind: 'psr' | 'nsr', options: ObjectiveOptions = {}) => [
  ...assignAdvantages(GRADED, resolveObjective({ kind, ...options })).keptRows,
]

test('unparsed counts as wrong even with a reward, timed-out is masked, null abstains', () => {
  assert.deepEqual(keptBy('psr'), [0, 5])
  assert.deepEqual(keptBy('nsr'), [1, 2])
})

test('the verdict policy can mask the unparsed and count the timed-out', () => {
  assert.deepEqual(keptBy('nsr', { unparsed: 'mask' }), [1])
  assert.deepEqual(keptBy('nsr', { timedOut: 'wrong' }), [1, 2, 3])
  assert.deepEqual(keptBy('nsr', { unparsed: 'mask', timedOut: 'wrong' }), [1, 3])
})

test('truncated completions can be masked, whatever stopped them', () => {
  const options: ObjectiveOptions = { maskTruncatedCompletions: true, timedOut: 'wrong' }
  assert.deepEqual(keptBy('psr', options), [0])
  assert.deepEqual(keptBy('nsr', options), [1])
  const { finishReasons: _, ...without } = GRADED
  assert.throws(
    () => assignAdvantages(without, resolveObjective({ kind: 'psr', maskTruncatedCompletions: true })),
    /finishReasons: .*maskTruncatedCompletions/,
  )
})

test('masked rows leave the statistics of their group, truncated ones stay in them', () => {
  const advantages = (options: ObjectiveOptions) => [
    ...assignAdvantages(GRADED, resolveObjective({ kind: 'grpo', scaleRewards: 'none', ...options }))
      .rowAdvantages,
  ]
  assertNear(advantages({}), [1 - 1.1 / 3, -1.1 / 3, 0.1 - 1.1 / 3, 0, 0, 0])
  assertNear(advantages({ unparsed: 'mask' }), [0.5, -0.5, 0, 0, 0, 0])
  assertNear(advantages({ maskTruncatedCompletions: true }), [1 - 1.1 / 3, -1.1 / 3, 0, 0, 0, 0])
})

test('metrics known before the forward pass', () => {
  const { metrics } = assignAdvantages(
    {
      rewards: [1, 1, 0, 1, 0, 0, 0.5],
      groupIds: [5, 5, 6, 6, 8, 8, 2],
      verdicts: ['right', 'right', 'wrong', 'right', 'wrong', 'unparsed', 'right'],
    },
    resolveObjective({ kind: 'w-reinforce' }),
  )
  assert.equal(metrics.reward, 0.5)
  assert.equal(metrics.accuracy, 4 / 7)
  assert.equal(metrics.reward_std, Math.SQRT1_2 / 4)
  assert.equal(metrics.frac_reward_zero_std, 3 / 4)
  assert.equal(metrics.frac_all_right, 2 / 4)
  assert.equal(metrics.unparsed_rate, 1 / 7)
  assert.equal(metrics.timed_out_rate, 0)
  assert.equal(metrics.kept_rows, 7)
})

test('a batch without a counted row has no rates made of nothing', () => {
  const rewards = [null, null]
  const { metrics } = assignAdvantages({ rewards, groupIds: [0, 0] }, resolveObjective({ kind: 'nsr' }))
  assert.deepEqual(metrics, { kept_rows: 0, empty_class: 1 })
})

test('columns that do not fit, rewards that are no numbers and unknown verdicts are refused by row', () => {
  const psr = resolveObjective({ kind: 'psr' })
  const refused = (columns: object, expected: object) =>
    assert.throws(() => assignAdvantages({ ...GRADED, ...columns } as JudgedColumns, psr), expected)
  refused({ verdicts: ['right'] }, { code: 'SHAPE_MISMATCH', message: /verdicts: .*expected 6 entries/ })
  refused({ groupIds: [0] }, { code: 'SHAPE_MISMATCH', message: /groupIds/ })
  refused({ finishReasons: [] }, { code: 'SHAPE_MISMATCH', message: /finishReasons/ })
  refused(
    { rewards: [1, 0, Number.NaN, 0, 0, 0] },
    { code: 'INVALID_ARGUMENT', message: /rewards, row 2: .*NaN/ },
  )
  refused({ rewards: [1, 0, 0, 0, 0, undefined] }, { code: 'INVALID_ARGUMENT', message: /rewards, row 5/ })
  refused(
    { verdicts: ['right', 'wrong', 'timeout', null, null, null] },
    { message: /verdicts, row 2: .*"timeout"/ },
  )
})
