import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectiveSpec } from '../../src/objective-options.ts'
import { type PolicyLossBatch, policyLoss } from '../../src/policy-loss.ts'
import { declareAgreementTests } from './agreement.ts'
import { assertNear } from './assert-near.ts'
import { BATCHES, toBatch } from './cases.ts'
import { plainKernel } from './plain-kernel.ts'

declareAgreementTests('policyLoss over the plain kernel', plainKernel, { loss: 1e-12, gradient: 1e-9 })

const MIXED = BATCHES['mixed, later update']!

function gradients(spec: ObjectiveSpec, batch: PolicyLossBatch = toBatch(MIXED)): number[] {
  const { tokenGradients } = policyLoss(batch, spec, plainKernel)
  return [...tokenGradients].flatMap((row) => (typeof row === 'number' ? [row] : [...row]))
}

test('nsr by dropped rows is not nsr by advantage 0: the denominator and the entropy bonus differ', () => {
  // Advantage 0 for right rows is w-reinforce at lambda 0: the right tokens still count in the mean and feel the bonus.
  const dropped = policyLoss(toBatch(MIXED), { kind: 'nsr', entropyCoefficient: 0.01 }, plainKernel)
  const zeroed = policyLoss(
    toBatch(MIXED),
    { kind: 'w-reinforce', lambda: 0, entropyCoefficient: 0.01 },
    plainKernel,
  )
  const ratio = zeroed.metrics.num_active_tokens! / dropped.metrics.num_active_tokens!
  assert.ok(ratio > 1.5, `the kept class has ${dropped.metrics.num_active_tokens} tokens`)
  assertNear(
    dropped.tokenGradients.flatMap((row) => [...row]),
    zeroed.tokenGradients.flatMap((row) => [...row].map((value) => value * ratio)),
  )
  const bonusOnRightRow = (result: typeof dropped) => [...result.entropyGradients![0]!]
  assert.ok(bonusOnRightRow(dropped).every((value) => value === 0))
  assert.ok(bonusOnRightRow(zeroed).every((value) => value < 0))
})

test('the decomposition of the paper holds where the denominator is one: lambda PSR + NSR = W-REINFORCE', () => {
  const shared = { aggregation: 'constant', constant: 10 } as const
  const right = gradients({ kind: 'psr', ...shared })
  const wrong = gradients({ kind: 'nsr', ...shared })
  for (const lambda of [0, 0.1, 1]) {
    const weighted = gradients({ kind: 'w-reinforce', lambda, ...shared })
    assertNear(
      weighted,
      right.map((value, i) => lambda * value + wrong[i]!),
    )
  }
  const signed = gradients({
    kind: 'reinforce',
    rewards: 'signed',
    importanceSamplingLevel: 'token',
    ...shared,
  })
  assertNear(signed, gradients({ kind: 'w-reinforce', lambda: 1, ...shared }))
})

test('on a first update every importance level and every clip gives the gradient of REINFORCE', () => {
  const first = toBatch(BATCHES['mixed, first update']!)
  const plain = gradients({ kind: 'w-reinforce', importanceSamplingLevel: 'none' }, first)
  for (const options of [{}, { epsilon: null }, { epsilon: 0.01 }, { delta: 3 }]) {
    assertNear(gradients({ kind: 'w-reinforce', ...options }, first), plain)
  }
  assertNear(gradients({ kind: 'w-reinforce' }, { ...first, oldLogprobs: first.logprobs }), plain)
})

test('clipped tokens are counted: below for a negative advantage, above for a positive one', () => {
  const log = Math.log
  const batch = {
    logprobs: [[log(0.7), log(0.9), log(1.3)].map((ratio) => ratio - 2), [log(0.7) - 2, log(1.3) - 2]],
    oldLogprobs: [
      [-2, -2, -2],
      [-2, -2],
    ],
    rewards: [0, 1],
  }
  const { metrics, tokenGradients } = policyLoss(batch, { kind: 'w-reinforce', lambda: 1 }, plainKernel)
  assert.equal(metrics['clip_ratio/low_mean'], 1 / 5)
  assert.equal(metrics['clip_ratio/high_mean'], 1 / 5)
  assert.equal(metrics['clip_ratio/region_mean'], 2 / 5)
  assertNear([metrics.ratio_mean!], [(0.7 + 0.9 + 1.3 + 0.7 + 1.3) / 5])
  assertNear([metrics.max_abs_log_ratio!], [-log(0.7)])
  assertNear([...tokenGradients[0]!], [0, 0.9 / 5, 1.3 / 5])
  assertNear([...tokenGradients[1]!], [-0.7 / 5, 0])
})

test('ragged arrays, flat arrays with offsets and typed arrays say the same, each in its own form', () => {
  const ragged = toBatch(MIXED)
  const offsets = [0]
  for (const row of MIXED) offsets.push(offsets.at(-1)! + row.lp.length)
  const flat = {
    ...ragged,
    logprobs: Float64Array.from(ragged.logprobs.flat()),
    oldLogprobs: ragged.oldLogprobs.flat(),
    mask: Uint8Array.from(ragged.mask.flat()),
    offsets,
  }
  const spec: ObjectiveSpec = { kind: 'grpo', beta: 0.1, entropyCoefficient: 0.1 }
  const fromRagged = policyLoss(ragged, spec, plainKernel)
  const fromFlat = policyLoss(flat, spec, plainKernel)
  assert.equal(fromFlat.loss, fromRagged.loss)
  assert.ok(fromFlat.tokenGradients instanceof Float64Array)
  assert.deepEqual(
    [...fromFlat.tokenGradients],
    fromRagged.tokenGradients.flatMap((row) => [...row]),
  )
  assert.deepEqual(
    fromRagged.entropyGradients!.map((row) => row.length),
    MIXED.map((row) => row.lp.length),
  )
  const booleans = { ...ragged, mask: ragged.mask.map((row) => row.map(Boolean)) }
  assert.deepEqual(policyLoss(booleans, spec, plainKernel), fromRagged)
  const single = policyLoss({ ...flat, dtype: 'f32' as const }, spec, plainKernel)
  assert.ok(single.tokenGradients instanceof Float32Array)
  assertNear([...single.tokenGradients], [...fromFlat.tokenGradients], 1e-6)
})

test('what stands at dropped rows and masked tokens cannot matter, and is not touched', () => {
  const clean = toBatch(MIXED)
  const dirty = toBatch(MIXED)
  dirty.logprobs = MIXED.map((row) =>
    row.lp.map((value, t) => (row.mask[t] === 0 || row.reward === 1 ? Number.NaN : value)),
  )
  assert.deepEqual(
    policyLoss(dirty, { kind: 'nsr' }, plainKernel),
    policyLoss(clean, { kind: 'nsr' }, plainKernel),
  )
  assert.deepEqual(dirty.oldLogprobs, clean.oldLogprobs)
  assert.throws(() => policyLoss(dirty, { kind: 'psr' }, plainKernel), {
    code: 'NON_FINITE',
    message: /logprobs, row 0, token 0: .*NaN/,
  })
})

test('an empty class gives loss 0, gradients of 0 and its reason, without a call of the op', () => {
  const unreachable = {
    policyLoss: () => {
      throw new Error('the op was called')
    },
  }
  const batch = toBatch(BATCHES['all right']!)
  const result = policyLoss(batch, { kind: 'nsr' }, unreachable)
  assert.equal(result.loss, 0)
  assert.equal(result.emptyClass, 'no-wrong-completion')
  assert.equal(result.metrics.empty_class, 1)
  assert.equal(result.metrics.frac_all_right, 1)
  assert.deepEqual(
    result.tokenGradients,
    batch.logprobs.map((row) => new Float64Array(row.length)),
  )
  assert.equal(
    policyLoss(toBatch(BATCHES['every token masked']!), { kind: 'psr' }, unreachable).emptyClass,
    'no-completion',
  )
  const none = policyLoss({ logprobs: [], rewards: [] }, { kind: 'psr' }, unreachable)
  assert.deepEqual([none.loss, none.tokenGradients, none.emptyClass], [0, [], 'no-completion'])
})

test('missing and misfitting columns are refused by name before anything is computed', () => {
  const batch = toBatch(MIXED)
  const refused = (change: object, spec: ObjectiveSpec, code: string, message: RegExp) =>
    assert.throws(() => policyLoss({ ...batch, ...change } as PolicyLossBatch, spec, plainKernel), {
      code,
      message,
    })
  const psr: ObjectiveSpec = { kind: 'psr' }
  refused({ logProbs: [] }, psr, 'INVALID_ARGUMENT', /unknown option 'logProbs'.*'logprobs'/)
  refused({ rewards: undefined }, psr, 'INVALID_ARGUMENT', /rewards/)
  refused(
    { refLogprobs: undefined },
    { ...psr, beta: 0.1 },
    'INVALID_ARGUMENT',
    /refLogprobs: .*beta is not 0/,
  )
  refused({ entropies: undefined }, { ...psr, entropyCoefficient: 0.1 }, 'INVALID_ARGUMENT', /entropies/)
  refused({ groupIds: undefined }, { kind: 'grpo' }, 'INVALID_ARGUMENT', /groupIds/)
  refused({ logprobs: undefined }, psr, 'INVALID_ARGUMENT', /logprobs/)
  refused({ logprobs: batch.logprobs.flat() }, psr, 'INVALID_ARGUMENT', /offsets: .*flat columns/)
  refused({ offsets: [0, 3] }, psr, 'INVALID_ARGUMENT', /offsets: .*no offsets/)
  refused({ dtype: 'f16' }, psr, 'INVALID_ARGUMENT', /dtype/)
  refused(
    { mask: batch.mask.map((row) => row.map(() => 0.5)) },
    psr,
    'INVALID_ARGUMENT',
    /mask: .*only 0 and 1/,
  )
  refused({ rewards: [1] }, psr, 'SHAPE_MISMATCH', /offsets: /)
  refused({ oldLogprobs: batch.oldLogprobs.slice(1) }, psr, 'SHAPE_MISMATCH', /oldLogprobs: .*13 rows/)
  const short = batch.oldLogprobs.map((row, i) => (i === 2 ? row.slice(1) : row))
  refused({ oldLogprobs: short }, psr, 'SHAPE_MISMATCH', /oldLogprobs, row 2: .*7 tokens/)
  const wrongSpan = { logprobs: new Float64Array(5), offsets: [0, 3], rewards: [1] }
  assert.throws(() => policyLoss(wrongSpan, psr, plainKernel), {
    code: 'SHAPE_MISMATCH',
    message: /from 0 to 5/,
  })
})
