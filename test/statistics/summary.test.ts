import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { summarise } from '../../src/statistics/summary.ts'

describe('summarise', () => {
  it('gives mean, sample deviation and standard error', () => {
    const { count, mean, std, standardError } = summarise([2, 4, 4, 4, 5, 5, 7, 9])
    assert.equal(count, 8)
    assert.equal(mean, 5)
    assert.ok(Math.abs(std! - Math.sqrt(32 / 7)) < 1e-15)
    assert.ok(Math.abs(standardError! - Math.sqrt(32 / 7 / 8)) < 1e-15)
  })

  it('says that one value has no spread to speak of', () => {
    assert.deepEqual(summarise(Float32Array.of(3)), { count: 1, mean: 3, std: null, standardError: null })
  })

  it('refuses nothing and non-numbers', () => {
    assert.throws(() => summarise([]), { code: 'INVALID_ARGUMENT' })
    assert.throws(() => summarise([1, Number.NaN]), { code: 'NON_FINITE' })
  })
})
