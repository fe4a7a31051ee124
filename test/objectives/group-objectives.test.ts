import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectiveKind, ObjectiveSpec } from '../../src/objective-options.ts'
import { assignAdvantages, resolveObjective } from '../../src/objectives.ts'
import { policyLoss } from '../../src/policy-loss.ts'
import { assertNear } from './assert-near.ts'
import { seeded } from './cases.ts'
import { plainKernel } from './plain-kernel.ts'

// What holds between the objectives, and of each, on any batch.

interface Rollouts {
  rewards: number[]
  groupIds: number[]
  /** Tokens of each completion. */
  lengths: number[]
}

/** Groups of 5, 5, 3, 3 and 1; the rewards of the fourth are equal. Members are not neighbours. */
function randomRollouts(seed: number): Rollouts {
  const uniform = seeded(seed)
  const groupIds = [0, 1, 2, 0, 3, 1, 2, 0, 4, 1, 0, 3, 1, 2, 0, 3, 1]
  return {
    groupIds,
    rewards: groupIds.map((group) => (group === 3 ? 0.3 : Math.round(8 * uniform()) / 8 + 0.01 * uniform())),
    lengths: groupIds.map(() => 1 + Math.floor(9 * uniform())),
  }
}

function advantagesOf({ rewards, groupIds, lengths }: Rollouts, spec: ObjectiveSpec): number[] {
  const offsets = [0]
  for (const length of lengths) offsets.push(offsets.at(-1)! + length)
  const columns = { rewards, groupIds, completions: { offsets } }
  return [...assignAdvantages(columns, resolveObjective(spec)).rowAdvantages]
}

const rowsOf = ({ groupIds }: Rollouts, group: number) =>
  [...groupIds.keys()].filter((row) => groupIds[row] === group)
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)

/** Each kind that compares completions of a prompt, with nothing left out. */
const COMPARING: ObjectiveSpec[] = [
  { kind: 'reinforce', baseline: 'group' },
  { kind: 'grpo' },
  { kind: 'dr-grpo', constant: 1 },
  { kind: 'dapo', filterGroups: 'none' },
  { kind: 'gspo' },
  { kind: 'rloo' },
  { kind: 'opo' },
  { kind: 'gpg' },
]

for (const seed of [1, 2, 3]) {
  const rollouts = randomRollouts(seed)
  const centred = advantagesOf(rollouts, { kind: 'dr-grpo', constant: 1 })

  test(`a constant on top of every reward changes no comparing objective, a group of one gets 0 (${seed})`, () => {
    const shifted = { ...rollouts, rewards: rollouts.rewards.map((reward) => reward + 2) }
    for (const spec of [...COMPARING, { kind: 'reinforce++-baseline' } as const]) {
      const advantages = advantagesOf(rollouts, spec)
      assertNear(advantagesOf(shifted, spec), advantages, 1e-9)
      assert.ok(new Set(advantages).size > 5, spec.kind)
    }
    for (const spec of COMPARING) {
      for (const row of [...rowsOf(rollouts, 3), ...rowsOf(rollouts, 4)])
        assert.equal(advantagesOf(rollouts, spec)[row], 0, spec.kind)
    }
  })

  test(`advantages of a group sum to 0, opo's when weighed by length (${seed})`, () => {
    for (const spec of COMPARING) {
      const advantages = advantagesOf(rollouts, spec)
      for (const group of [0, 1, 2]) {
        const rows = rowsOf(rollouts, group)
        const weights = rows.map((row) => (spec.kind === 'opo' ? rollouts.lengths[row]! : 1))
        assertNear([sum(rows.map((row, i) => weights[i]! * advantages[row]!))], [0], 1e-12)
      }
    }
  })

  test(`where the formulas meet, so do the numbers (${seed})`, () => {
    const size = rollouts.groupIds.map((group) => rowsOf(rollouts, group).length)
    assertNear(
      advantagesOf(rollouts, { kind: 'rloo' }),
      centred.map((value, row) => (size[row] === 1 ? 0 : (value * size[row]!) / (size[row]! - 1))),
    )
    assertNear(advantagesOf(rollouts, { kind: 'reinforce', baseline: 'group' }), centred)
    assertNear(advantagesOf(rollouts, { kind: 'grpo', scaleRewards: 'none' }), centred)
    assertNear(advantagesOf({ ...rollouts, lengths: size.map(() => 4) }, { kind: 'opo' }), centred)
    const grpo = advantagesOf(rollouts, { kind: 'grpo' })
    assertNear(advantagesOf(rollouts, { kind: 'dapo', filterGroups: 'none' }), grpo)
    assertNear(advantagesOf(rollouts, { kind: 'gspo' }), grpo)
    // 4 of the 17 rows are in groups of equal rewards.
    const alpha = 17 / 13
    assertNear(
      advantagesOf(rollouts, { kind: 'gpg' }),
      centred.map((value) => alpha * value),
    )
    assertNear(advantagesOf(rollouts, { kind: 'gpg', filterGroups: 'constant' }), centred)
    assertNear(
      advantagesOf(rollouts, { kind: 'gpg', scaleRewards: 'group' }),
      grpo.map((value) => alpha * value),
    )
  })

  test(`reinforce++-baseline: mean 0 and deviation 1 over the batch's tokens (${seed})`, () => {
    for (const std of ['sample', 'population'] as const) {
      const advantages = advantagesOf(rollouts, { kind: 'reinforce++-baseline', std, stdEpsilon: 0 })
      const tokens = rollouts.lengths.flatMap((length, row) => Array<number>(length).fill(advantages[row]!))
      const squares = sum(tokens.map((value) => value * value))
      assertNear([sum(tokens), squares], [0, std === 'sample' ? tokens.length - 1 : tokens.length], 1e-10)
    }
  })

  test(`reinforce with the batch's mean sums to 0 over the batch (${seed})`, () => {
    const advantages = advantagesOf(rollouts, { kind: 'reinforce', baseline: 'batch' })
    assertNear([sum(advantages)], [0], 1e-12)
    assertNear(
      advantages.map((value) => value - advantages[0]!),
      rollouts.rewards.map((reward) => reward - rollouts.rewards[0]!),
    )
  })
}

test('maxrl: (1 - p) / p for a right completion and -1 for a wrong one; negative rewards are refused', () => {
  const rollouts = {
    rewards: [1, 0, 0, 0, 1, 1, 0, 0],
    groupIds: [0, 0, 0, 0, 1, 1, 2, 2],
    lengths: Array(8).fill(1),
  }
  const advantages = advantagesOf(rollouts, { kind: 'maxrl', meanEpsilon: 0 })
  assertNear(advantages, [3, -1, -1, -1, 0, 0, 0, 0])
  assert.throws(() => advantagesOf({ ...rollouts, rewards: [1, -1, 0, 0, 1, 1, 0, 0] }, { kind: 'maxrl' }), {
    code: 'INVALID_ARGUMENT',
    message: /rewards, row 1: .*at least 0/,
  })
})

test('a signed baseline is that of +1 and -1', () => {
  const rollouts = { rewards: [0.2, 0, 7, 0], groupIds: [0, 0, 0, 0], lengths: [1, 1, 1, 1] }
  const spec = { kind: 'reinforce', rewards: 'signed', baseline: 'group' } as const
  assertNear(advantagesOf(rollouts, spec), [1, -1, 1, -1])
  const scaled = { ...spec, scaleRewards: 'batch', std: 'sample', stdEpsilon: 0 } as const
  assertNear(
    advantagesOf(rollouts, scaled),
    [1, -1, 1, -1].map((value) => value / Math.sqrt(4 / 3)),
  )
  const uneven = { ...rollouts, rewards: [1, 0, 0, 0] }
  assertNear(advantagesOf(uneven, { ...spec, scaleRewards: 'group', std: 'population', stdEpsilon: 0 }), [
    1.5 / Math.sqrt(0.75),
    ...Array(3).fill(-0.5 / Math.sqrt(0.75)),
  ])
})

test('the returns of reinforce++ by hand, and the baseline of remax', () => {
  const columns = {
    rewards: [1, 0],
    completions: { offsets: [2, 5, 6], mask: [0, 0, 1, 0, 1, 1] },
    klLogprobs: { old: [-1, -9, -1, -2], ref: [-1.5, -1, -1, -2.5] },
  }
  // Row 0 earns -0.1 * 0.5 with its first token, 1 with its last; row 1 earns -0.05. The second token of row 0 is not the policy's.
  const spec = { kind: 'reinforce++', beta: 0.1, gamma: 0.5, std: 'population', stdEpsilon: 0 } as const
  const returns = [-0.05 + 0.5, 1, -0.05]
  const mean = returns.reduce((sum, value) => sum + value, 0) / 3
  const scale = Math.sqrt(returns.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 3)
  const { rowAdvantages, tokenAdvantages } = assignAdvantages(columns, resolveObjective(spec))
  const [first, last, other] = returns.map((value) => (value - mean) / scale)
  assertNear(
    [...tokenAdvantages!].filter((_, t) => t !== 1),
    [first!, last!, other!],
  )
  assertNear([...rowAdvantages], [(first! + last!) / 2, other!])
  const remax = resolveObjective({ kind: 'remax' })
  const given = { rewards: [1, 0, 1], baselineRewards: [1, 0.5, null] }
  const { keptRows, rowAdvantages: greedy, metrics } = assignAdvantages(given, remax)
  assert.deepEqual([[...keptRows], [...greedy], metrics.baseline_reward], [[0, 1], [0, -0.5, 0], 0.75])
  assert.throws(() => assignAdvantages({ rewards: [1] }, remax), /baselineRewards: /)
})

test('objectives that weigh lengths ask for the completions, those that compare for group ids', () => {
  const rewards = [1, 0]
  const groupIds = [0, 0]
  for (const kind of ['opo', 'reinforce++-baseline'] as const) {
    assert.throws(() => assignAdvantages({ rewards, groupIds }, resolveObjective({ kind })), /completions: /)
  }
  for (const spec of COMPARING) {
    const columns = { rewards, completions: { offsets: [0, 1, 2] } }
    assert.throws(() => assignAdvantages(columns, resolveObjective(spec)), /groupIds: /, spec.kind)
  }
})

test("what would make another objective of one is refused, with the objective's reason", () => {
  const refused = (spec: { kind: ObjectiveKind } & Record<string, unknown>, message: RegExp) =>
    assert.throws(() => resolveObjective(spec as ObjectiveSpec), { code: 'INVALID_ARGUMENT', message })
  refused(
    { kind: 'dr-grpo', constant: 8, scaleRewards: 'group' },
    /scaleRewards.*'dr-grpo' divides by no deviation/,
  )
  refused({ kind: 'dr-grpo' }, /aggregation: .*divisor is missing/)
  refused({ kind: 'gspo', importanceSamplingLevel: 'token' }, /'gspo' has one ratio for a completion/)
  refused({ kind: 'rloo', scaleRewards: 'batch' }, /'rloo' divides by no deviation/)
  refused({ kind: 'rloo', epsilon: 0.2 }, /no ratio to clip/)
  refused({ kind: 'opo', scaleRewards: 'group' }, /'opo' divides by no deviation/)
  refused({ kind: 'gpg', scaleRewards: 'batch' }, /'gpg' divides by 1 or by the deviation of the group/)
  refused({ kind: 'maxrl', scaleRewards: 'group' }, /'maxrl' divides by the group's mean/)
  refused({ kind: 'reinforce++-baseline', scaleRewards: 'batch' }, /deviation of its advantages/)
  refused({ kind: 'reinforce++', scaleRewards: 'group' }, /deviation of its advantages/)
  refused({ kind: 'reinforce++', surrogate: 'gmpo' }, /has an advantage for each token/)
  refused({ kind: 'reinforce++', gamma: 1.5 }, /gamma/)
  refused({ kind: 'remax', scaleRewards: 'batch' }, /'remax' divides by no deviation/)
  refused({ kind: 'reinforce', scaleRewards: 'group' }, /'reinforce' takes its advantages as they are/)
  refused({ kind: 'reinforce', baseline: 'batch', scaleRewards: 'group' }, /would divide by 0/)
  refused({ kind: 'grpo', baseline: 'group' }, /unknown option 'baseline'/)
  refused({ kind: 'psr', filterGroups: 'all' }, /objective\.filterGroups: .*none, constant/)
})

test('filterGroups drops rows, so that denominators count the others alone; advantage 0 does not', () => {
  const logprobs = [[-1, -2], [-0.5], [-1.5, -0.25, -1], [-2]]
  const batch = { logprobs, rewards: [1, 0, 1, 1], groupIds: [0, 0, 1, 1] }
  const gradients = (spec: ObjectiveSpec) =>
    policyLoss(batch, spec, plainKernel).tokenGradients.map(([first]) => first!)
  const spec = { kind: 'dr-grpo', aggregation: 'token-mean' } as const
  assertNear(gradients(spec), [-0.5 / 7, 0.5 / 7, 0, 0])
  assertNear(gradients({ ...spec, filterGroups: 'constant' }), [-0.5 / 3, 0.5 / 3, 0, 0])
  const constant = { kind: 'dr-grpo', constant: 10 } as const
  assertNear(gradients({ ...constant, filterGroups: 'constant' }), gradients(constant))
})

test('filterGroups: its metrics, its batch, and who is asked for', () => {
  const rewards = [1, 0, 1, 1, null, 0, 0, 1]
  const groupIds = [0, 0, 1, 1, 1, 2, 2, 3]
  const finishReasons = ['stop', 'stop', 'stop', 'length', 'stop', 'stop', 'stop', 'stop'] as const
  const assign = (spec: ObjectiveSpec) =>
    assignAdvantages({ rewards, groupIds, finishReasons }, resolveObjective(spec))
  const { metrics, keptRows } = assign({
    ...{ kind: 'reinforce', baseline: 'batch', filterGroups: 'constant', maskTruncatedCompletions: true },
  })
  assert.deepEqual([...keptRows], [0, 1])
  assert.equal(metrics.filtered_groups, 3)
  // The truncated row and the one that abstains could not take part anyway.
  assert.equal(metrics.filtered_rows, 4)
  assert.equal(metrics.kept_rows, 2)
  assert.equal(metrics.reward, 4 / 7, 'what the rollouts were like, all of them')
  assert.equal(metrics.frac_reward_zero_std, 3 / 4)
  assertNear(
    [...assign({ kind: 'reinforce', baseline: 'batch', filterGroups: 'constant' }).rowAdvantages],
    [0.5, -0.5, 0, 0, 0, 0, 0, 0],
  )
  // Left out of the batch's mean even where it could not have taken part.
  const truncated = assignAdvantages(
    { rewards: [1, 0, 1, 1], groupIds: [0, 0, 1, 1], finishReasons: ['stop', 'stop', 'length', 'length'] },
    resolveObjective({
      ...{ kind: 'reinforce', baseline: 'batch', filterGroups: 'constant', maskTruncatedCompletions: true },
    }),
  )
  assertNear([...truncated.rowAdvantages], [0.5, -0.5, 0, 0])
  assert.deepEqual([truncated.metrics.filtered_groups, truncated.metrics.filtered_rows], [1, 0])
  assert.ok(!('filtered_groups' in assign({ kind: 'reinforce' }).metrics))
  const spec: ObjectiveSpec = { kind: 'psr', filterGroups: 'constant' }
  assert.throws(() => assignAdvantages({ rewards }, resolveObjective(spec)), /groupIds: .*filterGroups/)
})

test('gspo keeps a whole completion or none: its clip is on the ratio of the completion', () => {
  const batch = {
    logprobs: [
      [-1, -1],
      [-1, -1],
    ],
    oldLogprobs: [
      [-1.01, -0.9905],
      [-1.0001, -1.0001],
    ],
    rewards: [1, 0],
    groupIds: [0, 0],
  }
  // Mean log-ratios: (0.01 - 0.0095) / 2 = 2.5e-4 and 1e-4, both within [1 - 3e-4, 1 + 4e-4].
  const inside = policyLoss(batch, { kind: 'gspo' }, plainKernel)
  assert.equal(inside.metrics['clip_ratio/region_mean'], 0)
  const outside = policyLoss(
    {
      ...batch,
      oldLogprobs: [
        [-1.01, -0.991],
        [-1.0001, -1.0001],
      ],
    },
    { kind: 'gspo' },
    plainKernel,
  )
  assert.equal(outside.metrics['clip_ratio/high_mean'], 0.5)
  assert.deepEqual(outside.tokenGradients[0], Float64Array.of(0, 0))
  assert.ok(outside.tokenGradients[1]!.every((gradient) => gradient > 0))
})
