import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { replaceFile } from '../../replace-file.ts'
import type { ReportData, ReportRun } from '../../report/report-data.ts'
import { writeReport } from '../../report/write-report.ts'
import { readGradients } from '../mechanism/gradient-study.ts'
import { readTabular } from '../mechanism/tabular-study.ts'
import { readRecords, type StudyRecord } from '../record.ts'
import type { StudySettings } from '../settings.ts'
import { judgeClaims } from './claims.ts'
import { countsOn, isReported, type StudyGroup, studyGroups } from './groups.ts'
import { choiceText, claimsText, coverageText, groupText, notesText, separationText } from './markdown.ts'
import { gradientText, tabularText } from './mechanism-text.ts'

export interface StudyReportOptions {
  settings: StudySettings
  records: string
  /** Folder of the report. */
  out: string
  /** Whether each comparison of the core arm also gets a page and charts. Default true. */
  pages?: boolean
}

export interface WrittenStudyReport {
  /** The claims with their verdicts, what to choose, the mechanism. */
  summary: string
  /** Every comparison. */
  tables: string
  /** Pages with charts. */
  pages: string[]
  warnings: string[]
}

/**
 * Makes the report from the records alone: the same records give the same bytes, on any machine. What is not recorded yet is
 * named and left out.
 */
export async function writeStudyReport(options: StudyReportOptions): Promise<WrittenStudyReport> {
  const { settings, out, pages = true } = options
  const records = await readRecords(options.records)
  const groups = studyGroups(settings, records)
  await mkdir(out, { recursive: true })
  const written: WrittenStudyReport = {
    summary: join(out, 'summary.md'),
    tables: join(out, 'tables.md'),
    pages: [],
    warnings: [],
  }
  await replaceFile(written.summary, await summaryText(options, groups, records))
  await replaceFile(written.tables, tablesText(settings, groups))
  for (const group of groups.filter((one) => pages && one.arm.name === 'core' && isReported(one))) {
    const { html, warnings } = await writeReport(join(out, group.name), pageData(settings, group))
    written.pages.push(html)
    written.warnings.push(...warnings)
  }
  return written
}

async function summaryText(
  { settings, records: folder }: StudyReportOptions,
  groups: readonly StudyGroup[],
  records: ReadonlyMap<string, StudyRecord>,
): Promise<string> {
  const cells = await Promise.all(
    settings.gradients.cells.map(async (cell) => ({
      cell,
      record: await readGradients(folder, settings, cell),
    })),
  )
  const sections: [title: string, text: string][] = [
    ['What is there', coverageText(groups, [...records.values()])],
    ['Claims', claimsText(judgeClaims(groups))],
    [
      'What to choose',
      `The method with the highest mean at each k, in brackets those that the paired difference does not tell from it.\n\n${choiceText(groups)}`,
    ],
    ['What separates them', separationText(groups)],
    ['The two gradients', gradientText(cells)],
    ['The tabular form', tabularText(await readTabular(folder, settings.tabular))],
    ['What to doubt', notesText(settings)],
  ]
  return `${[settings.summary, ...sections.map(([title, text]) => `### ${title}\n\n${text}`)].join('\n\n')}\n`
}

function tablesText(settings: StudySettings, groups: readonly StudyGroup[]): string {
  const reported = groups.filter(isReported)
  return `${[`# ${settings.title}`, settings.summary, ...reported.map(groupText)].join('\n\n')}\n`
}

function pageData(settings: StudySettings, group: StudyGroup): ReportData {
  const { arm, task, base, baseRecord, methods, seeds } = group
  const { environment, identity } = methods[0]!.records[0]!
  const all = [baseRecord!, ...methods.flatMap(({ records }) => records)]
  const seconds = (records: readonly StudyRecord[]) =>
    records.reduce((sum, one) => sum + one.seconds.train + one.seconds.evaluate, 0)
  return {
    title: `${arm.title}: ${task.label}, ${base.label}`,
    summary: `${settings.summary} ${arm.question}`,
    notes: settings.notes,
    sets: task.sets.map(({ name, label, description }) => ({ name, label, description })),
    methods: [
      { name: 'base', label: 'Base', base: true, runs: [reportRun(baseRecord!, settings.base.seed)] },
      ...methods.map(({ name, label, records }) => ({
        name,
        label,
        runs: records.map((record, i) => reportRun(record, seeds[i]!)),
      })),
    ],
    settings: [
      { title: 'Task', values: { task: task.task, options: JSON.stringify(task.taskOptions) } },
      { title: 'Training', values: { settings: JSON.stringify(identity.training) } },
    ],
    environment: {
      machine: environment.machine,
      cores: environment.threads,
      threads: environment.threads,
      instruction_set: environment.isa,
      commit: [...new Set(all.map((record) => record.environment.commit))].join(', '),
      versions: environment.versions,
      seeds,
      phases: [
        { name: 'base policy, judged', seconds: seconds([baseRecord!]) },
        ...methods.map(({ name, records }) => ({ name, seconds: seconds(records) })),
      ],
    },
  }
}

function reportRun(record: StudyRecord, seed: number): ReportRun {
  const { step = [], ...series } = record.series
  return {
    seed,
    evaluations: Object.fromEntries(
      Object.entries(record.sets).map(([name, set]) => [
        name,
        {
          right_counts: countsOn(record, name),
          ...(set.greedy_accuracy !== null && { greedy_accuracy: set.greedy_accuracy }),
          entropy: set.entropy,
          distinct_right: set.distinct_right,
          unparsed: set.unparsed,
        },
      ]),
    ),
    ...(step.length > 0 && {
      metrics: step.map((at, i) => ({
        step: at ?? i,
        ...Object.fromEntries(Object.entries(series).map(([key, values]) => [key, values[i] ?? null])),
      })),
    }),
  }
}
