import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CoppiceError } from '../../src/errors.ts'
import {
  pairedDifferenceTable,
  passAtKTable,
  passAtKTableOverSeeds,
  powersOfTwoUpTo,
} from '../../src/statistics/pass-at-k-table.ts'
import { philox4x32 } from '../../src/statistics/philox.ts'
import { exactPassAtK } from './exact-rational.ts'

const counts = [0, 1, 3, 7, 16, 16, 2, 0, 5, 11].map((c) => ({ n: 16, c }))

describe('passAtKTable', () => {
  it('has k = 1, 2, 4 ... and n itself, the mean over prompts and an interval around it', () => {
    const table = passAtKTable(counts)
    assert.deepEqual(Object.keys(table), ['1', '2', '4', '8', '16'])
    for (const [k, { mean, low, high }] of Object.entries(table)) {
      const exact = counts.reduce((sum, { n, c }) => sum + exactPassAtK(n, c, Number(k)), 0) / counts.length
      assert.ok(Math.abs(mean - exact) < 1e-15)
      assert.ok(0 <= low && low < mean && mean < high && high <= 1)
    }
    assert.deepEqual(powersOfTwoUpTo(100), [1, 2, 4, 8, 16, 32, 64, 100])
    assert.deepEqual(powersOfTwoUpTo(1), [1])
  })

  it('takes prompts with different n up to the smallest, and sorts the ks asked for', () => {
    const table = passAtKTable(
      [
        { n: 8, c: 1 },
        { n: 20, c: 20 },
      ],
      [8, 3, 8],
    )
    assert.deepEqual(Object.keys(table), ['3', '8'])
    assert.equal(table['3']!.mean, (3 / 8 + 1) / 2)
  })

  it('is the same from run to run and survives JSON', () => {
    const table = passAtKTable(counts, undefined, { seed: 5, resamples: 400 })
    assert.deepEqual(
      JSON.parse(JSON.stringify(table)),
      passAtKTable(counts, undefined, { seed: 5, resamples: 400 }),
    )
  })

  it('refuses nonsense by prompt', () => {
    const refusals: [() => unknown, RegExp][] = [
      [() => passAtKTable([]), /at least one prompt/],
      [() => passAtKTable([{ n: 4, c: 5 }]), /prompt 0, c/],
      [
        () =>
          passAtKTable([
            { n: 4, c: 1 },
            { n: 4, c: Number.NaN },
          ]),
        /prompt 1, c/,
      ],
      [() => passAtKTable([{ n: 4, c: 1 }], [5]), /whole number from 1 to 4/],
      [() => passAtKTable([{ n: 4, c: 1 }], []), /at least one k/],
      [() => passAtKTable([{ n: 4, c: 1 }], [1], { seeds: 1 } as object), /did you mean 'seed'/],
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

describe('passAtKTableOverSeeds', () => {
  it('averages a prompt over the seeds before prompts are resampled', () => {
    const opposite = counts.map(({ n, c }) => ({ n, c: n - c }))
    // With k = 1 each prompt's two seeds average to exactly 1/2, so prompts no longer differ.
    assert.deepEqual(passAtKTableOverSeeds([counts, opposite], [1])['1'], { mean: 0.5, low: 0.5, high: 0.5 })
  })

  it('refuses seeds with different prompts', () => {
    assert.throws(() => passAtKTableOverSeeds([counts, counts.slice(1)]), { code: 'SHAPE_MISMATCH' })
  })
})

describe('pairedDifferenceTable', () => {
  it('is zero without width for a method against itself', () => {
    const table = pairedDifferenceTable([counts], [counts])
    for (const interval of Object.values(table)) assert.deepEqual(interval, { mean: 0, low: 0, high: 0 })
  })

  it('is the difference of the means, changes sign with the order, and is narrower than unpaired', () => {
    const better = counts.map(({ n, c }) => ({ n, c: Math.min(n, c + 1) }))
    const difference = pairedDifferenceTable([better], [counts])
    const reverse = pairedDifferenceTable([counts], [better])
    const a = passAtKTable(better)
    const b = passAtKTable(counts)
    for (const k of Object.keys(difference)) {
      assert.ok(Math.abs(difference[k]!.mean - (a[k]!.mean - b[k]!.mean)) < 1e-14)
      assert.ok(Math.abs(reverse[k]!.mean + difference[k]!.mean) < 1e-14)
    }
    const width = (interval: { low: number; high: number }) => interval.high - interval.low
    assert.ok(width(difference['1']!) < 0.2 * width(a['1']!))
  })

  it('covers a true difference about as often as it says', () => {
    // 80 prompts of difficulty d; method A solves a sample with chance d, method B with d^2; truth 1/2 - 1/3 = 1/6.
    const out = new Uint32Array(4)
    const uniform = (i: number, trial: number, stream: number) => {
      philox4x32(Uint32Array.of(i, trial, stream, 9), Uint32Array.of(77, 1), out)
      return out[0]! / 2 ** 32
    }
    const trials = 300
    let covered = 0
    for (let trial = 0; trial < trials; trial++) {
      const a: { n: number; c: number }[] = []
      const b: { n: number; c: number }[] = []
      for (let prompt = 0; prompt < 80; prompt++) {
        const difficulty = uniform(prompt, trial, 0)
        let rightA = 0
        let rightB = 0
        for (let s = 0; s < 8; s++) {
          if (uniform(prompt, trial, 1 + s) < difficulty) rightA++
          if (uniform(prompt, trial, 50 + s) < difficulty ** 2) rightB++
        }
        a.push({ n: 8, c: rightA })
        b.push({ n: 8, c: rightB })
      }
      const { low, high } = pairedDifferenceTable([a], [b], [1], { resamples: 500, seed: trial })['1']!
      if (low <= 1 / 6 && high >= 1 / 6) covered++
    }
    assert.ok(covered / trials > 0.9 && covered / trials < 0.985, `coverage ${covered / trials}`)
  })

  it('refuses methods evaluated on different numbers of prompts', () => {
    assert.throws(() => pairedDifferenceTable([counts], [counts.slice(1)]), { code: 'SHAPE_MISMATCH' })
  })
})
