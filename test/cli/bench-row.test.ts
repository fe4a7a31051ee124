import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { benchRow } from '../../src/cli/bench/bench-row.ts'

const CONTEXT = { device: 'cpu', dtype: 'f32', isa: 'avx2', threads: 2 }

describe('a bench row', () => {
  it('has every key that scripts rely on', () => {
    const row = benchRow(CONTEXT, 'linear', 'rows 8', [0.003, 0.001, 0.002], { flops: 4e9, tokens: 10 })
    const { peak_rss_mib, commit, machine, versions, ...measured } = row
    assert.deepEqual(measured, {
      ...{ op: 'linear', shape: 'rows 8', ...CONTEXT },
      ...{ p20_ms: 1.4, p50_ms: 2, p80_ms: 2.6, gflops: 2000, peak_share: null, tokens_per_second: 5000 },
    })
    assert.ok(Number.isInteger(peak_rss_mib) && peak_rss_mib > 10, String(peak_rss_mib))
    assert.ok(commit !== '' && machine !== '')
    assert.deepEqual(Object.keys(versions).slice(0, 2), ['coppice', 'node'])
  })

  it('has no rate of what was not counted', () => {
    const row = benchRow(CONTEXT, 'adamw', 'elements 1', [0.001])
    assert.equal(row.gflops, null)
    assert.equal('tokens_per_second' in row, false)
    assert.equal(row.p20_ms, row.p80_ms)
  })
})
