import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readStudySettings, type StudySettings } from '../../src/study.ts'

const FILE = join(dirname(fileURLToPath(import.meta.url)), '../../experiments/study.json')

/** The study's own settings, made so small that a run takes a moment: one task, two bases, PSR and NSR, two arms. */
export async function tinyStudy(): Promise<StudySettings> {
  const settings = await readStudySettings(FILE)
  settings.model = { ...settings.model, hiddenSize: 16, numHeads: 2, numLayers: 1, intermediateSize: 32 }
  settings.base = { ...settings.base, batchRows: 16, warmupSteps: 2 }
  settings.training = { ...settings.training, promptsPerStep: 4, miniBatchRows: 16 }
  settings.evaluation.n = 8
  settings.tasks = settings.tasks.filter(({ name }) => name === 'walk')
  for (const task of settings.tasks) {
    task.taskOptions = { nodes: 4 }
    task.steps = 4
    task.training = { learningRate: 1e-3, evalEvery: 2 }
    for (const set of [task.pool, ...task.sets, task.watch]) set.prompts = 4
    task.bases = [
      { name: 'weak', label: 'weak base', steps: 8 },
      { name: 'strong', label: 'strong base', steps: 40 },
    ]
  }
  settings.methods = settings.methods.filter(({ name }) => ['psr', 'nsr', 'ppo'].includes(name))
  settings.arms = ['core', 'one-update'].map((name) => {
    const arm = settings.arms.find((one) => one.name === name)!
    const methods = arm.methods.filter((method) => ['psr', 'nsr', 'ppo'].includes(method))
    return { ...arm, tasks: ['walk'], methods }
  })
  settings.waves = [
    { arms: ['core'], seeds: [1] },
    { arms: ['core', 'one-update'], seeds: [1, 2] },
  ]
  settings.gradients = {
    ...settings.gradients,
    ...{ rollouts: 32, block: 8 },
    cells: [{ task: 'walk', base: 'strong', method: 'psr', stops: [0, 4] }],
  }
  settings.tabular = {
    ...settings.tabular,
    seeds: [1, 2],
    reference: { ...settings.tabular.reference, strategies: 16, good: 4, heldoutPrompts: 20, steps: 5 },
    conditions: settings.tabular.conditions.slice(0, 2),
  }
  return settings
}
