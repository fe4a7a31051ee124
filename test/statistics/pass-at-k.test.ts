import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CoppiceError } from '../../src/errors.ts'
import { passAtK } from '../../src/statistics/pass-at-k.ts'
import { choose, exactPassAtK, nearestDouble } from './exact-rational.ts'

describe('the exact reference', () => {
  it('rounds fractions as division does', () => {
    for (let denominator = 1; denominator < 60; denominator++) {
      for (let numerator = 0; numerator <= denominator; numerator++) {
        assert.equal(nearestDouble(BigInt(numerator), BigInt(denominator)), numerator / denominator)
      }
    }
  })

  it('agrees with the definition written in binomial coefficients', () => {
    for (const [n, c, k] of [
      [10, 3, 4],
      [50, 17, 9],
      [256, 5, 128],
    ] as const) {
      assert.equal(exactPassAtK(n, c, k), nearestDouble(choose(n, k) - choose(n - c, k), choose(n, k)))
    }
  })
})

describe('passAtK', () => {
  it('is the nearest double to the exact value for every n to 40', () => {
    for (let n = 1; n <= 40; n++) {
      for (let c = 0; c <= n; c++) {
        for (let k = 1; k <= n; k++)
          assert.equal(passAtK(n, c, k), exactPassAtK(n, c, k), `n ${n} c ${c} k ${k}`)
      }
    }
  })

  it('is the nearest double at n = 256 and at the sizes of large evaluations', () => {
    for (let c = 0; c <= 256; c += 5) {
      for (const k of [1, 2, 4, 8, 16, 32, 64, 128, 255, 256]) {
        assert.equal(passAtK(256, c, k), exactPassAtK(256, c, k), `c ${c} k ${k}`)
      }
    }
    for (const n of [1_000, 65_537, 100_000]) {
      for (const c of [1, 2, 7, 40, 313, Math.floor(n / 3), n - 5, n]) {
        for (const k of [1, 2, 3, 64, 500, Math.floor(n / 2), n - 1, n]) {
          assert.equal(passAtK(n, c, k), exactPassAtK(n, c, k), `n ${n} c ${c} k ${k}`)
        }
      }
    }
  })

  it('keeps the digits of a tiny pass@k, where 1 - product in doubles would lose them', () => {
    assert.equal(passAtK(100_000, 1, 1), 1 / 100_000)
    assert.equal(passAtK(100_000, 1, 3), 3 / 100_000)
  })

  it('takes the hand-made values', () => {
    assert.equal(passAtK(1, 1, 1), 1)
    assert.equal(passAtK(1, 0, 1), 0)
    assert.equal(passAtK(4, 2, 2), 5 / 6)
    assert.equal(passAtK(5, 1, 5), 1)
    assert.equal(passAtK(8, 2, 1), 0.25)
  })

  it('refuses nonsense by name', () => {
    const cases: [number, number, number, RegExp][] = [
      [4, 5, 1, /c is larger than n/],
      [4, 1, 5, /k is larger than n/],
      [4, 1, 0, /passAtK k/],
      [4, 1, -1, /passAtK k/],
      [4, -1, 1, /passAtK c/],
      [0, 0, 1, /passAtK n/],
      [-4, 0, 1, /passAtK n/],
      [4.5, 1, 1, /passAtK n/],
      [4, 1.5, 1, /passAtK c/],
      [4, 1, 1.5, /passAtK k/],
      [Number.NaN, 1, 1, /passAtK n/],
      [4, Number.NaN, 1, /passAtK c/],
      [4, 1, Number.NaN, /passAtK k/],
      [Number.POSITIVE_INFINITY, 1, 1, /passAtK n/],
      ['4' as unknown as number, 1, 1, /passAtK n/],
    ]
    for (const [n, c, k, message] of cases) {
      assert.throws(
        () => passAtK(n, c, k),
        (error) =>
          error instanceof CoppiceError && error.code === 'INVALID_ARGUMENT' && message.test(error.message),
        `n ${n} c ${c} k ${k}`,
      )
    }
  })
})
