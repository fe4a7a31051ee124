import { existsSync } from 'node:fs'
import { mkdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { basePolicy } from './experiment/base-policy.ts'
import { type JudgedRun, judgeBase, runMethod } from './experiment/method-run.ts'
import { type ArmResult, compareArm, reportData } from './experiment/report-assembly.ts'
import { type ArmSettings, checkExperimentSettings, type ExperimentSettings } from './experiment/settings.ts'
import { StageLog } from './experiment/stage-log.ts'
import { type ExperimentProgress, planWork, reportStage, WorkPlan } from './experiment/work-plan.ts'
import {
  armFolder,
  heldOutSets,
  methodFolder,
  promptSet,
  taskPrompts,
  type Workspace,
} from './experiment/workspace.ts'
import { refuseUnknownKeys } from './options.ts'
import { type BackendOptions, Policy } from './policy.ts'
import type { PromptRow } from './prompts.ts'
import { replaceFile } from './replace-file.ts'
import type { ReportData } from './report/report-data.ts'
import { type WrittenReport, writeReport } from './report/write-report.ts'
import { excludesZero, type MethodComparison } from './statistics/compare-methods.ts'
import { readMetrics } from './trainer.ts'

export type {
  ArmSettings,
  BaseSettings,
  EvaluationSettings,
  ExperimentSettings,
  HeldOutSettings,
  MethodSettings,
  PromptSetSettings,
} from './experiment/settings.ts'
export { readExperimentSettings } from './experiment/settings.ts'
export type { ExperimentProgress } from './experiment/work-plan.ts'

export interface ExperimentOptions {
  settings: ExperimentSettings
  /** The experiment's folder. Finished stages found there are not repeated. */
  out: string
  /** Where base policies are kept for other experiments. Default: `out`. */
  cache?: string
  backend?: Omit<BackendOptions, 'seed'>
  /** Stops; the stage under way saves its state, and the same call goes on from there. Rejects with the signal's reason. */
  signal?: AbortSignal
  onProgress?: (progress: ExperimentProgress) => void
}

export interface ExperimentResult {
  arms: {
    name: string
    title: string
    /** Path of report.html. */
    report: string
    sets: {
      name: string
      label: string
      /** `base`, then the methods. */
      methods: { name: string; label: string }[]
      comparison: MethodComparison
    }[]
  }[]
  /** What a person should be told, such as a chart that could not be drawn. */
  warnings: string[]
}

/**
 * The paper's comparison from end to end: builds the base policy, trains every objective from it with the same budget,
 * judges all on held-out prompts and writes `<method>/passk.json`, `<method>/metrics.jsonl` and `report.html`.
 */
export async function experiment(options: ExperimentOptions): Promise<ExperimentResult> {
  refuseUnknownKeys(options, ['settings', 'out', 'cache', 'backend', 'signal', 'onProgress'], 'experiment')
  const settings = checkExperimentSettings(options.settings)
  const { out, cache = out, backend = {}, signal, onProgress = () => {} } = options
  const log = await StageLog.open(out, settings)
  const plan = new WorkPlan(onProgress)
  const prompts = await taskPrompts(settings)
  planWork(plan, settings, prompts.task)
  const workspace: Workspace = { settings, out, cache, backend, log, plan, signal, ...prompts }
  await mkdir(cache, { recursive: true })
  const model = await basePolicy(workspace)
  const shown = await shownPrompts(workspace)
  const base = await judgeBase(workspace, model, shown)
  const results: ArmResult[] = []
  for (const arm of settings.arms) {
    const methods = settings.methods.map((method) => ({ method, runs: [] as JudgedRun[] }))
    for (const seed of settings.seeds) {
      for (const { method, runs } of methods) {
        runs.push(await runMethod(workspace, model, arm, method, seed, arm === settings.arms[0] ? shown : []))
      }
    }
    results.push({ arm, base, methods })
  }
  return finish(workspace, model, results, shown)
}

/** One training prompt and one of each held-out set: those whose samples the report shows. */
async function shownPrompts({ settings, tokenizer, heldOut }: Workspace): Promise<PromptRow[]> {
  const [arm] = settings.arms as [ArmSettings]
  const pool = await promptSet(settings, tokenizer, 'train', { ...arm.pool, prompts: 1 })
  return [...pool, ...arm.sets.map((set) => heldOut.get(set)![0]!)]
}

async function finish(
  workspace: Workspace,
  model: string,
  results: readonly ArmResult[],
  shown: readonly PromptRow[],
): Promise<ExperimentResult> {
  const { settings, plan } = workspace
  const outcome: ExperimentResult = { arms: [], warnings: [] }
  plan.tell(reportStage, 0)
  const engine = await engineInfo(model, workspace.backend)
  for (const result of [...results].reverse()) {
    const { arm } = result
    const main = arm === settings.arms[0]
    const methods = [
      { name: 'base', label: 'Base' },
      ...settings.methods.map(({ name, label }) => ({ name, label })),
    ]
    const sets = heldOutSets(workspace, arm).map(({ name, label }) => ({
      name,
      label,
      methods,
      comparison: compareArm(result, name),
    }))
    await writeMethodFiles(workspace, result, sets)
    const notes = main
      ? [...settings.notes, ...outcome.arms.map((other) => armNote(other, workspace.out))]
      : []
    const data = reportData(workspace, result, main ? shown : [], engine, notes)
    const { html, warnings } = await drawReport(armFolder(workspace, arm), data)
    outcome.warnings.push(...warnings)
    outcome.arms.unshift({ name: arm.name, title: arm.title, report: html, sets })
  }
  plan.finish(reportStage)
  return outcome
}

/** Draws the report unless the same data were drawn before; report.json is written last and says so. */
async function drawReport(
  folder: string,
  data: ReportData,
): Promise<Pick<WrittenReport, 'html' | 'warnings'>> {
  const record = join(folder, 'report.json')
  const text = `${JSON.stringify(data)}\n`
  const before = await readFile(record, 'utf8').catch(() => undefined)
  const html = join(folder, 'report.html')
  if (before === text && existsSync(html)) return { html, warnings: [] }
  const report = await writeReport(folder, data)
  await replaceFile(record, text)
  return report
}

async function engineInfo(model: string, backend: BackendOptions) {
  await using policy = await Policy.load({ model, ...backend })
  return policy.info
}

/** passk.json (of the arm's first set), passk-<set>.json and metrics.jsonl of every method. */
async function writeMethodFiles(
  workspace: Workspace,
  { arm, methods }: ArmResult,
  sets: ExperimentResult['arms'][number]['sets'],
): Promise<void> {
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`
  for (const [index, name] of ['base', ...methods.map(({ method }) => method.name)].entries()) {
    const folder = methodFolder(workspace, arm, { name })
    await mkdir(folder, { recursive: true })
    for (const set of sets)
      await replaceFile(join(folder, `passk-${set.name}.json`), json(set.comparison.tables[index]))
    await replaceFile(join(folder, 'passk.json'), json(sets[0]!.comparison.tables[index]))
    const runs = methods[index - 1]?.runs ?? []
    const lines: string[] = []
    for (const { run } of runs) {
      for (const row of await readMetrics(join(folder, `seed-${run.seed}`, 'metrics.jsonl'))) {
        lines.push(`${JSON.stringify({ ...row, seed: run.seed })}\n`)
      }
    }
    if (runs.length > 0) await replaceFile(join(folder, 'metrics.jsonl'), lines.join(''))
  }
}

/** What another arm showed, in a paragraph: how many paired differences exclude 0, and which at the curve's two ends. */
function armNote({ title, report, sets }: ExperimentResult['arms'][number], out: string): string {
  const findings = sets.map(({ label, methods, comparison }) => {
    const trained = comparison.differences.filter(({ a }) => a > 0)
    const apart = trained.flatMap(({ a, b, table }) =>
      Object.entries(table)
        .filter(([, interval]) => excludesZero(interval))
        .map(([k, { mean }]) => {
          const [more, less] = mean > 0 ? [a, b] : [b, a]
          const points = (100 * Math.abs(mean)).toFixed(1)
          return { k: Number(k), text: `${methods[more]!.label} over ${methods[less]!.label} by ${points}` }
        }),
    )
    const at = (k: number) => apart.filter((one) => one.k === k).map(({ text }) => text)
    const ends = [comparison.ks[0]!, comparison.ks.at(-1)!]
      .filter((k) => at(k).length > 0)
      .map((k) => `at k = ${k}, in points, ${at(k).join(', ')}`)
    const count = trained.length * comparison.ks.length
    return [
      `${label}: ${apart.length} of ${count} paired differences between trained methods exclude 0`,
      ...ends,
    ].join('; ')
  })
  return `${title} (${relative(out, report)}). ${findings.join('. ')}.`
}
