import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { columnsOf, Policy, type TrainProgress, type Verifier } from '../../src/index.ts'
import { checkpointDigest, makeFolder, runToEnd, TINY, taskPrompts, timelessMetrics } from './tiny-run.ts'

describe('verification beside generation', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  before(async () => {
    folder = await makeFolder()
  })
  after(() => folder.remove())
  const out = (name: string) => join(folder.path, name)
  /** More groups than live sequences, waiting groups and requests together: the engine cannot be done before anyone looks. */
  const many = () => Array.from({ length: 80 }, () => taskPrompts('train', 8)).flat()

  it('judges the first groups while the engine still samples others', async () => {
    let at: TrainProgress | undefined
    let seen: TrainProgress | undefined
    await runToEnd(folder.model, out('overlap'), {
      ...{ prompts: many(), promptsPerStep: many().length, numGenerations: 1, steps: 1 },
      verifier: () => {
        seen ??= at
        return 'right'
      },
      onProgress: (progress) => {
        at = progress
      },
    })
    assert.equal(seen?.phase, 'generate')
    assert.ok(seen.share < 1, `${seen.share} of the groups were sampled`)
  })

  it('gives the same bytes whenever verdicts come', async () => {
    const verdict: Verifier = ({ completion }) => (completion.startsWith('1') ? 'right' : 'wrong')
    let calls = 0
    const late: Verifier = async (sample, context) => {
      await sleep((++calls * 7) % 5)
      return await verdict(sample, context)
    }
    const [plain, delayed] = [
      await runToEnd(folder.model, out('plain'), { verifier: verdict }),
      await runToEnd(folder.model, out('delayed'), {
        verifier: late,
        verify: { concurrency: 5 },
        threads: 4,
      }),
    ]
    // Names of verifiers are part of run.json alone.
    assert.deepEqual(await timelessMetrics(out('delayed')), await timelessMetrics(out('plain')))
    const digests = [await checkpointDigest(out('delayed'), 8), await checkpointDigest(out('plain'), 8)]
    assert.deepEqual(digests[0], digests[1])
    plain.forEach(({ rollouts }, i) => {
      const [a, b] = [columnsOf(rollouts), columnsOf(delayed[i]!.rollouts)]
      assert.deepEqual(a.rewards, b.rewards)
      assert.deepEqual(a.verdicts, b.verdicts)
      assert.deepEqual(a.groupIds, b.groupIds)
      const texts = [...rollouts.getChild('completion')!]
      assert.deepEqual(
        a.rewards,
        texts.map((text) => (text.startsWith('1') ? 1 : 0)),
      )
    })
  })

  it('ends the generation when the verifier turns out useless, and leaves the policy usable', async () => {
    await using policy = await Policy.load({ model: folder.model, threads: 1 })
    let calls = 0
    const useless = runToEnd(folder.model, out('useless'), {
      policy,
      ...{ prompts: many(), promptsPerStep: many().length, numGenerations: 1 },
      verifier: () => {
        calls++
        throw new Error('no')
      },
      verify: { concurrency: 1 },
    })
    await assert.rejects(useless, { code: 'INVALID_ARGUMENT', message: /works on no sample.*no/ })
    assert.equal(calls, 32)
    // BUSY were a generation still open.
    await policy.setParameter('model.norm.weight', new Float32Array(32).fill(1))
  })

  it('gives up groups and samples under way when it is aborted, and resumes to the same bytes', async () => {
    const controller = new AbortController()
    const cause = new Error('enough')
    let calls = 0
    let given: AbortSignal | undefined
    const verdict: Verifier = ({ completion }) => (completion.startsWith('1') ? 'right' : 'wrong')
    const perStep = TINY.promptsPerStep * TINY.numGenerations
    const interrupted: Verifier = (sample, context) => {
      if (++calls !== 2 * perStep + 2) return verdict(sample, context)
      given = context.signal
      setImmediate(() => controller.abort(cause))
      return new Promise<never>(() => {})
    }
    // A run is resumed with the verifier of the same name.
    Object.defineProperty(interrupted, 'name', { value: verdict.name })
    const aborted = runToEnd(folder.model, out('aborted'), {
      signal: controller.signal,
      verifier: interrupted,
    })
    await assert.rejects(aborted, cause)
    assert.equal(given?.reason, cause)
    await runToEnd(folder.model, out('aborted'), { verifier: verdict, resume: true })
    await runToEnd(folder.model, out('whole'), { verifier: verdict })
    assert.deepEqual(await timelessMetrics(out('aborted')), await timelessMetrics(out('whole')))
    assert.deepEqual(await checkpointDigest(out('aborted'), 8), await checkpointDigest(out('whole'), 8))
  })
})
