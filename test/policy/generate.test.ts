import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { defaultConfig } from '../../src/checkpoint.ts'
import { samplesOf } from '../../src/judge.ts'
import { Policy, type SampledGroup } from '../../src/policy.ts'
import { columnsOf, rolloutSchema, takeRows } from '../../src/rollouts.ts'
import { Tokenizer } from '../../src/tokenizer.ts'
import { characterTokenizer } from '../../src/tokenizer-definition.ts'
import { bits } from '../float-bits.ts'
import { promptsOfLength, TINY_CONFIG, tinyPolicy, VOCAB } from '../native-addon/tiny-policy.ts'
import { refused } from '../refused.ts'

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

  it('gives columns that are those of the batch, for one prompt and for several', async () => {
    await using policy = await tinyPolicy()
    for (const prompts of [promptsOfLength(4), promptsOfLength(4, 70, 5)]) {
      for (const cut of [{}, { topP: 0.8 }]) {
        const given = { ...options, ...cut, entropies: true, step: 3 }
        const { columns, toBatch } = await policy.generateColumns(prompts, given)
        const batch = await policy.generateAll(prompts, given)
        assert.deepEqual(columns, columnsOf(batch))
        assert.deepEqual(columnsOf(toBatch()), columnsOf(batch))
      }
    }
    await assert.rejects(
      policy.generateColumns([], options),
      refused('INVALID_ARGUMENT', /at least one prompt/),
    )
  })

  it('gives an error of the engine the stack of the call', async () => {
    await using policy = await tinyPolicy()
    const prompts = promptsOfLength(4, 70, 5)
    prompts[2]!.promptTokens[0] = VOCAB
    async function theGuiltyCall() {
      await policy.generateAll(prompts, options)
    }
    await assert.rejects(theGuiltyCall, (error: Error) => {
      assert.match(error.stack!, /theGuiltyCall/)
      return true
    })
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
