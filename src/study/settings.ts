import { createHash } from 'node:crypto'
import { invalidArgument } from '../errors.ts'
import {
  type BaseSettings,
  type ExperimentSettings,
  type HeldOutSettings,
  type PromptSetSettings,
  readSettingsFile,
  snakeCase,
} from '../experiment/settings.ts'
import type { ObjectiveSpec } from '../objective-options.ts'
import { nearest, refuseUnknownKeys, requireInteger, requireNumber } from '../options.ts'
import type { SftOptions } from '../sft.ts'
import { objectiveOfRun, type TrainSettings } from '../trainer.ts'
import type { AgreementOptions } from './mechanism/gradient-agreement.ts'
import type { TabularStudy } from './mechanism/tabular.ts'

// What a study is, as a JSON file. Keys are snake_case in the file.

/** Many experiments as one design: arms of (task, base, method) cells, run with several seeds. */
export interface StudySettings {
  name: string
  title: string
  /** What is asked and how, in a few sentences. */
  summary: string
  notes: string[]
  model: ExperimentSettings['model']
  /** Of every base policy; each task's bases say how long they are trained. */
  base: Omit<BaseSettings, 'steps'>
  /** Of every run; tasks and arms may override. */
  training: TrainingOverrides
  evaluation: { n: number; seed: number }
  tasks: StudyTask[]
  methods: StudyMethod[]
  arms: StudyArm[]
  /** Which arms are run with which seeds, in the order of the work. */
  waves: { arms: string[]; seeds: number[] }[]
  tabular: TabularStudy
  gradients: GradientStudy
}

/** Where and on how many rollouts the gradients of PSR and NSR are compared. */
export interface GradientStudy extends Pick<AgreementOptions, 'rollouts' | 'block' | 'seed'> {
  /** Along the training of a method: after so many steps each, 0 being the base policy. */
  cells: { task: string; base: string; method: string; stops: number[] }[]
}

export type TrainingOverrides = Omit<TrainSettings, 'seed' | 'steps' | 'maxCompletionLength'>

export interface StudyTask {
  name: string
  label: string
  task: string
  taskOptions: Record<string, unknown>
  /** Rollout batches of a run, which an arm's `stepsFactor` multiplies. */
  steps: number
  training: TrainingOverrides
  /** Prompts that runs train on. */
  pool: PromptSetSettings
  sets: HeldOutSettings[]
  /** Prompts of the tuning split for greedy evaluations while a run goes on. */
  watch: PromptSetSettings
  bases: { name: string; label: string; steps: SftOptions['steps'] }[]
}

export interface StudyMethod {
  name: string
  label: string
  objective: ObjectiveSpec
  /** Why the method cannot be run yet; its cells are then listed as missing. */
  pending?: string
}

/** A comparison of methods under one change of the settings. */
export interface StudyArm {
  name: string
  title: string
  /** What it is to tell. */
  question: string
  /** Names of tasks, bases and methods: every combination is a cell. */
  tasks: string[]
  bases: string[]
  methods: string[]
  training?: TrainingOverrides
  /** Added to every method's objective. */
  objective?: Record<string, unknown>
  /** Multiplies the task's steps. Default 1. */
  stepsFactor?: number
  /** Task options of the training prompts, beside the task's own. */
  pool?: Record<string, unknown>
  pending?: string
}

/** What decides a policy's outcome, and nothing else: names and texts may change without a run being done again. */
export interface RunIdentity {
  recipe: number
  task: string
  taskOptions: Record<string, unknown>
  model: StudySettings['model']
  base: BaseSettings
  sets: Omit<HeldOutSettings, 'label' | 'description'>[]
  evaluation: StudySettings['evaluation']
  /** Absent for a base policy itself. */
  training?: TrainingOverrides & { steps: number; seed: number }
  objective?: Record<string, unknown>
  pool?: PromptSetSettings
  watch?: PromptSetSettings
}

/** One policy of the study: a base policy, or a method trained from one with one seed. */
export interface StudyRun {
  /** Sixteen hexadecimal digits of the identity's SHA-256. */
  hash: string
  /** For people: task, base, method, arm and seed. */
  label: string
  identity: RunIdentity
  /** Hash of the base policy's own run; absent for a base policy. */
  base?: string
}

/** Runs of one (arm, task, base, method), by seed. */
export interface StudyCell {
  arm: StudyArm
  task: StudyTask
  base: StudyTask['bases'][number]
  baseRun: StudyRun
  method: StudyMethod
  runs: { seed: number; run: StudyRun }[]
  pending: string | undefined
}

/** A change of this number makes every run be done again. */
const RECIPE = 1

const KEYS = {
  study: [
    ...['name', 'title', 'summary', 'notes', 'model', 'base', 'training', 'evaluation'],
    ...['tasks', 'methods', 'arms', 'waves', 'tabular', 'gradients'],
  ],
  task: ['name', 'label', 'task', 'taskOptions', 'steps', 'training', 'pool', 'sets', 'watch', 'bases'],
  method: ['name', 'label', 'objective'],
  arm: ['name', 'title', 'question', 'tasks', 'bases', 'methods'],
  wave: ['arms', 'seeds'],
} as const

const OPTIONAL: { [K in keyof typeof KEYS]?: readonly string[] } = {
  method: ['pending'],
  arm: ['training', 'objective', 'stepsFactor', 'pool', 'pending'],
}

/** Reads a study's settings; INVALID_ARGUMENT names the key that is unknown, missing or makes no sense. */
export async function readStudySettings(path: string): Promise<StudySettings> {
  return checkStudySettings(await readSettingsFile(path), path)
}

/** Checks settings in full, every cell's objective under its training included, before any time is spent on them. */
export function checkStudySettings(given: unknown, where = 'study'): StudySettings {
  checkKeys('study', given, where)
  const settings = given as StudySettings
  requireInteger(settings.evaluation.n, `${where}, evaluation.n`, 1)
  for (const task of settings.tasks) {
    checkKeys('task', task, `${where}, tasks, ${task.name}`)
    requireInteger(task.steps, `${where}, tasks, ${task.name}.steps`, 1)
  }
  for (const method of settings.methods) checkKeys('method', method, `${where}, methods, ${method.name}`)
  for (const kind of ['tasks', 'methods', 'arms'] as const) {
    const names = settings[kind].map(({ name }) => name)
    const twice = names.find((name, i) => names.indexOf(name) !== i)
    if (twice !== undefined) throw invalidArgument(`${where}, ${kind}`, 'names of their own', twice)
  }
  for (const arm of settings.arms) {
    checkKeys('arm', arm, `${where}, arms, ${arm.name}`)
    requireNumber(arm.stepsFactor ?? 1, `${where}, arms, ${arm.name}.steps_factor`, 0)
  }
  for (const wave of settings.waves) {
    checkKeys('wave', wave, `${where}, waves`)
    for (const seed of wave.seeds) requireInteger(seed, `${where}, waves, seeds`, 0)
    for (const name of wave.arms) named(settings.arms, name, `${where}, waves`)
  }
  for (const cell of settings.gradients.cells) gradientRun(settings, cell)
  for (const { arm, task, method, pending } of studyCells(settings)) {
    if (pending !== undefined) continue
    objectiveOfRun(mergedObjective(method, arm), { ...settings.training, ...task.training, ...arm.training })
  }
  return settings
}

function checkKeys(kind: keyof typeof KEYS, value: unknown, where: string): void {
  if (typeof value !== 'object' || value === null) throw invalidArgument(where, 'an object', value)
  refuseUnknownKeys(value, [...KEYS[kind], ...(OPTIONAL[kind] ?? [])], where)
  for (const key of KEYS[kind])
    if (!(key in value)) throw invalidArgument(where, `the key '${snakeCase(key)}'`, undefined)
}

function named<T extends { name: string }>(list: readonly T[], name: string, where: string): T {
  const found = list.find((one) => one.name === name)
  if (found !== undefined) return found
  const names = list.map((one) => one.name)
  const near = nearest(name, names)
  throw invalidArgument(where, near === undefined ? `one of ${names.join(', ')}` : `'${near}'`, name)
}

/** Every cell of the design, in the order of arms, tasks, bases and methods. */
export function studyCells(settings: StudySettings): StudyCell[] {
  return settings.arms.flatMap((arm) => {
    const where = `arms, ${arm.name}`
    const seeds = settings.waves.flatMap((wave) => (wave.arms.includes(arm.name) ? wave.seeds : []))
    return arm.tasks.flatMap((taskName) => {
      const task = named(settings.tasks, taskName, where)
      return arm.bases.flatMap((baseName) => {
        const base = named(task.bases, baseName, `${where}, ${task.name}`)
        const baseRun = baseRunOf(settings, task, base)
        return arm.methods.map((methodName) => {
          const method = named(settings.methods, methodName, where)
          const runs = [...new Set(seeds)].map((seed) => ({
            seed,
            run: methodRun(settings, { arm, task, base, baseRun, method }, seed),
          }))
          return { arm, task, base, baseRun, method, runs, pending: arm.pending ?? method.pending }
        })
      })
    })
  })
}

/**
 * The runs in the order of the work, each once, wave by wave and seed by seed: whatever is there when the work is stopped
 * has nearly as many seeds of every method.
 */
export function studyRuns(settings: StudySettings, cells = studyCells(settings)): StudyRun[] {
  const byHash = new Map<string, StudyRun>()
  for (const wave of settings.waves) {
    for (const seed of wave.seeds) {
      for (const cell of cells) {
        if (cell.pending !== undefined || !wave.arms.includes(cell.arm.name)) continue
        const { run } = cell.runs.find((one) => one.seed === seed)!
        for (const one of [cell.baseRun, run]) if (!byHash.has(one.hash)) byHash.set(one.hash, one)
      }
    }
  }
  return [...byHash.values()]
}

/** The run along which a cell of the gradient study is measured: no longer than its last stop. */
export function gradientRun(settings: StudySettings, cell: GradientStudy['cells'][number]): StudyRun {
  const where = 'gradients'
  const task = named(settings.tasks, cell.task, where)
  const base = named(task.bases, cell.base, `${where}, ${task.name}`)
  const method = named(settings.methods, cell.method, where)
  const arm = { name: where, title: '', question: '', tasks: [], bases: [], methods: [] }
  const baseRun = baseRunOf(settings, task, base)
  const { identity, ...run } = methodRun(
    settings,
    { arm, task, base, baseRun, method },
    settings.gradients.seed,
  )
  const steps = Math.max(1, ...cell.stops)
  return { ...run, identity: { ...identity, training: { ...identity.training!, steps } } }
}

function baseRunOf(settings: StudySettings, task: StudyTask, base: StudyCell['base']): StudyRun {
  return finished(`${task.name} ${base.name} base`, identityOfBase(settings, task, base))
}

function identityOfBase(settings: StudySettings, task: StudyTask, base: StudyCell['base']): RunIdentity {
  return {
    recipe: RECIPE,
    task: task.task,
    taskOptions: task.taskOptions,
    model: settings.model,
    base: { ...settings.base, steps: base.steps },
    sets: task.sets.map(({ name, prompts, seed, taskOptions }) => ({ name, prompts, seed, taskOptions })),
    evaluation: settings.evaluation,
  }
}

function methodRun(
  settings: StudySettings,
  { arm, task, base, baseRun, method }: Omit<StudyCell, 'runs' | 'pending'>,
  seed: number,
): StudyRun {
  const steps = Math.max(1, Math.round(task.steps * (arm.stepsFactor ?? 1)))
  const identity: RunIdentity = {
    ...identityOfBase(settings, task, base),
    training: { ...settings.training, ...task.training, ...arm.training, steps, seed },
    objective: mergedObjective(method, arm),
    pool: { ...task.pool, taskOptions: { ...task.pool.taskOptions, ...arm.pool } },
    watch: task.watch,
  }
  const label = `${task.name} ${base.name} ${arm.name} ${method.name} seed ${seed}`
  return { ...finished(label, identity), base: baseRun.hash }
}

function mergedObjective(method: StudyMethod, arm: StudyArm): ObjectiveSpec & Record<string, unknown> {
  const { objective } = method
  const spec = typeof objective === 'string' ? { kind: objective } : objective
  return { ...spec, ...arm.objective } as ObjectiveSpec & Record<string, unknown>
}

function finished(label: string, identity: RunIdentity): StudyRun {
  const hash = createHash('sha256').update(canonicalJson(identity)).digest('hex').slice(0, 16)
  return { hash, label, identity }
}

/** JSON with keys in order, so that what is equal has equal text. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
