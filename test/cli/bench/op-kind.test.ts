import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { BenchRow } from '../../../src/cli/bench/bench-row.ts'
import { OP_KIND } from '../../../src/cli/bench/op-kind.ts'
import { benchmarkOps, Kernels } from '../../../src/index.ts'

describe('coppice bench op', () => {
  it('has every op of the list at every shape of it', () => {
    const expected = benchmarkOps().flatMap(({ op, shapes }) =>
      shapes.map((shape) => `op/${op}-${Object.values(shape).join('x')}`),
    )
    assert.deepEqual(
      OP_KIND.cases().map(({ name }) => name),
      expected,
    )
    assert.equal(new Set(expected).size, expected.length)
  })

  it('gives rows with the floor and the peak that it comes from, of three runs however few are asked for', async (t) => {
    const timed = t.mock.method(Kernels.prototype, 'benchmark')
    const rows: Record<string, BenchRow> = {}
    const setup = {
      ...({
        backend: { device: 'cpu', threads: 1, dtype: 'bf16' },
        timing: { repeats: 1, seconds: 0 },
      } as const),
      ...{ isQuick: true, onSkipped: () => {} },
    }
    for (const bench of OP_KIND.cases()) {
      if (!/^op\/(linear-256x1024x256|add-256x256)$/.test(bench.name)) continue
      for await (const row of bench.run(setup)) rows[row.op] = row
    }
    assert.deepEqual(
      timed.mock.calls.map((call) => call.arguments[2]?.iterations),
      [3, 3],
    )
    const { linear, add } = rows
    assert.equal(linear!.shape, 'rows 32, cols 32, inner 32')
    assert.ok(linear!.gflops! > 0 && linear!.gbytes_per_second! > 0)
    assert.ok(linear!.peak_share! > 0 && Number.isFinite(linear!.peak_share!))
    assert.equal(linear!.peak_gbytes === undefined, linear!.peak_of === 'f32' || linear!.peak_of === 'bf16')
    assert.equal(add!.gflops, null)
    assert.ok(add!.peak_of === 'reading' || add!.peak_of === 'moving')
    assert.ok(add!.peak_gbytes! > 0)
    assert.equal(add!.peak_gflops, undefined)
  })
})
