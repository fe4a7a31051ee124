import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Policy } from '../../src/policy.ts'
import { columnsOf } from '../../src/rollouts.ts'
import { bits } from '../float-bits.ts'
import { judged, promptsOfLength, tinyPolicy, VOCAB } from '../native-addon/tiny-policy.ts'
import { refused } from '../refused.ts'

const rollouts = (policy: Policy) =>
  policy.generateAll(promptsOfLength(4, 20), { numGenerations: 3, maxCompletionLength: 9, temperature: 0.8 })

describe('topLogprobs', () => {
  it('gives tokens the log-probs that score and the sampler gave them, and all of them mass 1', async () => {
    await using policy = await tinyPolicy()
    const batch = await rollouts(policy)
    const tokens = columnsOf(batch).completionTokens.values
    const { logprobs, topIds, topLogprobs } = await policy.topLogprobs(batch, { top: VOCAB, ids: tokens })
    assert.equal(bits(logprobs), bits((await policy.score(batch)).logprobs))
    for (let place = 0; place < tokens.length; place++) {
      const ids = topIds.subarray(place * VOCAB, (place + 1) * VOCAB)
      const values = topLogprobs.subarray(place * VOCAB, (place + 1) * VOCAB)
      assert.equal(new Set(ids).size, VOCAB)
      assert.deepEqual(
        values,
        values.slice().sort((a, b) => b - a),
      )
      assert.ok(Math.abs(values.reduce((mass, lp) => mass + Math.exp(lp), 0) - 1) < 1e-5)
      assert.equal(values[ids.indexOf(tokens[place]!)], logprobs[place])
    }
  })

  it('takes places alone, and several tokens for each', async () => {
    await using policy = await tinyPolicy()
    const batch = await rollouts(policy)
    const all = await policy.topLogprobs(batch, { top: 2 })
    const places = Int32Array.of(1, 4)
    const ids = Int32Array.from(
      [...places].flatMap((place) => [...all.topIds.subarray(2 * place, 2 * place + 2)]),
    )
    const some = await policy.topLogprobs(batch, { places, top: 0, ids })
    assert.equal(some.topIds.length, 0)
    assert.deepEqual(
      [...some.logprobs],
      [...places].flatMap((place) => [...all.topLogprobs.subarray(2 * place, 2 * place + 2)]),
    )
    const none = await policy.topLogprobs(batch, { places: new Int32Array(0) })
    assert.equal(none.topIds.length, 0)
  })

  it('refuses what is out of range', async () => {
    await using policy = await tinyPolicy()
    const batch = await rollouts(policy)
    const of = (options: object) => policy.topLogprobs(batch, options)
    await assert.rejects(of({ top: VOCAB + 1 }), refused('INVALID_ARGUMENT', /topLogprobs\.top/))
    await assert.rejects(of({ places: Int32Array.of(2, 1) }), refused('INVALID_ARGUMENT', /places\[1\]/))
    await assert.rejects(
      of({ places: Int32Array.of(0, 1), ids: Int32Array.of(1, 2, 3) }),
      refused('SHAPE_MISMATCH', /ids/),
    )
    await assert.rejects(
      of({ places: Int32Array.of(0), ids: Int32Array.of(VOCAB) }),
      refused('INVALID_ARGUMENT', /ids\[0\]/),
    )
    await assert.rejects(of({ tops: 1 }), refused('INVALID_ARGUMENT', /'top'/))
  })
})

describe('clone', () => {
  for (const dtype of ['f32', 'bf16'] as const) {
    it(`goes on as its original does and leaves it alone, ${dtype}`, async () => {
      await using policy = await tinyPolicy({ dtype })
      const batch = judged(await rollouts(policy))
      const options = { objective: { kind: 'w-reinforce' }, learningRate: 1e-3 } as const
      await policy.update(batch, options)
      await using copy = await policy.clone()
      assert.equal(copy.policyStep, 1)
      const names = ['model.embed_tokens.weight', 'model.layers.1.mlp.down_proj.weight', 'model.norm.weight']
      const parameters = async (of: Policy) =>
        Promise.all(names.map(async (name) => bits(await of.parameter(name))))
      const before = await parameters(policy)
      assert.deepEqual(await parameters(copy), before)
      assert.equal(bits((await copy.score(batch)).logprobs), bits((await policy.score(batch)).logprobs))
      await copy.update(batch, options)
      assert.deepEqual(await parameters(policy), before)
      await policy.update(batch, options)
      assert.deepEqual(await parameters(copy), await parameters(policy))
      assert.notDeepEqual(await parameters(copy), before)
    })
  }

  it('of a policy that never learnt has neither masters nor moments', async () => {
    await using policy = await tinyPolicy()
    await using copy = await policy.clone()
    assert.equal(copy.policyStep, 0)
    const bytes = policy.allocatedBytes
    assert.ok(copy.allocatedBytes <= bytes, `${copy.allocatedBytes} bytes for ${bytes}`)
  })
})
