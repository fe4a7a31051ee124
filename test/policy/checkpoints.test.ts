import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { Policy } from '../../src/policy.ts'
import { columnsOf } from '../../src/rollouts.ts'
import { bits } from '../float-bits.ts'
import { judged, promptsOfLength, TINY_CONFIG, tinyPolicy } from '../native-addon/tiny-policy.ts'
import { refused } from '../refused.ts'

const folder = mkdtempSync(join(tmpdir(), 'coppice-policy-'))
after(() => rmSync(folder, { recursive: true }))

describe('checkpoints of a policy', () => {
  it('resume to the same bits', async () => {
    const path = join(folder, 'state')
    await using policy = await tinyPolicy()
    const batch = judged(
      await policy.generateAll(promptsOfLength(4, 9), { numGenerations: 4, maxCompletionLength: 12 }),
    )
    const step = (of: Policy) =>
      of.update(batch, { objective: { kind: 'reinforce', rewards: 'signed' }, learningRate: 1e-2 })
    await step(policy)
    await policy.saveTrainingState(path)
    const metrics = await step(policy)
    await using resumed = await Policy.load({ model: path, threads: 1 })
    await resumed.loadTrainingState(path)
    assert.equal(resumed.policyStep, 1)
    assert.deepEqual(await step(resumed), metrics)
    for (const name of [
      'model.embed_tokens.weight',
      'model.layers.1.mlp.down_proj.weight',
      'model.norm.weight',
    ]) {
      assert.equal(bits(await resumed.parameter(name)), bits(await policy.parameter(name)))
    }
  })

  it('carry the model and nothing of another shape', async () => {
    const path = join(folder, 'model')
    await using policy = await tinyPolicy()
    await policy.save(path)
    assert.deepEqual(readdirSync(path).sort(), ['config.json', 'model.safetensors'])
    await using loaded = await Policy.load({ model: path })
    const batch = await policy.generateAll(promptsOfLength(5), { numGenerations: 2, maxCompletionLength: 5 })
    assert.equal(bits((await loaded.score(batch)).logprobs), bits((await policy.score(batch)).logprobs))
    await using other = await Policy.init({ config: { ...TINY_CONFIG, num_hidden_layers: 3 } })
    await other.saveTrainingState(join(folder, 'other'))
    await assert.rejects(
      policy.loadTrainingState(join(folder, 'other')),
      refused('CHECKPOINT_CORRUPT', /a model of another shape/),
    )
    await assert.rejects(
      policy.loadTrainingState(path),
      refused('CHECKPOINT_CORRUPT', /optimizer.safetensors/),
    )
  })

  for (const activationCheckpointing of ['none', 'layer'] as const) {
    it(`take at once what they tell beforehand, and no more later: checkpointing ${activationCheckpointing}`, async () => {
      await using policy = await tinyPolicy()
      const micro = { tokenBudget: 512, activationCheckpointing }
      const sampling = { numGenerations: 4, maxCompletionLength: 32, maxLiveSequences: 16 }
      const options = { ...micro, ...sampling, longestPrompt: 20 }
      const rows = await policy.plan(options)
      const planned = rows
        .filter(({ what }) => what !== 'packing and sampling')
        .reduce((sum, { bytes }) => sum + bytes, 0)
      await policy.reserve(options)
      assert.equal(policy.allocatedBytes, planned)
      const batch = await policy.generateAll(promptsOfLength(20, 20, 20, 20), sampling)
      await policy.supervisedStep(batch, { learningRate: 1e-3, ...micro })
      await policy.score(batch, { tokenBudget: 512 })
      assert.equal(policy.allocatedBytes, planned)
    })
  }

  it('give the same gradients, bit for bit, when activations are computed again', async () => {
    await using policy = await tinyPolicy()
    const batch = await policy.generateAll(promptsOfLength(5, 70), {
      numGenerations: 3,
      maxCompletionLength: 20,
    })
    const weights = columnsOf(batch).logprobs.values.map((lp) => lp / 7)
    const gradient = async (activationCheckpointing: 'none' | 'layer') => {
      await policy.grad(batch, weights, { activationCheckpointing })
      return bits(await policy.gradient('model.layers.0.mlp.up_proj.weight'))
    }
    assert.equal(await gradient('layer'), await gradient('none'))
    await assert.rejects(
      policy.grad(batch, weights, { activationCheckpointing: 'layers' as 'layer' }),
      refused('INVALID_ARGUMENT', /grad.activationCheckpointing.*did you mean 'layer'/),
    )
  })

  it('reserve for scoring alone no more than the parameters and a small workspace', async () => {
    await using policy = await tinyPolicy()
    const all = { tokenBudget: 512, longestPrompt: 20, maxCompletionLength: 32 }
    const names = (rows: readonly { what: string }[]) => rows.map(({ what }) => what)
    const scoring = await policy.plan({ ...all, training: false, generation: false })
    assert.deepEqual(names(scoring), [
      ...['parameters', 'rotary table', 'activations and scratch', 'packing and sampling'],
    ])
    await using open = await tinyPolicy()
    const generation = open.generate(promptsOfLength(4), { maxCompletionLength: 5 })
    await generation.next()
    await assert.rejects(open.reserve(all), refused('BUSY', /reserve/))
    await generation.return()
  })
})
