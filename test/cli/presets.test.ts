import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { evalVerb } from '../../src/cli/eval.ts'
import { objectiveOf } from '../../src/cli/objective-flags.ts'
import { trainVerb } from '../../src/cli/train.ts'
import { OBJECTIVE_KINDS } from '../../src/objectives.ts'
import { presetNames, presetOf } from '../../src/presets.ts'
import { columnsOf, readTable } from '../../src/rollouts.ts'
import { templateNames } from '../../src/templates.ts'
import { verifierNames } from '../../src/verify.ts'
import { coppice } from './command-line.ts'

const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

describe('presets', () => {
  let folder: string
  const at = (name: string) => join(folder, name)

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-presets-'))
    const task = ['task', 'walk', '--out', at('data'), '--options', '{"nodes":3}', '--prompts', '4']
    for (const args of [task, ['init', '--config', at('data/config.json'), '--out', at('model')]]) {
      const { code, stderr } = await coppice(args)
      assert.equal(code, 0, stderr)
    }
  })
  after(() => rm(folder, { recursive: true }))

  for (const name of presetNames) {
    it(`${name} says what train and eval know`, () => {
      const { train, eval: evaluation, byObjective } = presetOf(name)
      const given = { ...train, ...Object.assign({}, ...Object.values(byObjective)) }
      for (const [verb, values] of [
        [trainVerb, given],
        [evalVerb, evaluation],
      ] as const) {
        for (const flag of Object.keys(values).map(kebab))
          assert.ok(flag in verb.flags, `${verb.name} --${flag}`)
        assert.ok(templateNames.includes(String(values.template)))
        for (const verifier of values.verifier as string[]) assert.ok(verifierNames.includes(verifier))
      }
    })
  }

  for (const name of presetNames) {
    it(`${name} fits every objective`, () => {
      const { train, byObjective } = presetOf(name)
      for (const objective of OBJECTIVE_KINDS) {
        const args = { ...train, ...byObjective[objective], objective, clip: true }
        assert.equal(objectiveOf(args).kind, objective)
      }
    })
  }

  it('holds the numbers of the paper', () => {
    const { train, eval: evaluation, byObjective } = presetOf('paper-qwen2.5-math-7b')
    const { promptsPerStep, numGenerations, miniBatchRows, learningRate, entropyCoefficient } = train
    assert.deepEqual([promptsPerStep, numGenerations, miniBatchRows, learningRate], [1024, 8, 2048, 1e-6])
    assert.equal(entropyCoefficient, 1e-4)
    assert.deepEqual(byObjective.grpo, { beta: 1e-3 })
    assert.deepEqual([evaluation.n, evaluation.temperature, evaluation.topP], [256, 0.6, 0.95])
    const { n, temperature, topP, topK } = presetOf('paper-qwen3-4b').eval
    assert.deepEqual([n, temperature, topP, topK], [64, 0.7, 0.8, 20])
  })

  const own = () => [
    ...['--model', at('model'), '--template', 'none', '--verifier', 'walk', '--max-completion-length', '4'],
  ]

  for (const [objective, beta] of [
    ['nsr', undefined],
    ['grpo', 1e-3],
  ] as const) {
    it(`train --preset --objective ${objective}: flags win, the rest is the preset's`, async () => {
      const out = at(`run-${objective}`)
      const { code, stderr } = await coppice([
        ...['train', '--preset', 'cpu-qwen2.5-0.5b', '--objective', objective, ...own()],
        ...['--prompts', at('data/train.jsonl'), '--prompts-per-step', '2', '--steps', '1', '--out', out],
      ])
      assert.equal(code, 0, stderr)
      const { settings, environment } = JSON.parse(await readFile(join(out, 'run.json'), 'utf8'))
      assert.equal(environment.dtype, 'bf16')
      assert.equal(settings.prompts_per_step, 2)
      assert.equal(settings.num_generations, 8)
      assert.equal(settings.mini_batch_rows, 64)
      assert.equal(settings.objective.entropy_coefficient, 1e-4)
      assert.equal(settings.objective.beta || undefined, beta)
    })
  }

  it('eval --preset', async () => {
    const args = [
      '--preset',
      'paper-qwen3-4b',
      '--n',
      '2',
      '--in',
      at('data/train.jsonl'),
      '--out',
      at('eval'),
    ]
    const { code, stderr } = await coppice(['eval', ...args, ...own(), '--json'])
    assert.equal(code, 0, stderr)
    const rollouts = await readTable(at('eval/rollouts.arrow'))
    assert.equal(columnsOf(rollouts).temperature[0], Math.fround(0.7))
    assert.ok(rollouts.getChild('sampler_logprobs') !== null, 'top_p and top_k of the preset')
  })

  it('refuses a name that it does not have, and says which is near', async () => {
    const { code, stderr } = await coppice(['train', '--preset', 'paper-qwen2.5-math', '--objective', 'nsr'])
    assert.equal(code, 2)
    assert.match(stderr, /unknown preset 'paper-qwen2\.5-math'.*did you mean 'paper-qwen2\.5-math-7b'/s)
  })
})
