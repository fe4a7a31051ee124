import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { agreementOf, type GradientPair } from '../../src/study/mechanism/gradient-agreement.ts'

const pair = (positive: number[], negative: number[]): GradientPair => ({
  positive: Float64Array.from(positive),
  negative: Float64Array.from(negative),
})

describe('agreement of gradients', () => {
  it('compares sets, then their sums, and frees the cosine of the expectation from noise', () => {
    // One expectation, (1, 0), and noise of its own in every set: it cancels in products of different sets.
    const { levels, expectedCosine } = agreementOf([pair([1, 2], [1, -2]), pair([1, 0], [3, 0])], 4)
    assert.deepEqual(
      levels.map(({ rollouts, sets }) => [rollouts, sets]),
      [
        [4, 2],
        [8, 1],
      ],
    )
    assert.ok(Math.abs(levels[0]!.cosine - (-3 / 5 + 1) / 2) < 1e-4)
    assert.ok(Math.abs(levels[0]!.cosineDeviation! - 1.6 / Math.SQRT2) < 1e-4)
    assert.ok(Math.abs(levels[0]!.normRatio - Math.sqrt(14 / 6)) < 1e-4)
    assert.ok(Math.abs(levels[1]!.cosine - (2 * 4 - 2 * 2) / Math.sqrt(8 * 20)) < 1e-4)
    assert.equal(levels[1]!.cosineDeviation, null)
    assert.ok(Math.abs(expectedCosine! - (3 + 1) / 2 / Math.sqrt(1 * 3)) < 1e-4)
  })

  it('says nothing of the expectation where noise leaves no positive square', () => {
    assert.equal(agreementOf([pair([1, 0], [1, 0]), pair([-1, 0], [1, 0])], 4).expectedCosine, null)
  })
})
