import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { checkStudySettings, studyCells, studyRuns } from '../../src/study/settings.ts'
import { tinyStudy } from './tiny-study.ts'

const hashes = (settings: Awaited<ReturnType<typeof tinyStudy>>) =>
  studyRuns(settings).map(({ hash }) => hash)

describe('study settings', () => {
  it('orders runs by wave and seed, a base policy before what is trained from it, each run once', async () => {
    const labels = studyRuns(await tinyStudy()).map(({ label }) => label)
    assert.deepEqual(labels, [
      'walk weak base',
      'walk weak core psr seed 1',
      'walk weak core nsr seed 1',
      'walk strong base',
      'walk strong core psr seed 1',
      'walk strong core nsr seed 1',
      'walk strong one-update psr seed 1',
      'walk strong one-update nsr seed 1',
      'walk weak core psr seed 2',
      'walk weak core nsr seed 2',
      'walk strong core psr seed 2',
      'walk strong core nsr seed 2',
      'walk strong one-update psr seed 2',
      'walk strong one-update nsr seed 2',
    ])
  })

  it('tells a run by what decides its outcome, and by nothing else', async () => {
    const before = hashes(await tinyStudy())
    const renamed = await tinyStudy()
    renamed.title = renamed.arms[0]!.title = renamed.methods[0]!.label = renamed.tasks[0]!.label = 'other'
    assert.deepEqual(hashes(renamed), before)
    const changed = await tinyStudy()
    changed.arms[1]!.training = { ...changed.arms[1]!.training, learningRate: 2e-3 }
    const after = hashes(changed)
    const differing = studyRuns(changed).filter((_, i) => after[i] !== before[i])
    assert.deepEqual(
      differing.map(({ label }) => label),
      [1, 2].flatMap((seed) => ['psr', 'nsr'].map((name) => `walk strong one-update ${name} seed ${seed}`)),
    )
  })

  it('shares a run between arms that ask for the same, whatever the order of its keys', async () => {
    const settings = await tinyStudy()
    settings.arms[1]!.training = {}
    const [core, again] = ['core', 'one-update'].map((arm) =>
      studyCells(settings).find((cell) => cell.arm.name === arm && cell.base.name === 'strong'),
    )
    assert.equal(core!.runs[0]!.run.hash, again!.runs[0]!.run.hash)
    const turned = await tinyStudy()
    turned.training = Object.fromEntries(Object.entries(turned.training).reverse())
    assert.deepEqual(hashes(turned), hashes(await tinyStudy()))
  })

  it('keeps pending cells in the design and out of the work', async () => {
    const settings = await tinyStudy()
    const pending = studyCells(settings).filter((cell) => cell.pending !== undefined)
    assert.deepEqual(
      pending.map(({ method }) => method.name),
      ['ppo', 'ppo'],
    )
    assert.ok(!studyRuns(settings).some(({ label }) => label.includes('ppo')))
  })

  it('refuses unknown names and objectives that cannot be', async () => {
    const refuse = async (
      change: (settings: Awaited<ReturnType<typeof tinyStudy>>) => void,
      message: RegExp,
    ) => {
      const settings = await tinyStudy()
      change(settings)
      assert.throws(() => checkStudySettings(settings), { code: 'INVALID_ARGUMENT', message })
    }
    await refuse((s) => s.arms[0]!.methods.push('pst'), /'psr'/)
    await refuse((s) => s.waves[0]!.arms.push('cor'), /'core'/)
    await refuse((s) => Object.assign(s.arms[0]!, { trainings: {} }), /trainings/)
    await refuse((s) => {
      s.methods[0]!.objective = { kind: 'gspo', importanceSamplingLevel: 'none' } as never
    }, /one ratio for a completion/)
    await refuse((s) => s.methods.push(s.methods[0]!), /names of their own/)
  })
})
