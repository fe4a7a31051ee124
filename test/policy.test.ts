import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { defaultConfig } from '../src/checkpoint.ts'
import { CoppiceError, type ErrorCode } from '../src/errors.ts'
import { samplesOf } from '../src/judge.ts'
import { weighTokens } from '../src/objectives/token-weights.ts'
import { resolveObjective } from '../src/objectives.ts'
import { Policy, type PreparedUpdate, type SampledGroup, type UpdateStats } from '../src/policy.ts'
import { lossParams } from '../src/policy-loss.ts'
import {
  appendColumns,
  columnsOf,
  concatBatches,
  makeBatch,
  type RolloutBatch,
  rolloutSchema,
  sliceRows,
  takeRows,
} from '../src/rollouts.ts'
import { Tokenizer } from '../src/tokenizer.ts'
import { characterTokenizer } from '../src/tokenizer-definition.ts'
import { promptsOfLength, TINY_CONFIG, tinyPolicy, VOCAB } from './native-addon/tiny-policy.ts'

const folder = mkdtempSync(join(tmpdir(), 'coppice-policy-'))
after(() => rmSync(folder, { recursive: true }))

const refused = (code: ErrorCode, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof CoppiceError, String(error))
  assert.equal(error.code, code, error.message)
  assert.match(error.message, message)
  return true
}

const bits = (values: Float32Array) =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('hex')

/** Verdicts by a rule that leaves both classes in every group. */
function judged(batch: RolloutBatch): RolloutBatch {
  const right = Array.from({ length: batch.numRows }, (_, row) => row % 3 === 0)
  return appendColumns(batch, {
    verdict: right.map((yes) => (yes ? 'right' : 'wrong')),
    reward: right.map(Number),
  })
}

describe('generate', () => {
  const options = { numGenerations: 3, maxCompletionLength: 20 }

  it('tells of every group when it ends, with the rows that the batch will have', async () => {
    const tokenizer = Tokenizer.fromDefinition(characterTokenizer('abcdefghij'))
    await using policy = await Policy.init({
      config: { ...TINY_CONFIG, vocab_size: tokenizer.vocabSize, eos_token_id: tokenizer.eosTokenId },
      tokenizer,
      threads: 1,
    })
    const prompts = ['abc', 'de', 'f'].map((prompt, i) => ({
      ...{ promptId: `p${i}`, prompt, reference: `r${i}`, promptTokens: tokenizer.encode(prompt) },
    }))
    const groups: SampledGroup[] = []
    const batch = await policy.generateAll(prompts, { ...options, onGroup: (group) => groups.push(group) })
    assert.deepEqual(groups.map(({ prompt }) => prompt).sort(), [0, 1, 2])
    const told = groups.sort((a, b) => a.prompt - b.prompt).flatMap(({ samples }) => samples)
    assert.deepEqual(told, samplesOf(batch))
    let calls = 0
    const refusing = policy.generateAll(prompts, {
      ...options,
      onGroup: () => {
        calls++
        throw new Error('enough')
      },
    })
    await assert.rejects(refusing, /enough/)
    assert.equal(calls, 1)
  })

  it('fills the columns of rollouts, and no others', async () => {
    await using policy = await tinyPolicy()
    const prompts = promptsOfLength(4, 70)
    const names = (schema: { fields: { name: string }[] }) => schema.fields.map(({ name }) => name)
    const plain = await policy.generateAll(prompts, { ...options, seed: 2n ** 63n, promptIndices: [8, 5] })
    assert.deepEqual(names(plain.schema), names(rolloutSchema()))
    assert.equal(String(plain.schema), String(rolloutSchema()))
    const columns = columnsOf(plain)
    assert.deepEqual([...columns.groupIds], [8, 8, 8, 5, 5, 5])
    assert.deepEqual([...columns.sampleIndex], [0, 1, 2, 0, 1, 2])
    assert.deepEqual([...columns.policyStep], new Array(6).fill(0))
    assert.ok([...plain.getChild('seed')!].every((seed) => seed === 2n ** 63n))
    assert.deepEqual([...columns.promptTokens.values.subarray(0, 4)], [...prompts[0]!.promptTokens])
    assert.deepEqual(plain.getChild('prompt_id')!.toJSON(), ['p0', 'p0', 'p0', 'p1', 'p1', 'p1'])
    const cut = await policy.generateAll(prompts, { ...options, topP: 0.8, entropies: true })
    assert.deepEqual(names(cut.schema), names(rolloutSchema({ samplerLogprobs: true, entropies: true })))
    const { samplerLogprobs, logprobs } = columnsOf(cut)
    samplerLogprobs!.values.forEach((value, i) => {
      assert.ok(value >= logprobs.values[i]!)
    })
  })

  it('records log-probs that score gives back bit for bit, at any temperature', async () => {
    await using policy = await tinyPolicy()
    for (const sampling of [
      { temperature: 1 },
      { temperature: 0.6, topP: 0.9 },
      { temperature: 1.7, topK: 5 },
      { temperature: 0 },
    ]) {
      const batch = await policy.generateAll(promptsOfLength(1, 63, 64, 65), { ...options, ...sampling })
      const { logprobs, temperature } = columnsOf(batch)
      assert.equal(temperature[0], Math.fround(sampling.temperature || 1))
      assert.equal(bits((await policy.score(batch)).logprobs), bits(logprobs.values))
    }
  })

  it('regenerates one group alone, from what its columns say', async () => {
    await using policy = await tinyPolicy()
    const prompts = promptsOfLength(4, 9, 30)
    const all = await policy.generateAll(prompts, { ...options, seed: 77, step: 5 })
    const alone = await policy.generateAll([prompts[2]!], {
      ...options,
      seed: 77,
      step: 5,
      promptIndices: [2],
    })
    const group = columnsOf(takeRows(all, [6, 7, 8]))
    assert.deepEqual(columnsOf(alone).completionTokens.values, group.completionTokens.values)
    assert.equal(bits(columnsOf(alone).logprobs.values), bits(group.logprobs.values))
    const other = await policy.generateAll([prompts[2]!], {
      ...options,
      seed: 77,
      step: 6,
      promptIndices: [2],
    })
    assert.notDeepEqual(columnsOf(other).completionTokens.values, group.completionTokens.values)
  })

  it('gives the same rollouts with 1 and with 4 threads', async () => {
    const batches = []
    for (const threads of [1, 4]) {
      await using policy = await tinyPolicy({ threads })
      batches.push(
        columnsOf(await policy.generateAll(promptsOfLength(5, 66), { ...options, temperature: 0.8 })),
      )
    }
    assert.deepEqual(batches[0]!.completionTokens, batches[1]!.completionTokens)
    assert.equal(bits(batches[0]!.logprobs.values), bits(batches[1]!.logprobs.values))
  })

  it('stops at the end tokens of config.json, includes them, and writes text without them', async () => {
    const tokenizer = Tokenizer.fromDefinition(characterTokenizer('abcdefghij'))
    await using policy = await Policy.init({
      config: defaultConfig({
        // One row more than the tokenizer has tokens, as in padded vocabularies.
        vocabSize: tokenizer.vocabSize + 1,
        hiddenSize: 16,
        numLayers: 1,
        numHeads: 2,
        intermediateSize: 32,
        maxPositions: 64,
        eosTokenId: tokenizer.eosTokenId!,
      }),
      tokenizer,
    })
    const prompt = { promptId: 'x', prompt: 'abc', reference: '', promptTokens: tokenizer.encode('abc') }
    const batch = await policy.generateAll([prompt], { numGenerations: 64, maxCompletionLength: 30 })
    const { completionTokens, finishReasons } = columnsOf(batch)
    const text = batch.getChild('completion')!
    const skipping = { skipSpecialTokens: true }
    let stopped = 0
    for (let row = 0; row < 64; row++) {
      const tokens = [
        ...completionTokens.values.subarray(completionTokens.offsets[row], completionTokens.offsets[row + 1]),
      ]
      const end = tokens.indexOf(tokenizer.eosTokenId!)
      assert.equal(finishReasons[row], end === -1 ? 'length' : 'stop')
      if (end !== -1) assert.equal(end, tokens.length - 1)
      if (end === -1) assert.equal(tokens.length, 30)
      else stopped++
      const known = tokens.map((id) =>
        id === tokenizer.vocabSize ? '\uFFFD' : tokenizer.decode([id], skipping),
      )
      assert.equal(text.get(row), known.join(''))
    }
    assert.ok(stopped > 20, `${stopped} of 64`)
  })

  it('refuses options that are none, naming the nearest, and prompts that do not fit', async () => {
    await using policy = await tinyPolicy()
    const prompts = promptsOfLength(4)
    const generate = (given: object, from = prompts) => policy.generateAll(from, given)
    await assert.rejects(
      generate({ temprature: 1 }),
      refused('INVALID_ARGUMENT', /did you mean 'temperature'/),
    )
    await assert.rejects(generate({ temperature: -1 }), refused('INVALID_ARGUMENT', /generate.temperature/))
    await assert.rejects(generate({ topP: 0 }), refused('INVALID_ARGUMENT', /generate.topP/))
    await assert.rejects(
      generate({ numGenerations: 1.5 }),
      refused('INVALID_ARGUMENT', /generate.numGenerations/),
    )
    await assert.rejects(generate({ stopTokens: [VOCAB] }), refused('INVALID_ARGUMENT', /stop token 61/))
    await assert.rejects(generate({ seed: -1 }), refused('INVALID_ARGUMENT', /generate.seed/))
    await assert.rejects(generate({ promptIndices: [1, 2] }), refused('SHAPE_MISMATCH', /promptIndices/))
    await assert.rejects(generate({}, promptsOfLength(192)), refused('INVALID_ARGUMENT', /positions/))
    await assert.rejects(generate({}, promptsOfLength(0)), refused('INVALID_ARGUMENT', /row 0 is empty/))
    // A generation that was refused is not left open.
    assert.equal(
      (await policy.supervisedStep(await generate(options), { learningRate: 1e-3 })).skipped,
      undefined,
    )
  })
})

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
    const weights = weighTokens(wrong, new Float64Array(12).fill(-1), completions, resolved, 'f32')!
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
