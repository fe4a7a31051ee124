import { compareMethods, type MethodComparison } from '../../statistics/compare-methods.ts'
import type { RightCount } from '../../statistics/pass-at-k.ts'
import { rightCounts, type StudyRecord } from '../record.ts'
import { type StudyCell, type StudySettings, studyCells } from '../settings.ts'

/** What is recorded of one arm on one task from one base policy: every method on the same prompts, over the same seeds. */
export interface StudyGroup {
  /** arm, task and base, as a folder may be called. */
  name: string
  arm: StudyCell['arm']
  task: StudyCell['task']
  base: StudyCell['base']
  baseRecord: StudyRecord | undefined
  /** Seeds that every method here has. */
  seeds: number[]
  /** Methods with a record of each of these seeds. */
  methods: GroupMethod[]
  missing: MissingRuns[]
}

export interface GroupMethod {
  name: string
  label: string
  /** One a seed of the group. */
  records: StudyRecord[]
}

export interface MissingRuns {
  method: string
  seeds: number[]
  /** Why they cannot be run yet. */
  pending: string | undefined
}

/** pass@k of the base policy, then of the group's methods, on one set. */
export interface GroupComparison {
  set: string
  comparison: MethodComparison
}

/** The ks that are reported, as far as there are samples. */
const KS = [1, 4, 16, 64, 256]

/** The design's cells with what is recorded of them. Methods are compared over the seeds that all of them have. */
export function studyGroups(
  settings: StudySettings,
  records: ReadonlyMap<string, StudyRecord>,
): StudyGroup[] {
  const cells = new Map<string, StudyCell[]>()
  for (const cell of studyCells(settings)) {
    const name = `${cell.arm.name}-${cell.task.name}-${cell.base.name}`
    cells.set(name, [...(cells.get(name) ?? []), cell])
  }
  return [...cells].map(([name, group]) => groupOf(name, group, records))
}

function groupOf(
  name: string,
  cells: readonly StudyCell[],
  records: ReadonlyMap<string, StudyRecord>,
): StudyGroup {
  const { arm, task, base, baseRun } = cells[0]!
  const recorded = cells.map(({ method, runs, pending }) => ({
    method,
    pending,
    wanted: runs.map(({ seed }) => seed),
    // As long as what sets it apart cannot be run, a cell's settings are those of another cell, whose records are not its own.
    found: new Map(
      (pending === undefined ? runs : []).flatMap(({ seed, run }) => {
        const record = records.get(run.hash)
        return record === undefined ? [] : [[seed, record] as const]
      }),
    ),
  }))
  const present = recorded.filter(({ found }) => found.size > 0)
  const seeds = (recorded[0]?.wanted ?? []).filter((seed) => present.every(({ found }) => found.has(seed)))
  return {
    ...{ name, arm, task, base, seeds: present.length === 0 ? [] : seeds },
    baseRecord: records.get(baseRun.hash),
    methods: present.map(({ method, found }) => ({
      name: method.name,
      label: method.label,
      records: seeds.map((seed) => found.get(seed)!),
    })),
    missing: recorded.flatMap(({ method, wanted, found, pending }) => {
      const missing = wanted.filter((seed) => !found.has(seed))
      return missing.length === 0 ? [] : [{ method: method.label, seeds: missing, pending }]
    }),
  }
}

/** Whether there is anything to compare. */
export function isReported({ baseRecord, methods, seeds }: StudyGroup): boolean {
  return baseRecord !== undefined && methods.length > 0 && seeds.length > 0
}

/** Every held-out set of a reported group. */
export function compareGroup({ baseRecord, methods, task }: StudyGroup): GroupComparison[] {
  return task.sets.map(({ name: set }) => {
    const base = countsOn(baseRecord!, set)
    const counts = [[base], ...methods.map(({ records }) => records.map((record) => countsOn(record, set)))]
    return { set, comparison: compareMethods(counts, reportedKs(base)) }
  })
}

export function countsOn(record: StudyRecord, set: string): RightCount[] {
  return rightCounts(record.sets[set]!)
}

export function reportedKs(counts: readonly RightCount[]): number[] {
  return KS.filter((k) => k <= counts[0]!.n)
}
