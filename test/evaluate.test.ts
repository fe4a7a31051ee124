import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { columnsOf, evaluate, Policy, passAtK, readTable, type Sample } from '../src/index.ts'
import { makeFolder, taskPrompts } from './trainer/tiny-run.ts'

/** Right where the completion begins with the prompt's own first node, unparsed where it is empty. */
function verifier({ completion, promptTokens }: Sample) {
  if (completion === '') return 'unparsed' as const
  return Number(completion[0]) === promptTokens[0]! % 3 ? ('right' as const) : ('wrong' as const)
}

describe('evaluate', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  let policy: Policy
  before(async () => {
    folder = await makeFolder()
    policy = await Policy.load({ model: folder.model, threads: 2 })
  })
  after(async () => {
    await policy.dispose()
    await folder.remove()
  })

  it('counts what the verdict calls right, whatever a weighted reward is', async () => {
    const shaped = { verifiers: [verifier, () => 1], rewardWeights: [1, 5] }
    const options = { policy, prompts: taskPrompts('heldout', 3), n: 16, maxCompletionLength: 4, seed: 3 }
    const evaluation = await evaluate({ ...options, verifier: shaped })
    const plain = await evaluate({ ...options, verifier })
    assert.deepEqual(evaluation.rightCounts, plain.rightCounts)
    assert.deepEqual(evaluation.greedyAccuracy, plain.greedyAccuracy)
    assert.ok(plain.rightCounts.some(({ c }) => c < 16))
  })

  it('counts what the rollouts that it writes say', async () => {
    const out = join(folder.path, 'evaluation')
    const progress: number[] = []
    const prompts = taskPrompts('heldout', 5)
    const evaluation = await evaluate({
      ...{ policy, prompts, verifier, n: 32, maxCompletionLength: 4, out, seed: 3 },
      onProgress: (done, total) => progress.push(done / total),
    })
    const rollouts = columnsOf(await readTable(join(out, 'rollouts.arrow')))
    assert.equal(rollouts.rows, 160)
    assert.deepEqual(
      [...rollouts.groupIds],
      Array.from({ length: 160 }, (_, row) => Math.floor(row / 32)),
    )
    const counts = prompts.map((_, prompt) => ({
      n: 32,
      c: rollouts.rewards!.filter((reward, row) => rollouts.groupIds[row] === prompt && reward! > 0).length,
    }))
    assert.deepEqual(evaluation.rightCounts, counts)
    assert.ok(counts.some(({ c }) => c > 0 && c < 32))
    for (const k of [1, 2, 4, 8, 16, 32]) {
      const mean = counts.reduce((sum, { n, c }) => sum + passAtK(n, c, k), 0) / counts.length
      assert.ok(Math.abs(evaluation.passAtK[k]!.mean - mean) < 1e-12)
    }
    const written = JSON.parse(await readFile(join(out, 'passk.json'), 'utf8'))
    assert.deepEqual(written, evaluation.passAtK)
    assert.deepEqual(Object.keys(evaluation.passAtK['1']!), ['mean', 'low', 'high'])
    assert.equal(
      evaluation.unparsedRate,
      rollouts.verdicts!.filter((verdict) => verdict === 'unparsed').length / 160,
    )
    assert.ok(evaluation.entropy > 0 && evaluation.entropy < Math.log(13))
    assert.equal(progress[0], 0)
    assert.equal(progress.at(-1), 1)
  })

  it('counts different right answers, and white space makes none', async () => {
    const evaluation = await evaluate({
      ...{ policy, prompts: taskPrompts('heldout', 2), n: 64, maxCompletionLength: 2 },
      verifier: () => 'right' as const,
      distinctKey: (completion: string) => completion.replace(/\s/g, '').slice(0, 1),
    })
    assert.equal(evaluation.passAtK['1']!.mean, 1)
    assert.ok(evaluation.distinctRight.mean > 2 && evaluation.distinctRight.mean <= 13)
    assert.equal(evaluation.majorityAtK['64']!.mean, 1)
  })

  it('gives the same figures for the same seed and others for another', async () => {
    const figures = async (seed: number) => {
      const prompts = taskPrompts('heldout', 3)
      return (await evaluate({ policy, prompts, verifier, n: 16, maxCompletionLength: 4, seed })).rightCounts
    }
    assert.deepEqual(await figures(1), await figures(1))
    assert.notDeepEqual(await figures(1), await figures(2))
  })

  it('does not wait for a verifier that never ends', async () => {
    const prompts = taskPrompts('heldout', 2)
    const never = () => new Promise<never>(() => {})
    const evaluation = await evaluate({
      ...{ policy, prompts, verifier: never, n: 2, maxCompletionLength: 2, verify: { timeoutMs: 20 } },
    })
    assert.equal(evaluation.timedOutRate, 1)
    assert.equal(evaluation.passAtK['2']!.mean, 0)
  })

  it('refuses nonsense by name', async () => {
    const prompts = taskPrompts('heldout', 2)
    await assert.rejects(evaluate({ policy, prompts, verifier, n: 4, ks: [8] }), /evaluate: ks.*from 1 to 4/)
    await assert.rejects(evaluate({ policy, prompts: [], verifier }), /at least one prompt/)
    await assert.rejects(
      evaluate({ policy, prompts, verifier, samples: 3 } as never),
      /unknown option 'samples'/,
    )
  })
})
