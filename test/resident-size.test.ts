import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { platform } from 'node:process'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type MemoryCase, measureMemory } from '../bench/memory.ts'
import { totalBytes } from '../src/index.ts'

const MIB = 2 ** 20
const STEPS = 1000
/** Of one eighth of these, which an allocator may take to settle, the others must not differ. */
const FLAT_RUN = fileURLToPath(new URL('flat-run.mts', import.meta.url))

/** Linux tells the peak of a process's resident bytes and lets it be set back. */
const skip = platform === 'linux' ? false : 'measured through /proc'

describe('resident size', { skip }, () => {
  it(`stays flat over ${STEPS} steps of training`, () => {
    // Young objects move between two small halves: by default V8 takes and gives back up to 32 MiB for them as it likes.
    const flags = ['--expose-gc', '--max-semi-space-size=1', '--import', 'tsx']
    const { status, stdout, stderr } = spawnSync(process.execPath, [...flags, FLAT_RUN, String(STEPS)], {
      encoding: 'utf8',
    })
    assert.equal(status, 0, stderr)
    const sizes = JSON.parse(stdout) as number[]
    assert.equal(sizes.length, 5)
    const growth = (Math.max(...sizes.slice(1)) - sizes[0]!) / MIB
    // Ten kilobytes that a step kept would be 8 MiB.
    assert.ok(growth < 6, `${growth.toFixed(1)} MiB more than after step ${STEPS / 5}: ${sizes}`)
  })

  const run: MemoryCase = {
    ...{ work: 'train', model: 'M', dtype: 'f32', activationCheckpointing: 'none', steps: 1 },
    rollouts: { promptsPerStep: 2, numGenerations: 2, maxCompletionLength: 8 },
  }

  it('of a run is within 5 % of its plan', () => {
    const { plan, loading, reserving, working, saving } = measureMemory(run)
    const [planned, peak] = [totalBytes(plan), Math.max(loading, reserving, working, saving)]
    assert.ok(peak > 1024 * MIB, 'too little for shares to say anything')
    assert.ok(Math.abs(planned / peak - 1) < 0.05, `planned ${planned / MIB} MiB, took ${peak / MIB}`)
  })

  it('of a run with hardly a model is what Node.js takes, give or take what V8 does', () => {
    const { plan, loading, reserving, working, saving } = measureMemory({ ...run, model: 'tiny' })
    const [planned, peak] = [totalBytes(plan), Math.max(loading, reserving, working, saving)]
    // Whether the young generation grows to its 32 MiB is V8's affair.
    assert.ok(Math.abs(planned - peak) < 32 * MIB, `planned ${planned / MIB} MiB, took ${peak / MIB}`)
  })
})
