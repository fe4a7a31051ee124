import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ObjectiveSpec, ResolvedOf } from '../../src/objective-options.ts'
import { criticAdvantages } from '../../src/objectives/critic-advantages.ts'
import { resolveObjective } from '../../src/objectives.ts'
import { refused } from '../refused.ts'

// Advantages against the slow reference are in policy-loss.test.ts; here returns, whitening, metrics, and what is refused.

const resolved = (options: object = {}) =>
  resolveObjective({ kind: 'ppo', ...options } as ObjectiveSpec) as ResolvedOf<'ppo'>
const MASK = [1, 0, 1, 1, 1, 1, 0, 1, 1]
/** Rows of 4, 0, 3 and 2 tokens in a sliced column; the last is not kept. */
const COMPLETIONS = { offsets: [2, 6, 6, 9, 11], mask: [9, 9, ...MASK] }
const VALUES = [0.3, Number.NaN, 0.1, -0.4, 0.8, 0.2, Number.NaN, 5, 5]
const ROWS = { keptRows: [0, 1, 2], rowAdvantages: [1, 7, -0.5, 0] }

test('the return is what is earned from a token on, discounted, where lambda is 1', () => {
  const gamma = 0.9
  const { returns } = criticAdvantages(ROWS, COMPLETIONS, { values: VALUES }, resolved({ gamma }))
  const expected = [gamma ** 2, 0, gamma, 1, -0.5 * gamma ** 1, -0.5, 0, 0, 0]
  assert.deepEqual(
    [...returns].map((x) => x.toFixed(12)),
    expected.map((x) => x.toFixed(12)),
  )
})

test('where lambda is 0 it is the reward and the value of the next token that the policy produced', () => {
  const { returns } = criticAdvantages(
    ROWS,
    COMPLETIONS,
    { values: VALUES },
    resolved({ gaeLambda: 0, whitenAdvantages: false }),
  )
  const expected = [0.1, 0, -0.4, 1, 0.2, -0.5, 0, 0, 0]
  assert.deepEqual(
    [...returns].map((x) => x.toFixed(12)),
    expected.map((x) => x.toFixed(12)),
  )
})

test('the KL goes off the reward of each token', () => {
  const kl = [0.1, 9, 0.2, 0.3, 0.4, 0.5, 9, 9, 9]
  const objective = resolved({ beta: 2, klKind: 'k1', klIn: 'reward', gaeLambda: 0, gamma: 0 })
  const klLogprobs = { old: kl, ref: kl.map(() => 0) }
  const { returns } = criticAdvantages(ROWS, COMPLETIONS, { values: VALUES, klLogprobs }, objective)
  const expected = [-0.2, 0, -0.4, 0.4, -0.8, -1.5, 0, 0, 0]
  assert.deepEqual(
    [...returns].map((x) => x.toFixed(12)),
    expected.map((x) => x.toFixed(12)),
  )
})

test('whitened advantages have mean 0 and variance 1 over the active tokens of kept rows; returns do not change', () => {
  const whitened = criticAdvantages(ROWS, COMPLETIONS, { values: VALUES }, resolved())
  const plain = criticAdvantages(ROWS, COMPLETIONS, { values: VALUES }, resolved({ whitenAdvantages: false }))
  const active = [...whitened.advantages].filter((_, t) => t < 7 && MASK[t] === 1)
  const mean = active.reduce((sum, x) => sum + x, 0) / active.length
  const variance = active.reduce((sum, x) => sum + (x - mean) ** 2, 0) / (active.length - 1)
  assert.equal(active.length, 5)
  assert.ok(Math.abs(mean) < 1e-12 && Math.abs(variance - 1) < 1e-6, `${mean}, ${variance}`)
  assert.deepEqual(whitened.returns, plain.returns)
  assert.deepEqual(whitened.metrics, plain.metrics)
})

test('explained variance is 1 for values that are the returns, and absent where all returns are equal', () => {
  const rows = { keptRows: [0, 1], rowAdvantages: [1, 0] }
  const metricsOf = (values: number[], rewards = [1, 0]) =>
    criticAdvantages({ ...rows, rowAdvantages: rewards }, { offsets: [0, 2, 4] }, { values }, resolved())
      .metrics
  assert.deepEqual(metricsOf([1, 1, 0, 0]), { value_mean: 0.5, return_mean: 0.5, explained_variance: 1 })
  assert.equal(metricsOf([0, 0, 0, 0]).explained_variance, 0)
  assert.ok(metricsOf([0, 0, 1, 1]).explained_variance! < 0)
  assert.ok(!('explained_variance' in metricsOf([0, 0, 0, 0], [1, 1])))
})

test('a value that is not finite is refused by its row where a token counts, and nowhere else', () => {
  const values = VALUES.with(5, Number.POSITIVE_INFINITY)
  const estimate = () => criticAdvantages(ROWS, COMPLETIONS, { values }, resolved())
  assert.throws(estimate, refused('NON_FINITE', /values, row 2, token 1/))
})

test('options that the value model has no use for are refused with the reason', () => {
  const cases: [object, RegExp][] = [
    [{ valueCoefficient: 1 }, /valueCoefficient: 1 cannot be: valueModel 'separate' has an optimiser/],
    [
      { valueModel: 'shared', criticLearningRate: 1e-4 },
      /criticLearningRate: .*'shared' learns with the policy/,
    ],
    [{ valueModel: 'shared', criticWarmupSteps: 2 }, /criticWarmupSteps: 2 cannot be/],
    [{ gamma: 1.1 }, /objective.gamma: .*from 0 to 1/],
    [{ gaeLambda: -1 }, /objective.gaeLambda/],
    [{ valueClip: -1 }, /objective.valueClip/],
    [{ whitenAdvantages: 1 }, /objective.whitenAdvantages: .*true or false/],
    [{ scaleRewards: 'batch' }, /'ppo' whitens its advantages instead/],
    [{ importanceSamplingLevel: 'sequence' }, /'ppo' has an advantage for each token/],
    [{ surrogate: 'gmpo' }, /'ppo' has an advantage for each token/],
    [{ klIn: 'reward' }, /beta is 0/],
  ]
  for (const [options, reason] of cases) {
    assert.throws(() => resolved(options), refused('INVALID_ARGUMENT', reason), JSON.stringify(options))
  }
  const { valueCoefficient, criticLearningRate } = resolved({ valueModel: 'shared' })
  assert.deepEqual([valueCoefficient, criticLearningRate], [0.1, null])
  assert.equal(resolved().criticLearningRate, 1e-5)
})
