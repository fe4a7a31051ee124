import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectiveSpec } from '../../src/objective-options.ts'
import { adjustWeights } from '../../src/objectives/adjusted-weights.ts'
import { weighTokens } from '../../src/objectives/token-weights.ts'
import { resolveObjective } from '../../src/objectives.ts'
import { policyLoss } from '../../src/policy-loss.ts'
import { refused } from '../refused.ts'
import { seeded } from './cases.ts'
import { plainKernel } from './plain-kernel.ts'

/** Forty completions of ten tokens whose covariances are spread widely. */
function wideBatch() {
  const uniform = seeded(7)
  const offsets = Int32Array.from({ length: 41 }, (_, row) => 10 * row)
  const advantages = Float64Array.from({ length: 40 }, () => 4 * uniform() - 2)
  const objective = resolveObjective({ kind: 'clip-cov', covRatio: 0.05, covLow: 0.2, covHigh: 3 })
  const weights = weighTokens(
    [...advantages.keys()],
    { rowAdvantages: advantages },
    { offsets },
    objective,
    'f64',
  )!
  return { objective, weights, old: Float64Array.from({ length: 400 }, () => -4 * uniform()) }
}

test('clip-cov draws its share of the tokens between the bounds, by seed and step alone', () => {
  const { objective, weights, old } = wideBatch()
  const chosen = (seed: number, step: number) => {
    const { advantages, metrics } = adjustWeights(weights, objective, { old, sampler: null }, { seed, step })
    const tokens = [...advantages.keys()].filter((t) => advantages[t] === 0)
    assert.equal(metrics.cov_token_ratio, tokens.length / 400)
    return tokens
  }
  const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [meanAdvantage, meanOld] = [mean(weights.advantages), mean(old)]
  for (const t of chosen(1, 5)) {
    const covariance = (weights.advantages[t]! - meanAdvantage) * (old[t]! - meanOld)
    assert.ok(covariance > 0.2 && covariance < 3, `${covariance}`)
  }
  assert.equal(chosen(1, 5).length, 20)
  assert.deepEqual(chosen(1, 5), chosen(1, 5))
  assert.notDeepEqual(chosen(1, 5), chosen(1, 6))
  assert.notDeepEqual(chosen(1, 5), chosen(2, 5))
  const drawn = new Set(Array.from({ length: 200 }, (_, step) => chosen(3, step)).flat())
  assert.ok(drawn.size > 60, `only ${drawn.size} tokens are ever drawn`)
})

test('a share of no token is one token, and none where no covariance lies between the bounds', () => {
  const { weights, old } = wideBatch()
  const count = (spec: ObjectiveSpec) =>
    adjustWeights(weights, resolveObjective(spec), { old, sampler: null }, { seed: 0, step: 0 }).metrics
      .cov_token_ratio! * 400
  assert.equal(count({ kind: 'clip-cov', covRatio: 0, covLow: 0 }), 1)
  assert.equal(count({ kind: 'clip-cov', covLow: 50, covHigh: 60 }), 0)
  assert.equal(count({ kind: 'kl-cov', covRatio: 0 }), 1)
  assert.equal(count({ kind: 'kl-cov', covRatio: 0.1 }), 40)
})

test('importance weights: bounded, masked, of tokens and of completions, and counted', () => {
  const batch = {
    logprobs: [[-1, -1], [-2]],
    oldLogprobs: [[-1, -1], [-2]],
    samplerLogprobs: [[-1 - Math.log(4), -1 + Math.log(4)], [-2 - Math.log(2)]],
    rewards: [1, 1],
  }
  const weightsOf = (spec: Partial<ObjectiveSpec>) => {
    const { tokenGradients, metrics } = policyLoss(
      batch,
      { kind: 'psr', ...spec } as ObjectiveSpec,
      plainKernel,
    )
    const shares = ['mean', 'truncated', 'masked'].map((name) => metrics[`importance_weight/${name}`]!)
    const rounded = (values: number[]) => values.map((value) => Math.round(value * 1e9) / 1e9 || 0)
    return [rounded(tokenGradients.flatMap((row) => [...row].map((value) => -3 * value))), rounded(shares)]
  }
  // The tokens' w are 4, 1/4 and 2; the completions' products 1 and 2, their geometric means 1 and 2.
  const third = Math.round(1e9 / 3) / 1e9
  assert.deepEqual(weightsOf({ importanceCorrection: 'token-truncate' }), [
    [3, 0.25, 2],
    [1.75, third, 0],
  ])
  assert.deepEqual(weightsOf({ importanceCorrection: 'token-mask' }), [
    [4, 0, 2],
    [2, 0, third],
  ])
  const narrow = { importanceCorrectionMin: 0.5, importanceCorrectionMax: 1.5 }
  assert.deepEqual(weightsOf({ importanceCorrection: 'sequence-truncate', ...narrow }), [
    [1, 1, 1.5],
    [Math.round((3.5 / 3) * 1e9) / 1e9, third, 0],
  ])
  for (const importanceCorrection of ['sequence-mask', 'sequence-geometric-mask'] as const) {
    assert.deepEqual(weightsOf({ importanceCorrection, ...narrow }), [
      [1, 1, 0],
      [Math.round(2e9 / 3) / 1e9, 0, third],
    ])
  }
  const missing = () =>
    policyLoss(
      { logprobs: [[-1]], rewards: [1] },
      { kind: 'psr', importanceCorrection: 'token-mask' },
      plainKernel,
    )
  assert.throws(missing, refused('INVALID_ARGUMENT', /samplerLogprobs/))
})

test('options that bound nothing, or choose where there is nothing to choose, are refused with the reason', () => {
  const cases: [ObjectiveSpec, RegExp][] = [
    [{ kind: 'nsr', importanceCorrectionMax: 2 }, /'none' bounds no weight/],
    [{ kind: 'nsr', importanceCorrection: 'sequence-geometric-mask' }, /without bounds it masks nothing/],
    [
      { kind: 'nsr', importanceCorrection: 'token-mask', importanceCorrectionMin: 9 },
      /it is above importanceCorrectionMax, 5/,
    ],
    [{ kind: 'gmpo', importanceCorrection: 'token-mask' }, /'gmpo' has one weight for a completion/],
    [{ kind: 'clip-cov', importanceSamplingLevel: 'sequence' }, /chooses single tokens/],
    [{ kind: 'kl-cov', surrogate: 'cispo' }, /'kl-cov' is the ratio under a clip or none/],
  ]
  for (const [spec, reason] of cases)
    assert.throws(() => resolveObjective(spec), reason, JSON.stringify(spec))
})
