import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkExperimentSettings } from '../src/experiment/settings.ts'
import { taskPrompts } from '../src/experiment/workspace.ts'
import {
  type ExperimentProgress,
  type ExperimentSettings,
  experiment,
  readExperimentSettings,
} from '../src/index.ts'
import { timelessMetrics } from './trainer/tiny-run.ts'

const FORMS = join(dirname(fileURLToPath(import.meta.url)), '../experiments')

/** The smoke form, made so small that it takes a few seconds. */
async function tinySettings(): Promise<ExperimentSettings> {
  const settings = await readExperimentSettings(join(FORMS, 'smoke.json'))
  settings.model = { ...settings.model, hiddenSize: 16, numHeads: 2, numLayers: 1, intermediateSize: 32 }
  settings.base = { ...settings.base, steps: 24, batchRows: 16 }
  settings.training = { ...settings.training, promptsPerStep: 4, miniBatchRows: 16 }
  settings.methods = settings.methods.filter(({ name }) => name === 'psr' || name === 'nsr')
  settings.seeds = [1, 2]
  for (const arm of settings.arms) {
    arm.steps = 4
    arm.pool.prompts = 8
  }
  settings.evaluation.n = 8
  for (const set of [...settings.evaluation.sets, settings.evaluation.watch]) set.prompts = 4
  return settings
}

describe('experiment settings', () => {
  it('takes every objective that its runs can have, and refuses the rest by its reason', async () => {
    const settings = await tinySettings()
    const check = (training: object, objective: object) =>
      checkExperimentSettings({
        ...settings,
        training: { ...settings.training, ...training },
        methods: [{ name: 'm', label: 'M', objective }],
      })
    assert.doesNotThrow(() => check({}, { kind: 'dr-grpo' }))
    assert.throws(() => check({ numGenerations: 1 }, { kind: 'dr-grpo' }), /numGenerations: 1 cannot be/)
    assert.throws(
      () => check({}, { kind: 'gspo', importanceSamplingLevel: 'none' }),
      /one ratio for a completion/,
    )
  })
})

describe('experiment', () => {
  let folder = ''
  let settings: ExperimentSettings
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-experiment-'))
    settings = await tinySettings()
  })
  after(() => rm(folder, { recursive: true }))
  const backend = { threads: 1 }
  const cache = () => join(folder, 'cache')

  it('writes what scripts rely on, and does nothing twice', async () => {
    const out = join(folder, 'out')
    const progress: ExperimentProgress[] = []
    const result = await experiment({
      ...{ settings, out, backend, cache: cache() },
      onProgress: (state) => progress.push(state),
    })
    const [main, control] = result.arms
    assert.equal(main?.report, join(out, 'report.html'))
    assert.equal(control?.report, join(out, 'control', 'report.html'))
    for (const method of ['base', 'psr', 'nsr']) {
      const passAtK = JSON.parse(await readFile(join(out, method, 'passk.json'), 'utf8'))
      assert.deepEqual(Object.keys(passAtK), ['1', '2', '4', '8'])
      assert.deepEqual(Object.keys(passAtK['1']), ['mean', 'low', 'high'])
    }
    const metrics = await timelessMetrics(join(out, 'psr'))
    assert.deepEqual(
      metrics.map(({ step, seed }) => [step, seed]),
      [1, 2].flatMap((seed) => [1, 2, 3, 4].map((step) => [step, seed])),
    )
    const shares = progress.map(({ done, total }) => done / total)
    for (let i = 1; i < shares.length; i++)
      assert.ok(shares[i]! >= shares[i - 1]! - 1e-9, `progress ${i} goes back`)
    assert.ok(Math.abs(shares.at(-1)! - 1) < 1e-9)

    const stages = new Set<string>()
    const again = await experiment({
      ...{ settings, out, backend, cache: cache() },
      onProgress: ({ finished, stage }) => !finished && stages.add(stage),
    })
    assert.deepEqual(again, result)
    assert.deepEqual([...stages], ['report'])
  })

  it('measures a KL, also one in the reward, from the base policy', async () => {
    const out = join(folder, 'kl')
    const objective = { kind: 'rloo', beta: 0.1, klKind: 'k1', klIn: 'reward' } as const
    const methods = [{ name: 'rloo', label: 'RLOO', objective }]
    await experiment({
      settings: { ...settings, methods, seeds: [1], arms: settings.arms.slice(0, 1) },
      ...{ out, backend, cache: cache() },
    })
    const metrics = await timelessMetrics(join(out, 'rloo'))
    assert.ok(Math.abs(metrics[0]!.kl as number) < 1e-3 && (metrics.at(-1)!.kl as number) !== 0)
    const { groups } = JSON.parse(await readFile(join(out, 'rloo', 'seed-1', 'examples.json'), 'utf8'))
    const weights = groups.flatMap(({ samples }: { samples: { token_weights?: number[] }[] }) =>
      samples.map(({ token_weights }) => token_weights?.[0]),
    )
    // A KL of its own gives nearly every sample a weight, also where all rewards are equal.
    assert.ok(weights.length > 0 && weights.some((weight: number) => weight !== 0), `${weights}`)
  })

  it('goes on where it was stopped, and ends in the same figures', async () => {
    const out = join(folder, 'stopped')
    // Once in each kind of stage; the base policy is built anew in a cache of its own.
    for (const stage of [
      'base policy',
      'evaluate base on hard',
      'train nsr seed 2',
      'evaluate psr (control) seed 1 on hard',
    ]) {
      const controller = new AbortController()
      const stopped = experiment({
        ...{ settings, out, backend, cache: join(folder, 'cache2'), signal: controller.signal },
        onProgress: (state) => {
          if (state.stage === stage && !state.finished) controller.abort()
        },
      })
      await assert.rejects(stopped, { name: 'AbortError' }, stage)
    }
    await experiment({ settings, out, backend, cache: join(folder, 'cache2') })
    const whole = join(folder, 'out')
    for (const method of ['base', 'psr', 'nsr', 'control/psr', 'control/nsr']) {
      for (const name of (await readdir(join(whole, method))).filter((file) => file.startsWith('passk'))) {
        assert.equal(
          await readFile(join(out, method, name), 'utf8'),
          await readFile(join(whole, method, name), 'utf8'),
        )
      }
      if (method !== 'base') {
        assert.deepEqual(await timelessMetrics(join(out, method)), await timelessMetrics(join(whole, method)))
      }
    }
    assert.ok(existsSync(join(out, 'report.html')))
  })

  it('refuses a folder of other settings, and settings with unknown or missing keys', async () => {
    const out = join(folder, 'out')
    const changed = { ...settings, seeds: [1] }
    await assert.rejects(
      experiment({ settings: changed, out, backend }),
      /holds an experiment with other settings/,
    )
    const refused = (given: object, message: RegExp) =>
      assert.rejects(
        experiment({ settings: { ...settings, ...given } as never, out: join(folder, 'never'), backend }),
        message,
      )
    await refused({ sedes: [1] }, /unknown option 'sedes'.*did you mean 'seeds'/)
    await refused({ evaluation: { ...settings.evaluation, watch: undefined } }, /watch/)
    await refused({ methods: [{ ...settings.methods[0], name: 'base' }] }, /names/)
    await refused({ seeds: [1, 1] }, /seeds.*every seed once/)
    await refused({ evaluation: { ...settings.evaluation, split: 'train' } }, /split/)
    await refused({ arms: [{ ...settings.arms[0], sets: ['soft'] }] }, /sets.*soft/)
    await refused({ training: { ...settings.training, learningRates: 1 } }, /learningRates/)
  })

  it('can judge on the tuning split, whose prompts are others', async () => {
    const references = async (evaluation: ExperimentSettings['evaluation']) => {
      const { heldOut } = await taskPrompts({ ...settings, evaluation })
      return [...heldOut.values()].flat().map(({ reference }) => reference)
    }
    const heldOut = new Set(await references({ ...settings.evaluation, split: 'heldout' }))
    const tuning = await references({ ...settings.evaluation, split: 'tune' })
    assert.deepEqual([...heldOut], await references(settings.evaluation))
    assert.ok(tuning.length > 0 && tuning.every((reference) => !heldOut.has(reference)))
  })

  it('has valid committed settings, in which no objective has a setting of its own', async () => {
    for (const form of ['quick', 'smoke', 'full']) {
      const { methods, name, evaluation, arms } = await readExperimentSettings(join(FORMS, `${form}.json`))
      assert.equal(name, form)
      assert.deepEqual(
        methods.map(({ objective }) => objective).filter(({ kind }) => kind !== 'reinforce'),
        [{ kind: 'psr' }, { kind: 'nsr' }, { kind: 'w-reinforce', lambda: 0.1 }, { kind: 'grpo' }],
      )
      assert.ok(evaluation.n === 256 || form === 'smoke')
      assert.ok(arms.length >= (form === 'full' ? 1 : 2))
    }
  })
})
