import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { machinePeaks } from '../../src/bench/peaks.ts'
import { CoppiceError } from '../../src/errors.ts'
import { addonStatus } from '../../src/machine.ts'

describe('the peaks of this machine', () => {
  it('are rates above nothing, of the threads and the instruction set asked for', async () => {
    const status = addonStatus()
    assert.ok(status.usable)
    for (const isa of status.instructionSets) {
      const peaks = await machinePeaks({ threads: 1, isa })
      assert.deepEqual([peaks.isa, peaks.threads], [isa, 1])
      const { gflops, gflopsBf16, productGflops, gbytes, gbytesMoved } = peaks
      for (const rate of [gflops, gflopsBf16, productGflops, gbytes, gbytesMoved]) {
        assert.ok(Number.isFinite(rate) && rate > 0, JSON.stringify(peaks))
      }
      assert.ok(gbytesMoved >= gbytes)
      // It is multiply-adds and loads, and its median not their fastest; 1.5: the machine may have changed between the two.
      assert.ok(productGflops < 1.5 * gflops, JSON.stringify(peaks))
      assert.equal(peaks.hasBf16, isa === 'avx512bf16')
      if (!peaks.hasBf16) assert.equal(gflopsBf16, gflops)
    }
  })

  it('are higher in a cache than in memory', async () => {
    const memory = await machinePeaks()
    const cached = await machinePeaks({ workingSetBytes: 2 ** 17 })
    assert.ok(cached.gbytes > memory.gbytes, `${cached.gbytes} and ${memory.gbytes} GB/s`)
  })

  it('refuse what they do not know', async () => {
    const refused = (code: string, message: RegExp) => (error: unknown) =>
      error instanceof CoppiceError && error.code === code && message.test(error.message)
    await assert.rejects(
      machinePeaks({ thread: 1 } as never),
      refused('INVALID_ARGUMENT', /did you mean 'threads'/),
    )
    await assert.rejects(
      machinePeaks({ isa: 'mmx' }),
      refused('DEVICE_UNAVAILABLE', /this build and machine have .*portable/),
    )
    await assert.rejects(
      machinePeaks({ workingSetBytes: 0.5 }),
      refused('INVALID_ARGUMENT', /workingSetBytes/),
    )
  })
})
