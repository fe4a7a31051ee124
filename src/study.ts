import { availableParallelism } from 'node:os'
import { invalidArgument } from './errors.ts'
import { refuseUnknownKeys, requireInteger } from './options.ts'
import type { BackendOptions } from './policy.ts'
import { gradientStudy } from './study/mechanism/gradient-study.ts'
import { tabularStudy } from './study/mechanism/tabular-study.ts'
import { readRecords, type StudyRecord } from './study/record.ts'
import { runStudy, type StudyProgress } from './study/run-study.ts'
import { checkStudySettings, type StudySettings, studyCells, studyRuns } from './study/settings.ts'

export type { AgreementOptions } from './study/mechanism/gradient-agreement.ts'
export type { TabularMethod, TabularSettings, TabularStudy } from './study/mechanism/tabular.ts'
export type { TabularOptimizer } from './study/mechanism/tabular-optimizer.ts'
export type { SetRecord, StudyRecord } from './study/record.ts'
export {
  type StudyReportOptions,
  type WrittenStudyReport,
  writeStudyReport,
} from './study/report/study-report.ts'
export type { StudyProgress } from './study/run-study.ts'
export type {
  GradientStudy,
  RunIdentity,
  StudyArm,
  StudyMethod,
  StudySettings,
  StudyTask,
  TrainingOverrides,
} from './study/settings.ts'
export { readStudySettings } from './study/settings.ts'

export interface StudyOptions {
  settings: StudySettings
  /** Base policies and runs under way. */
  out: string
  /** Records of finished runs: a run that has one is not done again, whoever did it. */
  records: string
  /** Processes at the same time. Default: one for each core. */
  jobs?: number
  /** Names of arms, `tabular`, `gradients`: only these are done. Default: all. */
  only?: readonly string[]
  /** `threads` are those of each process. Default: the cores divided by `jobs`. */
  backend?: Omit<BackendOptions, 'seed'>
  /** Stops the processes; the same call goes on from there. Rejects with the signal's reason. */
  signal?: AbortSignal
  onProgress?: (progress: StudyProgress) => void
}

export interface StudyResult {
  /** Runs of the arms asked for, base policies among them, and how many of them have a record. */
  runs: number
  recorded: number
  /** Every record by its hash. */
  records: ReadonlyMap<string, StudyRecord>
}

/** What a study has beside its runs. */
const PARTS = ['tabular', 'gradients'] as const

/**
 * Does the runs of a study that have no record yet, several processes at a time, each run's few kilobytes of results in a file of
 * its own: a study may be stopped at any instant, go on in another sitting or on another machine, and be changed, in which
 * case only those runs are done again whose settings changed.
 */
export async function study(options: StudyOptions): Promise<StudyResult> {
  const names = ['settings', 'out', 'records', 'jobs', 'only', 'backend', 'signal', 'onProgress']
  refuseUnknownKeys(options, names, 'study')
  const settings = checkStudySettings(options.settings)
  const { out, records, only, signal, onProgress = () => {} } = options
  const cores = availableParallelism()
  const jobs = requireInteger(options.jobs ?? cores, 'study: jobs', 1)
  const parts = [...PARTS, ...settings.arms.map(({ name }) => name)]
  for (const name of only ?? [])
    if (!parts.includes(name)) throw invalidArgument('study: only', `one of ${parts.join(', ')}`, name)
  const cells = studyCells(settings).filter(({ arm }) => only === undefined || only.includes(arm.name))
  const runs = studyRuns(settings, cells)
  const backend = { threads: Math.max(1, Math.floor(cores / jobs)), ...options.backend }
  const place = { work: out, records, backend }
  // Short beside the runs, and what they say is of use while those go on.
  if (only?.includes('tabular') ?? true) await tabularStudy(records, settings.tabular)
  if (only?.includes('gradients') ?? true) {
    for (const cell of settings.gradients.cells) {
      signal?.throwIfAborted()
      await gradientStudy(settings, cell, place)
    }
  }
  await runStudy({ runs, place, jobs, signal, onProgress })
  const found = await readRecords(records)
  return { runs: runs.length, recorded: runs.filter(({ hash }) => found.has(hash)).length, records: found }
}
