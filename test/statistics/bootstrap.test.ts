import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CoppiceError } from '../../src/errors.ts'
import { bootstrapMeans } from '../../src/statistics/bootstrap.ts'
import { philox4x32 } from '../../src/statistics/philox.ts'

function philox(counter: number[], key: number[]): string {
  const out = new Uint32Array(4)
  philox4x32(Uint32Array.from(counter), Uint32Array.from(key), out)
  return [...out].map((word) => word.toString(16).padStart(8, '0')).join(' ')
}

describe('philox4x32', () => {
  it("gives the known answers of the authors' Random123 library", () => {
    assert.equal(philox([0, 0, 0, 0], [0, 0]), '6627e8d5 e169c58d bc57ac4c 9b00dbd8')
    const ones = 0xffffffff
    assert.equal(philox([ones, ones, ones, ones], [ones, ones]), '408f276d 41c83b0e a20bc7c6 6d5451fd')
    assert.equal(
      philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
      'd16cfe09 94fdcceb 5001e420 24126ea1',
    )
  })
})

/** Uniform numbers for simulated data, from a stream that the bootstrap's own seeds do not use. */
function uniforms(stream: number, count: number): number[] {
  const out = new Uint32Array(4)
  return Array.from({ length: count }, (_, i) => {
    philox4x32(Uint32Array.of(i, stream, 0, 7), Uint32Array.of(12345, 678), out)
    return out[0]! / 2 ** 32
  })
}

describe('bootstrapMeans', () => {
  it('is deterministic, and another seed gives another interval', () => {
    const values = uniforms(0, 50)
    const first = bootstrapMeans([values], { seed: 3, resamples: 500 })
    assert.deepEqual(bootstrapMeans([values], { seed: 3, resamples: 500 }), first)
    assert.notDeepEqual(bootstrapMeans([values], { seed: 4, resamples: 500 }), first)
    assert.notDeepEqual(bootstrapMeans([values], { seed: 3 + 2 ** 32, resamples: 500 }), first)
  })

  it('gives two equal units the exact distribution 1/4, 1/2, 1/4', () => {
    // Means of two draws from {0, 1}: 0 with 1/4, 1/2 with 1/2, 1 with 1/4. At level 0.4 the quantiles .3 and .7 are
    // both 1/2; at level 0.6 the quantiles .2 and .8 are 0 and 1.
    const [middle] = bootstrapMeans([[0, 1]], { level: 0.4 })
    assert.deepEqual(middle, { mean: 0.5, low: 0.5, high: 0.5 })
    const [wide] = bootstrapMeans([[0, 1]], { level: 0.6 })
    assert.deepEqual(wide, { mean: 0.5, low: 0, high: 1 })
  })

  it('has the width of the normal interval when there are many units', () => {
    const units = 400
    const values = uniforms(1, units)
    const mean = values.reduce((a, b) => a + b) / units
    const std = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / units)
    const [interval] = bootstrapMeans([values])
    const halfWidth = (1.959964 * std) / Math.sqrt(units)
    assert.ok(Math.abs(interval!.low - (mean - halfWidth)) < 0.05 * halfWidth)
    assert.ok(Math.abs(interval!.high - (mean + halfWidth)) < 0.05 * halfWidth)
  })

  it('covers the true mean about as often as it says', () => {
    // Skewed values (u^3, mean 1/4) of 60 units, 600 data sets. The percentile interval is known to fall a little
    // short of its level; below 0.91 or above 0.97 something is wrong (binomial standard error 0.009).
    const trials = 600
    let covered = 0
    for (let trial = 0; trial < trials; trial++) {
      const values = uniforms(100 + trial, 60).map((u) => u ** 3)
      const [interval] = bootstrapMeans([values], { seed: trial, resamples: 600 })
      if (interval!.low <= 0.25 && interval!.high >= 0.25) covered++
    }
    assert.ok(covered / trials > 0.91 && covered / trials < 0.97, `coverage ${covered / trials}`)
  })

  it('uses the same resamples for all columns', () => {
    const values = uniforms(2, 30)
    const [plain, shifted] = bootstrapMeans([values, values.map((v) => v + 1)], { resamples: 300 })
    assert.ok(Math.abs(shifted!.low - plain!.low - 1) < 1e-12)
    assert.ok(Math.abs(shifted!.high - plain!.high - 1) < 1e-12)
  })

  it('has no width where all units agree', () => {
    assert.deepEqual(bootstrapMeans([new Float32Array([1, 1, 1])]), [{ mean: 1, low: 1, high: 1 }])
  })

  it('refuses nonsense', () => {
    const refusals: [() => unknown, RegExp][] = [
      [() => bootstrapMeans([[]]), /bootstrap units/],
      [() => bootstrapMeans([[1], [1, 2]]), /columns differ in length/],
      [() => bootstrapMeans([[1, Number.NaN]]), /column 0, unit 1/],
      [() => bootstrapMeans([[1, null as unknown as number]]), /column 0, unit 1/],
      [() => bootstrapMeans([[1]], { resamples: 0 }), /resamples/],
      [() => bootstrapMeans([[1]], { seed: -1 }), /seed/],
      [() => bootstrapMeans([[1]], { seed: 0.5 }), /seed/],
      [() => bootstrapMeans([[1]], { level: 1 }), /level/],
      [() => bootstrapMeans([[1]], { level: 95 }), /level/],
      [() => bootstrapMeans([[1]], { resample: 5 } as object), /did you mean 'resamples'/],
    ]
    for (const [call, message] of refusals) {
      assert.throws(
        call,
        (error) => error instanceof CoppiceError && message.test(error.message),
        String(message),
      )
    }
  })
})
