import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { weighTokens } from '../../src/objectives/token-weights.ts'
import { resolveObjective } from '../../src/objectives.ts'
import type { Policy, PreparedUpdate, UpdateStats } from '../../src/policy.ts'
import { lossParams } from '../../src/policy-loss.ts'
import {
  appendColumns,
  columnsOf,
  concatBatches,
  makeBatch,
  sliceRows,
  takeRows,
} from '../../src/rollouts.ts'
import { bits } from '../float-bits.ts'
import { judged, promptsOfLength, tinyPolicy } from '../native-addon/tiny-policy.ts'
import { refused } from '../refused.ts'

describe('update', () => {
  const rollouts = async (policy: Policy) =>
    judged(
      await policy.generateAll(promptsOfLength(4, 20, 65), { numGenerations: 4, maxCompletionLength: 16 }),
    )
  const objective = { kind: 'w-reinforce', lambda: 0.3 } as const

  it('has a ratio of exactly 1 the first time, and counts its steps', async () => {
    await using policy = await tinyPolicy()
    const batch = await rollouts(policy)
    const first = await policy.update(batch, { objective, learningRate: 1e-3 })
    assert.equal(first.skipped, undefined)
    assert.equal(first.metrics.ratio_mean, 1)
    assert.equal(first.metrics.max_abs_log_ratio, 0)
    assert.equal(first.metrics['clip_ratio/region_mean'], 0)
    assert.equal(policy.policyStep, 1)
    const second = await policy.update(batch, { objective, learningRate: 1e-3 })
    assert.ok(second.metrics.max_abs_log_ratio! > 0)
    assert.equal(policy.policyStep, 2)
    const fresh = await policy.generateAll(promptsOfLength(3), { numGenerations: 1, maxCompletionLength: 2 })
    assert.deepEqual([...columnsOf(fresh).policyStep], [2])
  })

  it('comes down to applyUpdate on the rows that the objective keeps, bit for bit', async () => {
    await using byName = await tinyPolicy()
    await using byHand = await tinyPolicy()
    const batch = await rollouts(byName)
    await byName.update(batch, { objective: { kind: 'nsr' }, learningRate: 1e-2, epsilon: 0.1 })
    const wrong = Array.from({ length: 12 }, (_, row) => row).filter((row) => row % 3 !== 0)
    const resolved = resolveObjective({ kind: 'nsr', epsilon: 0.1 })
    const { completionTokens, completionMask } = columnsOf(batch)
    const completions = { offsets: completionTokens.offsets, mask: completionMask.values }
    const weights = weighTokens(
      wrong,
      { rowAdvantages: new Float64Array(12).fill(-1) },
      completions,
      resolved,
      'f32',
    )!
    const stats = await byHand.applyUpdate(takeRows(batch, wrong), {
      advantages: weights.advantages,
      norm: weights.norm,
      lossParams: lossParams(resolved),
      optimizer: { learningRate: 1e-2 },
    })
    assert.equal(stats.activeTokens, weights.activeTokens)
    const name = 'model.layers.0.mlp.gate_proj.weight'
    assert.equal(bits(await byName.parameter(name)), bits(await byHand.parameter(name)))
  })

  it('takes slices and joined batches for what they are', async () => {
    const name = 'model.embed_tokens.weight'
    const results = new Set<string>()
    for (const shape of ['whole', 'sliced', 'joined'] as const) {
      await using policy = await tinyPolicy()
      const batch = await rollouts(policy)
      const rows = {
        whole: () => takeRows(batch, [4, 5, 6, 7]),
        sliced: () => sliceRows(batch, 4, 8),
        joined: () => concatBatches([sliceRows(batch, 4, 6), sliceRows(batch, 6, 8)]),
      }[shape]()
      await policy.update(rows, { objective, learningRate: 1e-2 })
      results.add(bits(await policy.parameter(name)))
    }
    assert.equal(results.size, 1)
  })

  it('gives the same parameters however it is cut into micro-batches, up to the order of sums', async () => {
    const gradients: Float32Array[] = []
    for (const tokenBudget of [1, 64, 8192]) {
      await using policy = await tinyPolicy()
      await policy.update(await rollouts(policy), { objective, learningRate: 0, weightDecay: 0, tokenBudget })
      gradients.push(await policy.gradient('model.layers.1.self_attn.q_proj.weight'))
    }
    const norm = (values: Float32Array) => Math.hypot(...values)
    for (const gradient of gradients.slice(1)) {
      assert.ok(norm(gradient.map((x, i) => x - gradients[0]![i]!)) < 1e-6 * norm(gradient))
    }
  })

  it('makes no step where there is nothing to learn from', async () => {
    await using policy = await tinyPolicy()
    const batch = await policy.generateAll(promptsOfLength(4), { numGenerations: 4, maxCompletionLength: 8 })
    const name = 'model.norm.weight'
    const before = await policy.parameter(name)
    const allRight = appendColumns(batch, { reward: [1, 1, 1, 1] })
    const result = await policy.update(allRight, { objective: { kind: 'nsr' }, learningRate: 1 })
    assert.equal(result.skipped, 'no-wrong-completion')
    assert.equal(result.metrics.empty_class, 1)
    const abstained = appendColumns(batch, { reward: [null, null, null, null] })
    assert.equal((await policy.update(abstained, { objective, learningRate: 1 })).skipped, 'no-completion')
    assert.equal(policy.policyStep, 0)
    assert.deepEqual(await policy.parameter(name), before)
  })

  it('leaves tokens out that the policy did not produce', async () => {
    await using policy = await tinyPolicy()
    const view = { values: Int32Array.of(5, 6, 7, 8), offsets: Int32Array.of(0, 4) }
    const batch = (mask: number[], completion = view.values) =>
      makeBatch(1, {
        prompt_tokens: { values: Int32Array.of(1, 2), offsets: Int32Array.of(0, 2) },
        completion_tokens: { values: completion, offsets: view.offsets },
        completion_mask: { values: Uint8Array.from(mask), offsets: view.offsets },
      })
    const { metrics } = await policy.supervisedStep(batch([1, 1, 0, 0]), { learningRate: 0, weightDecay: 0 })
    assert.equal(metrics.num_active_tokens, 2)
    const { logprobs } = await policy.score(batch([1, 1, 1, 1]))
    assert.ok(Math.abs(metrics.loss! + (logprobs[0]! + logprobs[1]!) / 2) < 1e-6)
    assert.equal(
      (await policy.supervisedStep(batch([0, 0, 0, 0]), { learningRate: 1 })).skipped,
      'no-completion',
    )
  })

  it('makes steps one behind the other as it makes them one by one, and none behind one that is refused', async () => {
    await using queued = await tinyPolicy()
    await using single = await tinyPolicy()
    const name = 'model.layers.0.mlp.up_proj.weight'
    const batch = await rollouts(queued)
    const tokens = columnsOf(batch).completionTokens.values.length
    const step = (advantage: number): PreparedUpdate => ({
      rows: batch,
      advantages: new Float32Array(tokens).fill(advantage),
      norm: new Float32Array(tokens).fill(1 / tokens),
      lossParams: lossParams(resolveObjective(objective)),
      optimizer: { learningRate: 1e-3 },
    })
    let prepared = 0
    function* steps(...advantages: number[]) {
      for (const advantage of advantages) {
        prepared++
        yield step(advantage)
      }
    }
    const done: UpdateStats[] = []
    for await (const stats of queued.applyUpdates(steps(1, -1, 0.5))) done.push(stats)
    for (const [i, advantage] of [1, -1, 0.5].entries()) {
      const { rows, ...options } = step(advantage)
      assert.equal((await single.applyUpdate(rows, options)).loss, done[i]!.loss)
    }
    assert.equal(done.length, 3)
    assert.equal(bits(await queued.parameter(name)), bits(await single.parameter(name)))

    // The third one is handed over while the second one, which is refused, is under way or waits.
    const { rows, ...options } = step(2)
    await single.applyUpdate(rows, options)
    prepared = 0
    const refusing = async () => {
      for await (const stats of queued.applyUpdates(steps(2, Number.NaN, 3, 4))) done.push(stats)
    }
    await assert.rejects(refusing(), refused('NON_FINITE', /parameters untouched/))
    assert.equal(prepared, 3)
    assert.equal(done.length, 4)
    assert.equal(queued.policyStep, single.policyStep)
    assert.equal(bits(await queued.parameter(name)), bits(await single.parameter(name)))

    // A loop that is left takes back what has not been made; whatever was under way is made in whole or not at all.
    for await (const _ of queued.applyUpdates(steps(1, 1, 1, 1, 1, 1))) break
    assert.ok(queued.policyStep - single.policyStep <= 2)
    await queued.update(batch, { objective, learningRate: 1e-3 })
    for await (const _ of queued.applyUpdates(steps())) assert.fail('there was no step to make')
  })

  it('refuses numbers that are not finite and changes nothing', async () => {
    await using policy = await tinyPolicy()
    const batch = await rollouts(policy)
    const name = 'model.layers.0.mlp.up_proj.weight'
    const values = await policy.parameter(name)
    await policy.setParameter(
      name,
      values.map((x, i) => (i === 7 ? Number.NaN : x)),
    )
    const broken = bits(await policy.parameter(name))
    await assert.rejects(
      policy.update(batch, { objective, learningRate: 1e-3 }),
      refused('NON_FINITE', /parameters untouched.*rows with non-finite log-probs: 0, 1/),
    )
    assert.equal(policy.policyStep, 0)
    assert.equal(bits(await policy.parameter(name)), broken)
    await policy.setParameter(name, values)
    assert.equal((await policy.update(batch, { objective, learningRate: 1e-3 })).metrics.ratio_mean, 1)
  })

  it('refuses options that contradict or are missing, each by its name', async () => {
    await using policy = await tinyPolicy()
    const batch = await rollouts(policy)
    const update = (options: object) => policy.update(batch, { learningRate: 1e-3, ...options } as never)
    await assert.rejects(update({}), refused('INVALID_ARGUMENT', /update.objective/))
    await assert.rejects(
      update({ objective, learningRates: 1 }),
      refused('INVALID_ARGUMENT', /did you mean 'learningRate'/),
    )
    await assert.rejects(
      update({ objective, lambda: 0.1 }),
      refused('INVALID_ARGUMENT', /update.lambda.*the option once/),
    )
    await assert.rejects(
      update({ objective: { kind: 'nsr' }, lambda: 0.1 }),
      refused('INVALID_ARGUMENT', /unknown option 'lambda'/),
    )
    await assert.rejects(
      update({ objective, learningRate: undefined }),
      refused('INVALID_ARGUMENT', /learningRate/),
    )
    const tokenBudget = 2 ** 31
    const beyond = refused('INVALID_ARGUMENT', /tokenBudget: .*a whole number from 1 to 2147483647/)
    await assert.rejects(update({ objective, tokenBudget }), beyond)
    await assert.rejects(policy.score(batch, { tokenBudget }), beyond)
    await assert.rejects(policy.plan({ longestPrompt: 1, tokenBudget }), beyond)
    await policy.score(batch, { tokenBudget: tokenBudget - 1 })
    await assert.rejects(update({ objective, adamBeta1: 1 }), refused('INVALID_ARGUMENT', /adamBeta1/))
    await assert.rejects(update({ objective, beta: 0.1 }), refused('INVALID_ARGUMENT', /ref_logprobs/))
    const unjudged = sliceRows(batch, 0, 1)
    await assert.rejects(
      policy.applyUpdate(unjudged, {
        advantages: new Float32Array(1),
        norm: new Float32Array(1),
        lossParams: lossParams(resolveObjective(objective)),
        optimizer: { learningRate: 1 },
      }),
      refused('SHAPE_MISMATCH', /applyUpdate.advantages/),
    )
  })

  it('learns by heart what it is shown', async () => {
    await using policy = await tinyPolicy()
    const batch = await policy.generateAll(promptsOfLength(4, 9), {
      numGenerations: 1,
      maxCompletionLength: 12,
    })
    const losses: number[] = []
    for (let step = 0; step < 40; step++) {
      losses.push((await policy.supervisedStep(batch, { learningRate: 1e-2 })).metrics.loss!)
    }
    assert.ok(losses.at(-1)! < 0.2 * losses[0]!, `${losses[0]} to ${losses.at(-1)}`)
  })
})
