import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { describe, it } from 'node:test'
import { benchRow } from '../../../src/cli/bench/bench-row.ts'
import { peakRssMib } from '../../../src/cli/bench/peak-rss.ts'

const CONTEXT = { case: 'op/linear', device: 'cpu', dtype: 'f32', isa: 'avx2', threads: 2 }

describe('a bench row', () => {
  it('has every key that scripts rely on', () => {
    const seconds = [0.003, 0.001, 0.002]
    const measured = { op: 'linear', shape: 'rows 8', seconds, flops: 4e9, tokens: 10, peakRssMib: 99.6 }
    const row = benchRow(CONTEXT, measured, { seconds: 0.0015, gflops: 2666.6666 })
    const { commit, machine, versions, cores, ...rest } = row
    assert.deepEqual(rest, {
      ...{ op: 'linear', shape: 'rows 8', ...CONTEXT },
      ...{ p20_ms: 1.4, p50_ms: 2, p80_ms: 2.6, gflops: 2000, tokens_per_second: 5000 },
      ...{ peak_share: 0.75, floor_ms: 1.5, peak_gflops: 2667, peak_rss_mib: 100 },
    })
    assert.ok(commit !== '' && machine !== '')
    assert.equal(cores, availableParallelism())
    assert.deepEqual(Object.keys(versions).slice(0, 2), ['coppice', 'node'])
  })

  it('has no rate of what was not counted, and says why it has no share', () => {
    const measured = { op: 'adamw', shape: 'elements 1', seconds: [0.001], peakRssMib: 1 }
    const row = benchRow(CONTEXT, measured, 'no peak')
    assert.equal(row.gflops, null)
    assert.equal('tokens_per_second' in row, false)
    assert.equal(row.p20_ms, row.p80_ms)
    assert.deepEqual([row.peak_share, row.no_floor, 'floor_ms' in row], [null, 'no peak', false])
  })

  it("knows the process's largest resident size", () => {
    const before = peakRssMib()
    const held = Buffer.alloc(64 * 2 ** 20, 1)
    assert.ok(peakRssMib() > 10 && peakRssMib() >= before)
    assert.ok(peakRssMib() >= process.memoryUsage.rss() / 2 ** 20 - 16, String(held.length))
  })
})
