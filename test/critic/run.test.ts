import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Critic, type ObjectiveSpec, Policy, type Sample, type TrainOptions, train } from '../../src/index.ts'
import { columnsOf } from '../../src/rollouts.ts'
import { refused } from '../refused.ts'
import { makeFolder, TINY, taskPrompts, timelessMetrics } from '../trainer/tiny-run.ts'

// Runs under ppo from end to end, with a critic of its own and with a head on the policy.

const CRITIC_RATE = 3e-3
const SPECS = {
  separate: { kind: 'ppo', criticLearningRate: CRITIC_RATE, gaeLambda: 0.95, gamma: 0.99 },
  shared: { kind: 'ppo', valueModel: 'shared', gaeLambda: 0.95, gamma: 0.99 },
} as const satisfies Record<string, ObjectiveSpec>
/** Of a random model, too, some answers are right. */
const verifier = ({ completion }: Sample) => completion.length % 2

type ValueModel = keyof typeof SPECS

async function run(
  model: string,
  out: string,
  valueModel: ValueModel,
  given: Partial<TrainOptions> & { threads?: number } = {},
) {
  const { threads = 1, ...options } = given
  await using policy = await Policy.load({ model, threads, valueHead: valueModel === 'shared' })
  await using critic = valueModel === 'separate' ? await Critic.load({ model, threads }) : null
  const steps = []
  const settings = { ...TINY, numIterations: 2, objective: SPECS[valueModel] }
  const common = {
    policy,
    ...(critic && { critic }),
    prompts: taskPrompts('train', 8),
    verifier,
    out,
  }
  for await (const step of train({ ...settings, ...common, ...options })) steps.push(step)
  return steps
}

/** Every file below a checkpoint, by its hash. */
async function digests(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const hashes = files.sort().map(async (path) => {
    const hash = createHash('sha256')
      .update(await readFile(path))
      .digest('hex')
    return [path.slice(folder.length + 1), hash] as const
  })
  return Object.fromEntries(await Promise.all(hashes))
}

describe('a run under ppo', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  before(async () => {
    folder = await makeFolder()
  })
  after(() => folder.remove())

  for (const valueModel of ['separate', 'shared'] as const) {
    it(`${valueModel}: begins with values of 0 and ends in the same bytes when it is resumed`, async () => {
      const whole = join(folder.path, valueModel)
      const steps = await run(folder.model, whole, valueModel)
      const { metrics, rollouts } = steps[0]!
      const { values, advantages } = columnsOf(rollouts)
      assert.ok(values!.values.every((value) => value === 0))
      assert.ok(advantages!.values.some((value) => value !== advantages!.values[0]))
      assert.equal(metrics.value_mean, 0)
      assert.equal(metrics['sampling/sampling_logp_difference/max'], 0)
      assert.ok(Math.abs(metrics.explained_variance!) < 1e-12)
      assert.ok(metrics.value_loss! > 0)
      assert.ok(columnsOf(steps.at(-1)!.rollouts).values!.values.some((value) => value !== 0))
      assert.equal(metrics['critic/learning_rate'], valueModel === 'separate' ? CRITIC_RATE : undefined)

      const cut = join(folder.path, `${valueModel}-cut`)
      await run(folder.model, cut, valueModel, { steps: TINY.steps / 2 })
      await run(folder.model, cut, valueModel, { resume: true, threads: 2 })
      assert.deepEqual(await timelessMetrics(cut), await timelessMetrics(whole))
      const last = join('checkpoints', String(TINY.steps))
      const files = await digests(join(whole, last))
      assert.deepEqual(await digests(join(cut, last)), files)
      assert.ok((valueModel === 'separate' ? 'critic/model.safetensors' : 'value_head.safetensors') in files)
    })

    it(`${valueModel}: leaves a policy that loads as a plain model`, async () => {
      const [step] = (
        await run(folder.model, join(folder.path, `${valueModel}-plain`), valueModel, { steps: 1 })
      ).slice(-1)
      await using policy = await Policy.load({ model: step!.checkpoint!, threads: 1 })
      assert.equal(policy.hasValueHead, false)
      assert.equal(existsSync(join(step!.checkpoint!, 'critic')), valueModel === 'separate')
    })
  }

  it('lets the critic alone learn in its warm-up', async () => {
    const objective = { ...SPECS.separate, criticWarmupSteps: 1 } as const
    const steps = await run(folder.model, join(folder.path, 'warm-up'), 'separate', { objective, steps: 2 })
    assert.equal(steps[0]!.metrics.updates, 0)
    assert.ok(steps[0]!.metrics['critic/grad_norm']! > 0)
    assert.ok(steps[1]!.metrics.updates! > 0)
  })

  it('refuses a critic that is missing or of no use before it writes anything', async () => {
    const out = join(folder.path, 'refused')
    await using policy = await Policy.load({ model: folder.model, threads: 1 })
    await using critic = await Critic.load({ model: folder.model, threads: 1 })
    const common = { ...TINY, policy, prompts: taskPrompts('train', 8), verifier, out }
    const start = (options: Pick<TrainOptions, 'objective' | 'critic'>) =>
      train({ ...common, ...options }).next()
    await assert.rejects(start({ objective: SPECS.separate }), refused('INVALID_ARGUMENT', /critic/))
    await assert.rejects(start({ objective: SPECS.shared }), refused('INVALID_ARGUMENT', /value head/))
    await assert.rejects(
      start({ objective: { kind: 'grpo' }, critic }),
      refused('INVALID_ARGUMENT', /critic/),
    )
    assert.equal(existsSync(out), false)
  })
})
