import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Policy, type Sample, type TrainOptions } from '../../src/index.ts'
import { columnsOf } from '../../src/rollouts.ts'
import { checkpointDigest, makeFolder, runToEnd, TINY, taskPrompts, timelessMetrics } from './tiny-run.ts'

const reward = ({ completionTokens }: Pick<Sample, 'completionTokens'>) =>
  completionTokens.reduce((sum, token) => sum + token, 0) % 2
const SETTINGS = {
  ...{ asyncSteps: 1, steps: 5, saveEvery: 1, keepCheckpoints: 9, verifier: reward },
  objective: { kind: 'w-reinforce', epsilon: 0.1 },
} satisfies Partial<TrainOptions>

describe('rollouts that are sampled a step ahead', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  let whole = ''
  before(async () => {
    folder = await makeFolder()
    whole = join(folder.path, 'whole')
  })
  after(() => folder.remove())

  const requireSameEnd = async (run: string) => {
    assert.deepEqual(await timelessMetrics(run), await timelessMetrics(whole))
    assert.deepEqual(await checkpointDigest(run, 5), await checkpointDigest(whole, 5))
  }

  it('are those of the policy before the last update, and weighed against what was recorded', async () => {
    const steps = await runToEnd(folder.model, whole, SETTINGS)
    const prompts = taskPrompts('train', 8)
    for (const { step, metrics, rollouts } of steps) {
      const { groupIds, completionTokens, logprobs, policyStep } = columnsOf(rollouts)
      const ahead = step === 1 ? 0 : steps[step - 2]!.metrics.updates!
      assert.deepEqual([metrics['staleness/mean'], metrics['staleness/max']], [ahead, ahead])
      assert.equal(metrics['sampling/sampling_logp_difference/max'] === 0, step === 1)
      const before = step - 2
      const model = before < 1 ? folder.model : join(whole, 'checkpoints', String(before))
      await using policy = await Policy.load({ model, threads: 1 })
      const promptIndices = [...new Set(groupIds)]
      const { numGenerations, maxCompletionLength, seed } = TINY
      const again = columnsOf(
        await policy.generateAll(
          promptIndices.map((index) => prompts[index]!),
          { numGenerations, maxCompletionLength, seed, step, promptIndices },
        ),
      )
      assert.deepEqual(again.completionTokens.values, completionTokens.values)
      assert.deepEqual(again.logprobs.values, logprobs.values)
      assert.equal(new Set(policyStep).size, 1)
    }
    assert.ok(!existsSync(join(whole, 'checkpoints', '5', 'pending-rollouts.arrow')))
  })

  it('end in the same bytes however long their verdicts take', async () => {
    const out = join(folder.path, 'slow')
    let calls = 0
    const verifier = async (sample: Sample) => {
      await sleep((calls++ * 7) % 20)
      return reward(sample)
    }
    await runToEnd(folder.model, out, { ...SETTINGS, verifier })
    await requireSameEnd(out)
  })

  it('go on from the checkpoint of a run that was stopped, to the same bytes', async () => {
    for (const phase of ['generate', 'verify', 'update', 'save'] as const) {
      const out = join(folder.path, `aborted-${phase}`)
      const controller = new AbortController()
      const aborted = runToEnd(folder.model, out, {
        ...SETTINGS,
        ...{ signal: controller.signal, saveEvery: 3 },
        onProgress: (state) => {
          if (state.step === 3 && state.phase === phase) controller.abort()
        },
      })
      await assert.rejects(aborted, { name: 'AbortError' })
      await runToEnd(folder.model, out, { ...SETTINGS, saveEvery: 3, resume: true })
      await requireSameEnd(out)
    }
    const pending = (run: string, step: number) =>
      readFile(join(run, 'checkpoints', String(step), 'pending-rollouts.arrow'))
    const again = join(folder.path, 'again')
    await runToEnd(folder.model, again, SETTINGS)
    assert.deepEqual(await pending(again, 3), await pending(whole, 3))
  })

  it('are refused where verdicts decide what is sampled, and other steps when a run is resumed', async () => {
    const refused = (given: Partial<TrainOptions>, message: RegExp) =>
      assert.rejects(runToEnd(folder.model, join(folder.path, 'no'), { ...SETTINGS, ...given }), {
        ...{ code: 'INVALID_ARGUMENT', message },
      })
    await refused({ asyncSteps: 2 }, /asyncSteps/)
    await refused({ objective: { kind: 'dapo' }, refillRounds: 1 }, /asyncSteps.*refillRounds needs verdicts/)
    await refused({ objective: { kind: 'remax' } }, /asyncSteps.*'remax' judges greedy completions/)
    const longer = runToEnd(folder.model, whole, { ...SETTINGS, steps: 6, resume: true })
    await assert.rejects(longer, /a resumed run cannot change 'steps'/)
  })
})
