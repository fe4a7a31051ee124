import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Critic, demonstrationBatches, type ObjectiveSpec, Policy, sft, train } from '../../src/index.ts'
import { makeFolder, TINY, task, taskPrompts } from '../trainer/tiny-run.ts'

// ppo on an embedded task, from a base that knows the form of an answer and is right now and then.

describe('ppo on a walk of three nodes', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  let model = ''
  before(async () => {
    folder = await makeFolder()
    model = join(folder.path, 'base')
    await using policy = await Policy.load({ model: folder.model, threads: 1 })
    const batches = demonstrationBatches(task, 32, 1)
    const out = join(folder.path, 'sft')
    for await (const _ of sft({ policy, batches, steps: 60, learningRate: 1e-2, out }));
    await policy.save(model)
  })
  after(() => folder.remove())

  async function run(out: string, objective: ObjectiveSpec, steps: number, learningRate: number) {
    const shared = objective.kind === 'ppo' && objective.valueModel === 'shared'
    await using policy = await Policy.load({ model, threads: 1, valueHead: shared })
    await using critic = shared ? null : await Critic.load({ model, threads: 1 })
    const settings = {
      ...TINY,
      steps,
      promptsPerStep: 4,
      numGenerations: 32,
      miniBatchRows: 64,
      numIterations: 4,
    }
    const metrics = []
    const training = train({
      ...{ ...settings, learningRate, policy, prompts: taskPrompts('train', 4), verifier: 'walk', objective },
      ...(critic && { critic }),
      out: join(folder.path, out),
    })
    for await (const step of training) metrics.push(step.metrics)
    return metrics
  }

  const meanOf = (metrics: Readonly<Record<string, number>>[], name: string) =>
    metrics.reduce((sum, step) => sum + (step[name] ?? 0), 0) / metrics.length

  it('a critic comes to explain the returns of a policy that hardly moves', async () => {
    const metrics = await run('slow', { kind: 'ppo', criticLearningRate: 5e-3 }, 50, 1e-4)
    assert.ok(Math.abs(metrics[0]!.explained_variance!) < 1e-9)
    const [early, late] = [metrics.slice(0, 10), metrics.slice(-5)].map((of) =>
      meanOf(of, 'explained_variance'),
    )
    assert.ok(late! > 0.1 && late! > early! + 0.1, `explained variance ${early}, then ${late}`)
  })

  for (const objective of [
    { kind: 'ppo', valueModel: 'separate', criticLearningRate: 5e-3 },
    { kind: 'ppo', valueModel: 'shared', valueCoefficient: 1 },
  ] as const) {
    it(`the policy learns with ${JSON.stringify(objective)}`, async () => {
      const metrics = await run(objective.valueModel, objective, 30, 1e-3)
      const [early, late] = [metrics.slice(0, 3), metrics.slice(-3)].map((of) => meanOf(of, 'reward'))
      assert.ok(early! < 0.3 && late! > 0.7, `reward ${early}, then ${late}`)
    })
  }
})
