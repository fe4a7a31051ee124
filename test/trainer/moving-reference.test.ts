import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Policy, type TrainOptions } from '../../src/index.ts'
import { checkpointDigest, makeFolder, runToEnd, timelessMetrics } from './tiny-run.ts'

const NAME = 'model.layers.1.self_attn.q_proj.weight'
const OBJECTIVE = { kind: 'w-reinforce', beta: 0.1 } as const

describe('a reference policy that follows the policy', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  before(async () => {
    folder = await makeFolder()
  })
  after(() => folder.remove())

  const run = async (name: string, given: Partial<TrainOptions>) => {
    await using reference = await Policy.load({ model: folder.model, threads: 1 })
    const out = join(folder.path, name)
    const steps = await runToEnd(folder.model, out, { objective: OBJECTIVE, reference, ...given })
    return { out, steps, parameter: await reference.parameter(NAME) }
  }
  const parameterOf = async (model: string) => {
    await using policy = await Policy.load({ model, threads: 1 })
    return await policy.parameter(NAME)
  }

  it('is the policy after every so many steps, and measures from there', async () => {
    const { out, steps, parameter } = await run('every', { steps: 4, referenceUpdateEvery: 2, saveEvery: 2 })
    assert.deepEqual(
      steps.map(({ metrics }) => metrics.reference_moved),
      [0, 1, 0, 1],
    )
    assert.deepEqual(parameter, await parameterOf(join(out, 'checkpoints', '4')))
    assert.deepEqual(
      await parameterOf(join(out, 'checkpoints', '2', 'reference')),
      await parameterOf(join(out, 'checkpoints', '2')),
    )
    const still = await run('still', { steps: 4 })
    assert.deepEqual(still.parameter, await parameterOf(folder.model))
    const kl = ({ steps }: typeof still) => steps.map(({ metrics }) => metrics.kl!)
    assert.deepEqual(kl({ steps, out, parameter }).slice(0, 2), kl(still).slice(0, 2))
    // The policy has just been the reference: the first updates of the third step are near it again.
    assert.ok(kl({ steps, out, parameter })[2]! < kl(still)[2]!)
  })

  it('goes a share of the way', async () => {
    const { out, parameter } = await run('share', {
      steps: 1,
      referenceUpdateEvery: 1,
      referenceMixing: 0.25,
    })
    const [from, to] = [await parameterOf(folder.model), await parameterOf(join(out, 'checkpoints', '1'))]
    const expected = from.map((value, i) => value + 0.25 * (to[i]! - value))
    assert.deepEqual(parameter, expected)
    assert.notDeepEqual(parameter, from)
  })

  it('is where a checkpoint left it, to the same bytes', async () => {
    const settings = { steps: 6, referenceUpdateEvery: 2, referenceMixing: 0.5 }
    const whole = await run('whole', settings)
    const halves = await run('halves', { ...settings, steps: 3 })
    const resumed = await run('halves', { ...settings, resume: true })
    assert.equal(resumed.out, halves.out)
    assert.deepEqual(await timelessMetrics(resumed.out), await timelessMetrics(whole.out))
    assert.deepEqual(await checkpointDigest(resumed.out, 6), await checkpointDigest(whole.out, 6))
    const bytes = ({ out }: typeof whole) =>
      readFile(join(out, 'checkpoints', '6', 'reference', 'model.safetensors'))
    assert.deepEqual(await bytes(resumed), await bytes(whole))
    assert.deepEqual(resumed.parameter, whole.parameter)
  })

  it('is refused where there is none to move, and between different models', async () => {
    const refused = (given: Partial<TrainOptions>, message: RegExp) =>
      assert.rejects(runToEnd(folder.model, join(folder.path, 'no'), given), {
        code: 'INVALID_ARGUMENT',
        message,
      })
    await refused({ referenceUpdateEvery: 1 }, /referenceUpdateEvery.*no KL/)
    await using reference = await Policy.load({ model: folder.model, threads: 1 })
    await refused(
      { objective: OBJECTIVE, reference, referenceMixing: 0.5 },
      /referenceMixing.*referenceUpdateEvery is 0/,
    )
    await refused(
      { objective: OBJECTIVE, reference, referenceUpdateEvery: 1, referenceMixing: 0 },
      /referenceMixing/,
    )
    const config = { ...reference.rawConfig, num_hidden_layers: 1 }
    await using other = await Policy.init({ config, seed: 1, threads: 1 })
    await assert.rejects(reference.moveTowards(other), { code: 'SHAPE_MISMATCH' })
    await assert.rejects(reference.moveTowards(reference), { code: 'INVALID_ARGUMENT' })
  })
})
