import { join } from 'node:path'
import {
  CoppiceError,
  createProgressWriter,
  readStudySettings,
  type StudySettings,
  study,
  writeStudyReport,
} from '../index.ts'
import { type BackendArguments, backendOptions } from './flags.ts'
import { interruptible } from './interrupt.ts'

interface StudyArguments extends BackendArguments {
  settings?: string | undefined
  out?: string | undefined
  records?: string | undefined
  jobs?: number | undefined
  only?: string | undefined
  reportOnly: boolean
  json: boolean
}

const STUDY_FLAGS = ['jobs', 'only', 'records'] as const

/** `coppice experiment --study`. */
export async function runStudyForm(args: StudyArguments, settingsPath: string): Promise<number> {
  const settings = await readStudySettings(args.settings ?? settingsPath)
  const out = args.out ?? join('runs', settings.name)
  const records = args.records ?? join(out, 'records')
  if (args.reportOnly) {
    await report(settings, records, out, args.json)
    return 0
  }
  const progress = createProgressWriter()
  const stopped = () => progress.note('stopping: the runs under way go on from their last checkpoints')
  const code = await interruptible(async (signal) => {
    const result = await study({
      settings,
      out,
      records,
      backend: backendOptions(args),
      ...(args.jobs !== undefined && { jobs: args.jobs }),
      ...(args.only !== undefined && { only: args.only.split(',') }),
      signal,
      onProgress: ({ done, total, label, finished }) => {
        if (!process.stderr.isTTY) progress.note(`${label}${finished ? ' done' : ' ...'}`)
        progress.update({ label: 'study', done, total, percent: true, figures: { [label]: '' } })
      },
    })
    progress.end()
    const { runs, recorded } = result
    progress.note(`${recorded} of ${runs} runs recorded`)
    await report(settings, records, out, args.json)
  }, stopped)
  if (code !== 0) progress.note(`stopped; the same command goes on in ${out}`)
  return code
}

async function report(settings: StudySettings, records: string, out: string, json: boolean): Promise<void> {
  const written = await writeStudyReport({ settings, records, out: join(out, 'report') })
  for (const warning of written.warnings) console.error(warning)
  const { summary, tables, pages } = written
  console.log(json ? JSON.stringify(written) : [summary, tables, ...pages].join('\n'))
}

/** Flags of the study beside another form would be ignored: they are refused. */
export function refuseStudyFlags(
  args: Partial<Record<(typeof STUDY_FLAGS)[number], unknown>> & { reportOnly: boolean },
): void {
  const flag = args.reportOnly ? 'report-only' : STUDY_FLAGS.find((name) => args[name] !== undefined)
  if (flag === undefined) return
  throw new CoppiceError('INVALID_ARGUMENT', `--${flag} is for --study alone`, { where: `--${flag}` })
}
