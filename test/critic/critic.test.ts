import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { defaultConfig } from '../../src/checkpoint.ts'
import { Critic, type CriticUpdate } from '../../src/critic.ts'
import { resolveObjective } from '../../src/objectives.ts'
import { Policy } from '../../src/policy.ts'
import { lossParams } from '../../src/policy-loss.ts'
import { bits } from '../float-bits.ts'
import { refused } from '../refused.ts'
import { type SlowParameters, slope, slowValueLoss, slowValues } from './slow-critic.ts'

// A critic's values and gradients against a plain float64 model, however rows are cut, shared or repeated.

const VOCAB = 11
const HIDDEN = 8
const CONFIG = defaultConfig({
  ...{ modelType: 'llama', vocabSize: VOCAB },
  ...{
    hiddenSize: HIDDEN,
    numLayers: 2,
    numHeads: 2,
    numKvHeads: 1,
    headDim: 8,
    intermediateSize: 7,
    maxPositions: 96,
  },
  eosTokenId: 1,
})
const sameBits = (a: Float32Array, b: Float32Array) => bits(a) === bits(b)
const STILL = { learningRate: 0, weightDecay: 0, maxGradNorm: 0 }

/** Two groups and a row alone; the second prompt ends behind the first block of keys. */
const PROMPTS = [
  [3, 1, 4],
  [3, 1, 4],
  [3, 1, 4],
  Array.from({ length: 66 }, (_, i) => (5 * i + 2) % VOCAB),
  [7],
]
const COMPLETIONS = [[1, 5, 9, 2], [6], [5, 3, 5], [8, 9, 7], [9, 3, 2, 3, 8]]
const COUNT = COMPLETIONS.flat().length
const SHORT = [0, 1, 2, 4]

function listOf(rows: readonly (readonly number[])[]) {
  const offsets = new Int32Array(rows.length + 1)
  for (const [i, row] of rows.entries()) offsets[i + 1] = offsets[i]! + row.length
  return { values: Int32Array.from(rows.flat()), offsets }
}

const rowsOf = (indices: readonly number[]) => ({
  rows: indices.length,
  promptTokens: listOf(indices.map((i) => PROMPTS[i]!)),
  completionTokens: listOf(indices.map((i) => COMPLETIONS[i]!)),
})
const ALL = rowsOf([0, 1, 2, 3, 4])

/** Values apart from their returns on both sides, some beyond the clip on either side of their return; two tokens inactive. */
function targets(values: ArrayLike<number>) {
  const wave = (t: number) => Math.sin(1.7 * t + 1)
  const { length } = values
  const returns = Float32Array.from({ length }, (_, t) => values[t]! + 0.6 * wave(t))
  const oldValues = Float32Array.from({ length }, (_, t) => values[t]! + 0.5 * wave(3 * t))
  const norm = Float32Array.from({ length }, (_, t) => (t % 7 === 3 ? 0 : 0.01 * (t + 5)))
  return { returns, oldValues, norm }
}

async function step(critic: Critic, update: CriticUpdate) {
  for await (const stats of critic.applyUpdates([update])) return stats
  throw new Error('no step was made')
}

describe('a critic', () => {
  let folder = ''
  let names: string[] = []
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-critic-'))
    await using policy = await Policy.init({ config: CONFIG, seed: 4, threads: 1 })
    await policy.save(join(folder, 'model'))
    await using critic = await Critic.load({ model: join(folder, 'model'), threads: 1 })
    await critic.save(join(folder, 'zero'))
    const header = await readFile(join(folder, 'zero', 'model.safetensors'))
    const text = header.subarray(8, 8 + Number(header.readBigUInt64LE())).toString()
    names = Object.keys(JSON.parse(text)).filter((name) => name !== '__metadata__')
  })
  after(() => rm(folder, { recursive: true }))

  /** One far enough from its beginning for every gradient to show. */
  async function grown(options: { threads?: number; dtype?: 'f32' | 'bf16' } = {}): Promise<Critic> {
    const critic = await Critic.load({ model: join(folder, 'zero'), threads: 1, ...options })
    for (const [salt, name] of names.entries()) {
      const values = await critic.parameter(name)
      const around = name.includes('norm') ? 1 : 0
      await critic.setParameter(
        name,
        values.map((_, i) => around + 0.35 * Math.sin(12.9898 * i + 3 * salt + 1)),
      )
    }
    return critic
  }

  const parametersOf = async (critic: Critic): Promise<SlowParameters> => {
    const entries = names.map(
      async (name) => [name, Float64Array.from(await critic.parameter(name))] as const,
    )
    return Object.fromEntries(await Promise.all(entries))
  }

  const slow = (critic: Critic, parameters: SlowParameters, rows: readonly number[]) =>
    rows.flatMap((row) => slowValues(critic.config, parameters, PROMPTS[row]!, COMPLETIONS[row]!))

  it('is a transformer with a head of zeros in place of the one over tokens', async () => {
    await using critic = await Critic.load({ model: join(folder, 'model'), threads: 1 })
    assert.ok(names.includes('score.weight') && !names.includes('lm_head.weight'))
    assert.deepEqual([...(await critic.parameter('score.weight'))], Array(HIDDEN).fill(0))
    assert.deepEqual([...(await critic.values(ALL))], Array(COUNT).fill(0))
    const config = JSON.parse(await readFile(join(folder, 'zero', 'config.json'), 'utf8'))
    assert.match(config.architectures[0], /ForSequenceClassification$/)
    assert.deepEqual(config.id2label, { 0: 'LABEL_0' })
  })

  it('has the values and gradients of a plain float64 model, for every parameter', async () => {
    await using critic = await grown()
    const parameters = await parametersOf(critic)
    const all = await critic.values(ALL)
    for (const [t, value] of slow(critic, parameters, [0, 1, 2, 3, 4]).entries()) {
      assert.ok(Math.abs(all[t]! - value) < 1e-5, `token ${t}: ${all[t]} and ${value}`)
    }
    // Without the long prompt: a difference for each parameter is many forward passes of a slow model.
    const rows = rowsOf(SHORT)
    const values = await critic.values(rows)
    for (const clip of [0.2, null]) {
      const { returns, oldValues, norm } = targets(values)
      const value = { returns, oldValues, clip, coefficient: 1 }
      const stats = await step(critic, { rows, value, norm, optimizer: STILL })
      const reference = {
        ...{ returns: [...returns], oldValues: [...oldValues], norm: [...norm] },
        clip: clip ?? Number.POSITIVE_INFINITY,
      }
      const lossOf = () => slowValueLoss(slow(critic, parameters, SHORT), reference)
      assert.ok(Math.abs(stats.valueLoss - lossOf()) < 1e-6, `${stats.valueLoss} and ${lossOf()}`)
      assert.equal(stats.valueClipped > 0, clip !== null)
      assert.equal(stats.valueTokens, norm.filter((share) => share !== 0).length)
      for (const name of names) {
        const gradient = await critic.gradient(name)
        const differences = gradient.map((_, i) => slope(parameters[name]!, i, lossOf))
        const largest = Math.max(...differences.map(Math.abs))
        const worst = Math.max(...differences.map((difference, i) => Math.abs(difference - gradient[i]!)))
        assert.ok(largest > 0, name)
        assert.ok(worst <= 1e-4 * largest + 1e-7, `${name}, clip ${clip}: ${worst} of ${largest}`)
      }
    }
  })

  it('says the same bits of a row whatever stands beside it, however it is cut, at any number of threads', async () => {
    await using critic = await grown()
    await using threaded = await grown({ threads: 2 })
    const values = await critic.values(ALL)
    for (const tokenBudget of [1, 40, 4096]) {
      assert.ok(sameBits(await critic.values(ALL, { tokenBudget }), values))
      assert.ok(sameBits(await threaded.values(ALL, { tokenBudget }), values))
    }
    const { offsets } = ALL.completionTokens
    for (let row = 0; row < PROMPTS.length; row++) {
      const alone = await critic.values(rowsOf([row]))
      assert.ok(sameBits(alone, values.slice(offsets[row], offsets[row + 1])), `row ${row}`)
    }
  })

  it('has the same gradients however its batch is cut, and the same bits under activation checkpointing', async () => {
    await using critic = await grown()
    const { norm, ...value } = targets(await critic.values(ALL))
    const gradients = async (options: Partial<CriticUpdate>) => {
      const update = {
        rows: ALL,
        norm,
        value: { ...value, clip: 0.2, coefficient: 1 },
        optimizer: STILL,
        ...options,
      }
      const { valueLoss } = await step(critic, update)
      const all = []
      for (const name of names) all.push(await critic.gradient(name))
      return { valueLoss, all }
    }
    const whole = await gradients({})
    const again = await gradients({ activationCheckpointing: 'layer' })
    for (const [i, tensor] of again.all.entries()) assert.ok(sameBits(tensor, whole.all[i]!), names[i])
    for (const tokenBudget of [1, 40]) {
      const cut = await gradients({ tokenBudget })
      assert.ok(Math.abs(cut.valueLoss - whole.valueLoss) <= 1e-12)
      const differences = cut.all.map((tensor, i) =>
        Math.hypot(...tensor.map((x, j) => x - whole.all[i]![j]!)),
      )
      const sizes = whole.all.map((tensor) => Math.hypot(...tensor))
      assert.ok(Math.hypot(...differences) <= 1e-6 * Math.hypot(...sizes))
      for (const [i, difference] of differences.entries()) {
        // The eight sums of a norm's gradient cancel to little above the rounding of fp32.
        assert.ok(
          sizes[i]! > 0 && difference <= 2e-6 * sizes[i]!,
          `${names[i]}: ${difference} of ${sizes[i]}`,
        )
      }
    }
  })

  it('keeps its head in fp32 when it computes in bf16', async () => {
    await using critic = await grown({ dtype: 'bf16' })
    const third = Float32Array.from({ length: HIDDEN }, () => 1 / 3)
    await critic.setParameter('score.weight', third)
    assert.ok(sameBits(await critic.parameter('score.weight'), third))
    await critic.setParameter('model.norm.weight', third)
    assert.ok(!sameBits(await critic.parameter('model.norm.weight'), third))
  })

  it('goes back to a state that it saved, and comes from it to the same bits', async () => {
    await using critic = await grown()
    const { norm, ...rest } = targets(await critic.values(ALL))
    const value = { ...rest, clip: null, coefficient: 1 }
    const update = { rows: ALL, norm, value, optimizer: { learningRate: 1e-2 } }
    await step(critic, update)
    await critic.saveTrainingState(join(folder, 'state'))
    await step(critic, update)
    const values = await critic.values(ALL)
    await using other = await Critic.load({ model: join(folder, 'model'), threads: 1 })
    await other.loadTrainingState(join(folder, 'state'))
    assert.equal(other.step, 1)
    await step(other, update)
    assert.ok(sameBits(await other.values(ALL), values))
    await assert.rejects(
      other.loadTrainingState(join(folder, 'model')),
      refused('CHECKPOINT_CORRUPT', /score\.weight/),
    )
  })

  it('leaves everything as it was when a step is not finite', async () => {
    await using critic = await grown()
    const { norm, returns, oldValues } = targets(await critic.values(ALL))
    returns[2] = Number.NaN
    const before = await critic.parameter('score.weight')
    const value = { returns, oldValues, clip: 0.2, coefficient: 1 }
    const update = { rows: ALL, norm, value, optimizer: { learningRate: 1 } }
    await assert.rejects(step(critic, update), refused('NON_FINITE', /parameters untouched/))
    assert.ok(sameBits(await critic.parameter('score.weight'), before))
    assert.equal(critic.step, 0)
  })
})

describe('a value head on a policy', () => {
  it('adds its gradient to that of the policy', async () => {
    await using policy = await Policy.init({ config: CONFIG, seed: 4, threads: 1, valueHead: true })
    await policy.setParameter(
      'score.weight',
      Float32Array.from({ length: HIDDEN }, (_, i) => Math.cos(i)),
    )
    const values = await policy.values(ALL)
    const { norm, ...rest } = targets(values)
    const common = {
      norm,
      advantages: Float32Array.from({ length: COUNT }, (_, t) => Math.cos(2 * t)),
      oldLogprobs: null,
      lossParams: lossParams(resolveObjective({ kind: 'ppo', valueModel: 'shared' })),
      optimizer: STILL,
    } as const
    const name = 'model.layers.0.mlp.up_proj.weight'
    const gradient = async (coefficient: number | null) => {
      const value = coefficient === null ? {} : { value: { ...rest, clip: 0.2, coefficient } }
      const stats = await policy.applyUpdate(ALL, { ...common, ...value })
      return { stats, gradient: await policy.gradient(name), head: await policy.gradient('score.weight') }
    }
    const alone = await gradient(null)
    const [once, twice] = [await gradient(1), await gradient(2)]
    assert.equal(alone.stats.valueLoss, 0)
    assert.ok(alone.head.every((x) => x === 0))
    assert.equal(once.stats.loss, alone.stats.loss)
    assert.ok(Math.abs(twice.stats.valueLoss - 2 * once.stats.valueLoss) < 1e-12)
    const largest = Math.max(...once.gradient.map((x, i) => Math.abs(x - alone.gradient[i]!)))
    assert.ok(largest > 1e-3)
    for (const [i, x] of twice.gradient.entries()) {
      assert.ok(Math.abs(x - 2 * once.gradient[i]! + alone.gradient[i]!) < 1e-5 * largest + 1e-7)
    }
    for (const [i, x] of twice.head.entries()) assert.ok(Math.abs(x - 2 * once.head[i]!) < 1e-5)
  })

  it('is refused by name where there is none', async () => {
    await using policy = await Policy.init({ config: CONFIG, seed: 4, threads: 1 })
    await assert.rejects(policy.values(ALL), refused('INVALID_ARGUMENT', /no value head/))
  })
})
