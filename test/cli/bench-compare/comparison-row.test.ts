import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  comparisonRow,
  comparisonTable,
  type Entry,
  ratioOf,
} from '../../../src/cli/bench-compare/comparison-row.ts'
import { quantileOf } from '../../../src/statistics/quantiles.ts'
import { lineOf, SMALL_PRODUCT } from './sample-case.ts'

const ENTRY: Entry = { contender: 'them', variant: 'plain', setting: 'bound', settingsTried: { bound: 2 } }

describe('quantiles', () => {
  it('lie between two values by their distances', () => {
    assert.equal(quantileOf([4, 1, 3, 2], 0.5), 2.5)
    assert.equal(quantileOf([10, 20], 0.25), 12.5)
    assert.equal(quantileOf([7], 0.8), 7)
    assert.deepEqual([quantileOf([3, 1, 2], 0), quantileOf([3, 1, 2], 1)], [1, 3])
  })
})

describe('the ratio', () => {
  it("is the contender's time over coppice's, round by round", () => {
    const own = [lineOf('coppice', [1, 1, 9]), lineOf('coppice', [2]), lineOf('coppice', [4])]
    const theirs = [lineOf('them', [3]), lineOf('them', [1, 1, 50]), lineOf('them', [8])]
    // 3 / 1, 1 / 2, 8 / 4: an outlier within a round moves nothing.
    assert.deepEqual(ratioOf(own, theirs), { ratio: 2, ratio_low: 0.5, ratio_high: 3 })
  })

  it('does not see a neighbour that slows a round down for both', () => {
    const own = [lineOf('coppice', [1]), lineOf('coppice', [10]), lineOf('coppice', [1])]
    const theirs = [lineOf('them', [2]), lineOf('them', [20]), lineOf('them', [2])]
    assert.deepEqual(ratioOf(own, theirs), { ratio: 2, ratio_low: 2, ratio_high: 2 })
  })
})

describe('a row of the comparison', () => {
  const own = [lineOf('coppice', [0.1, 0.2, 0.3], 100), lineOf('coppice', [0.4], 100)]
  const theirs = [lineOf('them', [0.1], 100), lineOf('them', [0.1], 100)]

  it('has medians over rounds of both sides', () => {
    const row = comparisonRow(SMALL_PRODUCT, ENTRY, { own, theirs })
    assert.equal(row.p50_ms, 300)
    assert.equal(row.p20_ms, 270)
    assert.equal(row.p80_ms, 330)
    assert.equal(row.tokens_per_second, 333)
    assert.equal(row.contender_p50_ms, 100)
    assert.equal(row.contender_tokens_per_second, 1000)
    assert.equal(row.contender_peak_rss_mib, 10)
    assert.equal(row.contender_setting, 'bound')
    assert.deepEqual(row.contender_versions, { them: '1.2' })
    assert.equal(row.rounds, 2)
    assert.deepEqual([row.ratio, row.ratio_low, row.ratio_high], [0.375, 0.25, 0.5])
  })

  it('says nothing of tokens where they are not what counts', () => {
    const row = comparisonRow(SMALL_PRODUCT, ENTRY, {
      own: [lineOf('coppice', [1])],
      theirs: [lineOf('them', [1])],
    })
    assert.equal('tokens_per_second' in row, false)
    assert.equal('contender_tokens_per_second' in row, false)
  })

  it('stands in the table when it lost, and when the contender did not run', () => {
    const lost = comparisonRow(SMALL_PRODUCT, ENTRY, { own, theirs })
    const absent = comparisonRow(SMALL_PRODUCT, ENTRY, { notRun: 'no compiler' })
    assert.equal('ratio' in absent, false)
    const lines = comparisonTable([lost, absent]).split('\n')
    assert.equal(lines.length, 3)
    assert.match(
      lines[1]!,
      /300 ms, 333 tokens\/s +100 ms, 1000 tokens\/s +0\.38 +0\.25 to 0\.50 .*them 1\.2 plain \(bound\)$/,
    )
    assert.match(lines[2]!, /them plain: not run: no compiler$/)
  })
})
