import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectiveSpec } from '../../src/objective-options.ts'
import {
  assignAdvantages,
  computeAdvantages,
  OBJECTIVE_KINDS,
  resolveObjective,
} from '../../src/objectives.ts'
import { policyLoss } from '../../src/policy-loss.ts'
import { assertNear } from './assert-near.ts'
import { randomSpecs, SPECS, specsFor } from './cases.ts'
import { plainKernel } from './plain-kernel.ts'

const RIGHT_AND_WRONG = { rewards: [1, 0, 0, 1, 1], groupIds: [0, 0, 0, 1, 1] }

function rowsAndAdvantages(rewards: (number | null)[], groupIds: number[], spec: ObjectiveSpec) {
  const { keptRows, rowAdvantages } = assignAdvantages({ rewards, groupIds }, resolveObjective(spec))
  return { rows: [...keptRows], advantages: [...rowAdvantages] }
}

function refused(spec: unknown, message: RegExp): void {
  assert.throws(() => resolveObjective(spec as ObjectiveSpec), { code: 'INVALID_ARGUMENT', message })
}

test('the defaults are the documented ones', () => {
  const common = {
    epsilon: 0.2,
    epsilonHigh: 0.2,
    delta: null,
    importanceSamplingLevel: 'token',
    surrogate: 'clip',
    sapoTemperaturePos: null,
    sapoTemperatureNeg: null,
    beta: 0,
    klKind: 'k3',
    klIn: 'loss',
    entropyCoefficient: 0,
    scaleRewards: 'none',
    aggregation: 'token-mean',
    constant: null,
    filterGroups: 'none',
    importanceCorrection: 'none',
    importanceCorrectionMin: null,
    importanceCorrectionMax: null,
    maskTruncatedCompletions: false,
    unparsed: 'wrong',
    timedOut: 'mask',
  }
  assert.deepEqual(resolveObjective({ kind: 'psr' }), { kind: 'psr', ...common })
  assert.deepEqual(resolveObjective({ kind: 'nsr' }), { kind: 'nsr', ...common })
  assert.deepEqual(resolveObjective({ kind: 'w-reinforce' }), {
    ...{ kind: 'w-reinforce', lambda: 0.1, lambdaSchedule: 'constant', lambdaFinal: null },
    ...{ targetEntropy: null, lambdaRate: 0.1, lambdaMin: 0, lambdaMax: 1 },
    ...common,
  })
  const unclipped = { ...common, importanceSamplingLevel: 'none', epsilon: null, epsilonHigh: null }
  const division = { std: 'sample', stdEpsilon: 1e-4 }
  assert.deepEqual(resolveObjective({ kind: 'reinforce' }), {
    ...{ kind: 'reinforce', rewards: 'given', baseline: 'none', ...division },
    ...unclipped,
  })
  const relative = { ...division, ...common, scaleRewards: 'group' }
  assert.deepEqual(resolveObjective({ kind: 'grpo' }), { kind: 'grpo', ...relative })
  assert.deepEqual(resolveObjective({ kind: 'dapo' }), {
    ...{ kind: 'dapo', ...relative, epsilonHigh: 0.28, filterGroups: 'constant' },
  })
  assert.deepEqual(resolveObjective({ kind: 'gspo' }), {
    ...{ kind: 'gspo', ...relative, epsilon: 3e-4, epsilonHigh: 4e-4 },
    ...{ importanceSamplingLevel: 'sequence', aggregation: 'sequence-mean-token-mean' },
  })
  assert.deepEqual(resolveObjective({ kind: 'dr-grpo', constant: 7 }), {
    ...{ kind: 'dr-grpo', ...common, aggregation: 'constant', constant: 7 },
  })
  assert.deepEqual(resolveObjective({ kind: 'rloo' }), {
    ...{ kind: 'rloo', ...unclipped, aggregation: 'sequence-mean-token-sum' },
  })
  assert.deepEqual(resolveObjective({ kind: 'reinforce++-baseline' }), {
    ...{ kind: 'reinforce++-baseline', ...division, ...common },
  })
  assert.deepEqual(resolveObjective({ kind: 'opo' }), { kind: 'opo', ...common })
  assert.deepEqual(resolveObjective({ kind: 'gpg' }), { kind: 'gpg', ...division, ...unclipped })
  assert.deepEqual(resolveObjective({ kind: 'maxrl' }), { kind: 'maxrl', meanEpsilon: 1e-6, ...common })
  const bySequence = { ...relative, aggregation: 'sequence-mean-token-mean' }
  const unbounded = { epsilon: null, epsilonHigh: null }
  assert.deepEqual(resolveObjective({ kind: 'cispo' }), {
    ...{ kind: 'cispo', ...relative, surrogate: 'cispo', epsilon: null, epsilonHigh: 4 },
  })
  assert.deepEqual(resolveObjective({ kind: 'gmpo' }), {
    ...{ kind: 'gmpo', ...bySequence, surrogate: 'gmpo', importanceSamplingLevel: 'sequence' },
    ...{ epsilon: 0.4, epsilonHigh: 0.4 },
  })
  assert.deepEqual(resolveObjective({ kind: 'sapo' }), {
    ...{ kind: 'sapo', ...bySequence, ...unbounded, surrogate: 'sapo' },
    ...{ sapoTemperaturePos: 1, sapoTemperatureNeg: 1.05 },
  })
  assert.deepEqual(resolveObjective({ kind: 'topr' }), {
    ...{ kind: 'topr', ...common, ...unbounded, surrogate: 'topr', positiveWeight: 1, negativeWeight: 1 },
  })
  assert.deepEqual(resolveObjective({ kind: 'gspo-token' }), {
    ...{ kind: 'gspo-token', ...bySequence, importanceSamplingLevel: 'sequence-token' },
    ...{ epsilon: 3e-4, epsilonHigh: 4e-4 },
  })
})

test('a surrogate brings its own clip and ratio, whatever the objective has under another', () => {
  const clip = (spec: ObjectiveSpec) => {
    const { epsilon, epsilonHigh, importanceSamplingLevel } = resolveObjective(spec)
    return [epsilon, epsilonHigh, importanceSamplingLevel]
  }
  assert.deepEqual(clip({ kind: 'dapo', surrogate: 'gmpo' }), [0.4, 0.4, 'sequence'])
  assert.deepEqual(clip({ kind: 'dapo', surrogate: 'gmpo', epsilon: 0.1 }), [0.1, 0.1, 'sequence'])
  assert.deepEqual(clip({ kind: 'rloo', surrogate: 'cispo' }), [null, 4, 'token'])
  assert.deepEqual(clip({ kind: 'cispo', epsilon: 0.2 }), [0.2, 4, 'token'])
  assert.deepEqual(clip({ kind: 'dapo', surrogate: 'clip' }), [0.2, 0.28, 'token'])
  const refused: [ObjectiveSpec, RegExp][] = [
    [{ kind: 'nsr', surrogate: 'sapo', epsilon: 0.2 }, /epsilon: 0.2 cannot be: surrogate 'sapo' has a gate/],
    [{ kind: 'cispo', delta: 3 }, /delta: 3 cannot be: surrogate 'cispo' cuts the ratio/],
    [{ kind: 'topr', epsilonHigh: 1 }, /epsilonHigh: 1 cannot be: surrogate 'topr' cuts the ratio at 1/],
    [{ kind: 'gmpo', importanceSamplingLevel: 'token' }, /"token" cannot be: surrogate 'gmpo' is one mean/],
    [{ kind: 'sapo', importanceSamplingLevel: 'none' }, /"none" cannot be: surrogate 'sapo' is a gate/],
    [{ kind: 'gspo', surrogate: 'sapo', importanceSamplingLevel: 'sequence' }, /'gspo' clips its ratio/],
    [{ kind: 'gmpo', surrogate: 'clip' }, /surrogate: "clip" cannot be: 'gmpo' is its surrogate/],
    [{ kind: 'psr', sapoTemperaturePos: 2 }, /sapoTemperaturePos: 2 cannot be: surrogate 'clip' has no gate/],
    [{ kind: 'sapo', sapoTemperatureNeg: 0 }, /sapoTemperatureNeg: .*a number greater than 0/],
    [{ kind: 'topr', scaleRewards: 'batch' }, /'topr' takes its advantages as they are/],
  ]
  for (const [spec, reason] of refused)
    assert.throws(() => resolveObjective(spec), reason, JSON.stringify(spec))
})

test('the cases that kernels are held to have every objective', () => {
  assert.deepEqual([...new Set(specsFor([]).map(({ kind }) => kind))].sort(), [...OBJECTIVE_KINDS].sort())
})

test('a resolved objective resolves to itself, also after a trip through JSON', () => {
  let resolvedSpecs = 0
  for (const spec of [...SPECS, ...randomSpecs(400, 3)]) {
    let resolved: ReturnType<typeof resolveObjective>
    try {
      resolved = resolveObjective(spec)
    } catch {
      continue
    }
    resolvedSpecs++
    assert.deepEqual(resolveObjective(resolved), resolved)
    assert.deepEqual(resolveObjective(JSON.parse(JSON.stringify(resolved))), resolved)
  }
  assert.ok(resolvedSpecs > SPECS.length + 50, `${resolvedSpecs} specifications resolved`)
})

test('epsilonHigh follows epsilon, undefined stands for absent, Infinity and null for no clip', () => {
  const widths = (spec: object) => {
    const { epsilon, epsilonHigh } = resolveObjective({ kind: 'psr', ...spec })
    return [epsilon, epsilonHigh]
  }
  assert.deepEqual(widths({ epsilon: 0.1 }), [0.1, 0.1])
  assert.deepEqual(widths({ epsilon: undefined, epsilonHigh: 0.28 }), [0.2, 0.28])
  assert.deepEqual(widths({ epsilon: Number.POSITIVE_INFINITY }), [null, null])
  assert.deepEqual(widths({ epsilon: null, epsilonHigh: 5 }), [null, 5])
})

test('unknown keys, values out of range and contradictions are refused with the reason', () => {
  refused(undefined, /objective: .*kind: 'nsr'/)
  refused({ kind: 'nrs' }, /objective\.kind: .*did you mean 'nsr'/)
  refused({ kind: 'nsr', lamda: 0.1 }, /unknown option 'lamda'/)
  refused({ kind: 'nsr', lambda: 0.1 }, /unknown option 'lambda'/)
  refused({ kind: 'grpo', numIterations: 2 }, /unknown option 'numIterations'/)
  refused({ kind: 'psr', epsilonhigh: 0.2 }, /did you mean 'epsilonHigh'/)
  refused({ kind: 'w-reinforce', lambda: -1 }, /objective\.lambda: .*number from 0/)
  refused({ kind: 'w-reinforce', lambda: Number.NaN }, /objective\.lambda/)
  refused({ kind: 'psr', epsilon: -0.1 }, /objective\.epsilon: .*number from 0/)
  refused({ kind: 'psr', epsilon: '0.2' }, /objective\.epsilon/)
  refused({ kind: 'psr', delta: 1 }, /objective\.delta: .*greater than 1/)
  refused({ kind: 'psr', beta: Number.POSITIVE_INFINITY }, /objective\.beta/)
  refused({ kind: 'psr', klKind: 'k4' }, /one of k1, k2, k3/)
  refused({ kind: 'psr', maskTruncatedCompletions: 1 }, /true or false/)
  refused({ kind: 'psr', aggregation: 'constant' }, /divisor is missing/)
  refused({ kind: 'psr', aggregation: 'constant', constant: 0 }, /greater than 0/)
  refused({ kind: 'psr', constant: 3 }, /'token-mean' does not divide by it/)
  refused({ kind: 'psr', scaleRewards: 'group' }, /'psr' takes its advantages as they are.*would give 0/)
  refused({ kind: 'reinforce', epsilon: 0.2 }, /no ratio to clip/)
  refused({ kind: 'grpo', importanceSamplingLevel: 'none', delta: 3 }, /no ratio to clip/)
})

test('options beside the objective count, and contradict it only when they differ', () => {
  assert.equal(resolveObjective({ kind: 'nsr' }, { epsilon: 0.1 }).epsilon, 0.1)
  assert.equal(resolveObjective({ kind: 'nsr', beta: 0.5 }, { beta: 0.5 }).beta, 0.5)
  assert.throws(
    () => resolveObjective({ kind: 'nsr', beta: 0.5 }, { beta: 0.1 }),
    /0.5 in the objective and 0.1 beside/,
  )
  assert.throws(() => resolveObjective({ kind: 'nsr' }, { lambda: 0.1 } as object), /unknown option 'lambda'/)
})

test('psr keeps the right rows at +1, nsr the wrong ones at -1, w-reinforce all', () => {
  const { rewards, groupIds } = RIGHT_AND_WRONG
  assert.deepEqual(rowsAndAdvantages(rewards, groupIds, { kind: 'psr' }), {
    rows: [0, 3, 4],
    advantages: [1, 0, 0, 1, 1],
  })
  assert.deepEqual(rowsAndAdvantages(rewards, groupIds, { kind: 'nsr' }), {
    rows: [1, 2],
    advantages: [0, -1, -1, 0, 0],
  })
  assert.deepEqual(rowsAndAdvantages(rewards, groupIds, { kind: 'w-reinforce', lambda: 0.25 }), {
    rows: [0, 1, 2, 3, 4],
    advantages: [0.25, -1, -1, 0.25, 0.25],
  })
})

test('right means reward > 0, whatever the numbers', () => {
  const kept = (rewards: number[]) =>
    rowsAndAdvantages(
      rewards,
      rewards.map(() => 0),
      { kind: 'psr' },
    ).rows
  assert.deepEqual(kept([1, 0, 1]), [0, 2])
  assert.deepEqual(kept([1, -1, 1]), [0, 2])
  assert.deepEqual(kept([0.001, -0, -0.001]), [0])
})

test('reinforce takes rewards as given or signed', () => {
  const rewards = [0.5, 0, -2]
  assert.deepEqual(rowsAndAdvantages(rewards, [0, 0, 0], { kind: 'reinforce' }).advantages, [0.5, 0, -2])
  const signed = rowsAndAdvantages(rewards, [0, 0, 0], { kind: 'reinforce', rewards: 'signed' })
  assert.deepEqual(signed.advantages, [1, -1, -1])
})

test('grpo: sample and population deviation, by group, by batch and without', () => {
  const rewards = [1, 0, 0, 0, 3, 1]
  const groupIds = [7, 7, 7, 7, 9, 9]
  const advantages = (spec: object) =>
    rowsAndAdvantages(rewards, groupIds, { kind: 'grpo', stdEpsilon: 0, ...spec }).advantages
  assertNear(advantages({}), [0.75 / 0.5, -0.5, -0.5, -0.5, Math.SQRT1_2, -Math.SQRT1_2])
  const population = Math.sqrt(0.1875)
  assertNear(
    advantages({ std: 'population' }),
    [0.75, -0.25, -0.25, -0.25].map((d) => d / population).concat(1, -1),
  )
  assertNear(advantages({ scaleRewards: 'none' }), [0.75, -0.25, -0.25, -0.25, 1, -1])
  // All six rewards: mean 5/6, squared deviations 41/6.
  const batch = Math.sqrt(41 / 6 / 5)
  assertNear(
    advantages({ scaleRewards: 'batch' }),
    [0.75, -0.25, -0.25, -0.25, 1, -1].map((d) => d / batch),
  )
  assertNear(advantages({ stdEpsilon: 0.5 }).slice(0, 1), [0.75])
})

test('grpo: a group without variance and a group of one get exactly 0, and still count', () => {
  const rewards = [0.1, 0.1, 0.1, 0.7]
  const { rows, advantages } = rowsAndAdvantages(rewards, [0, 0, 0, 1], { kind: 'grpo', stdEpsilon: 0 })
  assert.deepEqual(rows, [0, 1, 2, 3])
  assert.deepEqual(advantages, [0, 0, 0, 0])
})

test('grpo without group ids is refused, the others do without', () => {
  const rewards = [1, 0]
  assert.throws(
    () => assignAdvantages({ rewards }, resolveObjective({ kind: 'grpo' })),
    /groupIds: .*group baseline/,
  )
  const { metrics } = assignAdvantages({ rewards }, resolveObjective({ kind: 'nsr' }))
  assert.deepEqual(metrics, { reward: 0.5, accuracy: 0.5, kept_rows: 1, empty_class: 0 })
})

test('an empty class is told apart from a batch in which nobody takes part', () => {
  const empty = (rewards: (number | null)[], spec: ObjectiveSpec) => {
    const { emptyClass, keptRows, metrics } = assignAdvantages(
      {
        rewards,
        groupIds: rewards.map(() => 0),
        baselineRewards: rewards.map(() => 0),
        completions: { offsets: [0, ...rewards.map((_, i) => i + 1)] },
      },
      resolveObjective(spec),
    )
    assert.equal(metrics.empty_class, emptyClass === null ? 0 : 1)
    assert.equal(keptRows.length === 0, emptyClass !== null)
    return emptyClass
  }
  assert.equal(empty([0, 0], { kind: 'psr' }), 'no-right-completion')
  assert.equal(empty([1, 1], { kind: 'nsr' }), 'no-wrong-completion')
  assert.equal(empty([1, 1], { kind: 'psr' }), null)
  for (const kind of OBJECTIVE_KINDS) {
    const spec = (kind === 'dr-grpo' ? { kind, constant: 8 } : { kind }) as ObjectiveSpec
    assert.equal(empty([null, null], spec), 'no-completion')
    assert.equal(empty([], spec), 'no-completion')
    assert.equal(empty([0, 0], { ...spec, filterGroups: 'constant' }), 'no-mixed-group')
    if (kind !== 'psr') assert.equal(empty([0, 0], { ...spec, filterGroups: 'none' }), null)
  }
  assert.equal(empty([0, 1], { kind: 'psr', filterGroups: 'constant' }), null)
})

test('computeAdvantages repeats a row over its tokens and leaves rows that are not kept null', () => {
  const completions = { offsets: [4, 6, 9, 9, 10, 12] }
  const { column, emptyClass } = computeAdvantages(
    RIGHT_AND_WRONG,
    completions,
    resolveObjective({ kind: 'nsr' }),
  )
  assert.equal(emptyClass, null)
  assert.deepEqual(column.offsets, Int32Array.of(0, 2, 5, 5, 6, 8))
  assert.deepEqual(column.values, Float32Array.of(0, 0, -1, -1, -1, 0, 0, 0))
  assert.deepEqual(column.valid, Uint8Array.of(0, 1, 1, 0, 0))
  assert.throws(
    () => computeAdvantages(RIGHT_AND_WRONG, { offsets: [0, 1] }, resolveObjective({ kind: 'nsr' })),
    {
      code: 'SHAPE_MISMATCH',
    },
  )
})

test('the KL comes off the reward before the baseline, and what the verifier gave stays in the metrics', () => {
  const batch = {
    logprobs: [[-1, -1], [-2], [-1]],
    refLogprobs: [[-2, -3], [-2], [-0.5]],
    rewards: [1, 0, 0],
    groupIds: [0, 0, 0],
  }
  // The sums of k1 = log-prob - reference log-prob are 3, 0 and -0.5: the rewards become 0.7, 0 and 0.05, their mean 0.25.
  const spec: ObjectiveSpec = { kind: 'opo', beta: 0.1, klKind: 'k1', klIn: 'reward' }
  const { tokenGradients, metrics } = policyLoss(
    batch,
    { ...spec, kind: 'dr-grpo', constant: 1 },
    plainKernel,
  )
  assertNear(
    tokenGradients.map((row) => -row[0]!),
    [0.45, -0.25, -0.2],
    1e-12,
  )
  assert.equal(metrics.reward, 1 / 3)
  // Equal rewards are told apart by their KL, but filtered as what they were.
  const equal = { ...batch, rewards: [0, 0, 0] }
  assert.notEqual(policyLoss(equal, spec, plainKernel).tokenGradients[0]![0], 0)
  const filtered = policyLoss(equal, { ...spec, filterGroups: 'constant' }, plainKernel)
  assert.equal(filtered.emptyClass, 'no-mixed-group')
  for (const kind of ['psr', 'nsr', 'w-reinforce', 'topr', 'maxrl'] as const) {
    assert.throws(() => resolveObjective({ kind, beta: 0.1, klIn: 'reward' }), /klIn: "reward" cannot be/)
  }
  assert.throws(() => resolveObjective({ kind: 'rloo', klIn: 'reward' }), /beta is 0/)
  const { refLogprobs: _, ...without } = batch
  assert.throws(() => policyLoss(without, spec, plainKernel), /refLogprobs/)
})
