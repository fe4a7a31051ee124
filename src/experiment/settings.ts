import { readFile } from 'node:fs/promises'
import type { DefaultConfigOptions } from '../checkpoint.ts'
import { CoppiceError, invalidArgument } from '../errors.ts'
import type { ObjectiveSpec } from '../objective-options.ts'
import { refuseUnknownKeys, requireInteger, requireOneOf } from '../options.ts'
import type { SftOptions } from '../sft.ts'
import { objectiveOfRun, type TrainSettings } from '../trainer.ts'

// What an experiment is, as a JSON file: everything that decides its outcome. Keys are snake_case in the file.

export interface ExperimentSettings {
  name: string
  title: string
  /** What is asked and how, in a few sentences, for the report. */
  summary: string
  notes: string[]
  /** A built-in task by name, or the path of a module. */
  task: string
  /** Options of the task for everything; pools and held-out sets may add theirs. */
  taskOptions: Record<string, unknown>
  /** Shape of the model; vocabulary, positions and end token come from the task. */
  model: Omit<DefaultConfigOptions, 'vocabSize' | 'maxPositions' | 'eosTokenId'>
  base: BaseSettings
  /** Settings of every training run, the same for every objective. */
  training: Omit<TrainSettings, 'seed' | 'steps' | 'maxCompletionLength'>
  /** Seeds of the training runs; every objective is trained once with each. */
  seeds: number[]
  methods: MethodSettings[]
  arms: ArmSettings[]
  evaluation: EvaluationSettings
}

/** The base policy: maximum likelihood of the task's demonstrations. */
export interface BaseSettings
  extends Omit<
    SftOptions,
    'policy' | 'batches' | 'out' | 'resume' | 'saveEvery' | 'keepCheckpoints' | 'signal'
  > {
  seed: number
  batchRows: number
}

export interface MethodSettings {
  /** Folder name. */
  name: string
  /** Name for people. */
  label: string
  objective: ObjectiveSpec
}

/** One comparison: every objective on one pool of prompts for the same number of steps. The first arm is the main one. */
export interface ArmSettings {
  name: string
  title: string
  summary: string
  steps: number
  pool: PromptSetSettings
  /** Names of the held-out sets that this arm is judged by. */
  sets: string[]
}

export interface PromptSetSettings {
  prompts: number
  seed: number
  taskOptions: Record<string, unknown>
}

export interface HeldOutSettings extends PromptSetSettings {
  name: string
  label: string
  description: string
}

export interface EvaluationSettings {
  /** Completions of each held-out prompt. */
  n: number
  /** `tune` judges on the tuning split instead, so that settings can be chosen without a look at the held-out prompts. */
  split?: 'heldout' | 'tune'
  seed: number
  sets: HeldOutSettings[]
  /** Prompts of the greedy evaluations during training; they come from the tuning split. */
  watch: PromptSetSettings
}

const SECTIONS = {
  settings: [
    ...['name', 'title', 'summary', 'notes', 'task', 'taskOptions', 'model', 'base', 'training', 'seeds'],
    ...['methods', 'arms', 'evaluation'],
  ],
  method: ['name', 'label', 'objective'],
  arm: ['name', 'title', 'summary', 'steps', 'pool', 'sets'],
  pool: ['prompts', 'seed', 'taskOptions'],
  evaluation: ['n', 'seed', 'sets', 'watch'],
  set: ['name', 'label', 'description', 'prompts', 'seed', 'taskOptions'],
} as const

/** Reads an experiment's settings; INVALID_ARGUMENT names the key that is unknown, missing or out of range. */
export async function readExperimentSettings(path: string): Promise<ExperimentSettings> {
  return checkExperimentSettings(await readSettingsFile(path), path)
}

/** A JSON file with its snake_case keys in camel case. INVALID_ARGUMENT when it is not JSON. */
export async function readSettingsFile(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8')
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw new CoppiceError('INVALID_ARGUMENT', 'not JSON', { where: path, cause })
  }
  return camelCaseKeys(parsed)
}

/** Checks settings in full, before any time is spent on them. */
export function checkExperimentSettings(given: unknown, where = 'experiment'): ExperimentSettings {
  const section = <K extends keyof typeof SECTIONS>(
    kind: K,
    value: unknown,
    at: string,
    optional: readonly string[] = [],
  ) => {
    if (typeof value !== 'object' || value === null)
      throw invalidArgument(`${where}, ${at}`, 'an object', value)
    refuseUnknownKeys(value, [...SECTIONS[kind], ...optional], `${where}, ${at}`)
    for (const key of SECTIONS[kind]) {
      if (!(key in value)) throw invalidArgument(`${where}, ${at}`, `the key '${snakeCase(key)}'`, undefined)
    }
  }
  section('settings', given, 'settings')
  const settings = given as ExperimentSettings
  const { evaluation, methods, arms, seeds } = settings
  section('evaluation', evaluation, 'evaluation', ['split'])
  if (evaluation.split !== undefined)
    requireOneOf(evaluation.split, `${where}, evaluation.split`, ['heldout', 'tune'])
  requireInteger(evaluation.n, `${where}, evaluation.n`, 1)
  const pool = (value: PromptSetSettings, at: string) => {
    requireInteger(value.prompts, `${where}, ${at}.prompts`, 1)
    requireInteger(value.seed, `${where}, ${at}.seed`, 0)
  }
  for (const set of evaluation.sets) {
    section('set', set, `evaluation.sets, ${set.name}`)
    pool(set, `evaluation.sets, ${set.name}`)
  }
  section('pool', evaluation.watch, 'evaluation.watch')
  pool(evaluation.watch, 'evaluation.watch')
  for (const method of methods) {
    section('method', method, `methods, ${method.name}`)
    // Its value aside, the length of a completion, which the task has, makes no objective impossible.
    objectiveOfRun(method.objective, settings.training)
  }
  for (const arm of arms) {
    section('arm', arm, `arms, ${arm.name}`)
    section('pool', arm.pool, `arms, ${arm.name}.pool`)
    pool(arm.pool, `arms, ${arm.name}.pool`)
    requireInteger(arm.steps, `${where}, arms, ${arm.name}.steps`, 1)
    for (const set of arm.sets) {
      if (evaluation.sets.some(({ name }) => name === set)) continue
      throw invalidArgument(`${where}, arms, ${arm.name}.sets`, 'names of evaluation.sets', set)
    }
  }
  for (const [i, seed] of seeds.entries()) {
    requireInteger(seed, `${where}, seeds`, 0)
    if (seeds.indexOf(seed) !== i) throw invalidArgument(`${where}, seeds`, 'every seed once', seed)
  }
  const names = [...methods, ...arms.slice(1)].map(({ name }) => name)
  for (const name of ['base', ...names]) {
    if (
      /^[a-z0-9][a-z0-9.-]*$/.test(name) &&
      names.filter((other) => other === name).length <= (name === 'base' ? 0 : 1)
    )
      continue
    throw invalidArgument(`${where}, names`, 'names of their own that can be folders', name)
  }
  if (arms.length === 0 || methods.length === 0 || seeds.length === 0 || evaluation.sets.length === 0) {
    throw invalidArgument(where, 'at least one arm, method, seed and held-out set', names)
  }
  return settings
}

/** Keys in camel case, nested objects and lists too. */
function camelCaseKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCaseKeys)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
      camelCaseKeys(inner),
    ]),
  )
}

export function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
