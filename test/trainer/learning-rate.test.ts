import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  checkLearningRate,
  type LearningRateOptions,
  learningRateAt,
} from '../../src/trainer/learning-rate.ts'

const options = (given: Partial<LearningRateOptions>): LearningRateOptions => ({
  learningRate: 1,
  learningRateSchedule: 'constant',
  warmupSteps: 0,
  steps: 10,
  ...given,
})

describe('learningRateAt', () => {
  it('stays at the peak when constant', () => {
    for (let step = 1; step <= 10; step++) assert.equal(learningRateAt(step, options({})), 1)
  })

  it('climbs to the peak in the warm-up, never from 0', () => {
    const warm = options({ warmupSteps: 4 })
    assert.deepEqual(
      [1, 2, 3, 4, 5, 10].map((step) => learningRateAt(step, warm)),
      [0.25, 0.5, 0.75, 1, 1, 1],
    )
  })

  it('falls along a line or half a cosine, and is not 0 at the last step', () => {
    const linear = options({ learningRateSchedule: 'linear', warmupSteps: 2 })
    assert.deepEqual(
      [2, 3, 7, 10].map((step) => learningRateAt(step, linear)),
      [1, 1, 0.5, 0.125],
    )
    const cosine = options({ learningRateSchedule: 'cosine' })
    assert.equal(learningRateAt(1, cosine), 1)
    assert.ok(Math.abs(learningRateAt(6, cosine) - 0.5) < 1e-15)
    assert.ok(learningRateAt(10, cosine) > 0)
    for (let step = 2; step <= 10; step++)
      assert.ok(learningRateAt(step, cosine) < learningRateAt(step - 1, cosine))
  })

  it('refuses what makes no sense', () => {
    assert.throws(() => checkLearningRate(options({ learningRate: -1 })), /learningRate/)
    assert.throws(() => checkLearningRate(options({ warmupSteps: 11 })), /warmupSteps/)
    assert.throws(
      () => checkLearningRate(options({ learningRateSchedule: 'cosin' as never })),
      /did you mean 'cosine'/,
    )
  })
})
