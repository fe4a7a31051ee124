import { existsSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  createProgressWriter,
  type ExperimentResult,
  experiment,
  formatDuration,
  readExperimentSettings,
} from '../index.ts'
import { BACKEND_FLAGS, backendOptions, JSON_FLAG } from './flags.ts'
import { interruptible } from './interrupt.ts'
import { refuseStudyFlags, runStudyForm } from './study-form.ts'
import { formatPercent, textTable } from './table.ts'
import { defineVerb } from './verb.ts'

const FORMS = ['quick', 'smoke', 'full'] as const

export const experimentVerb = defineVerb({
  command: 'experiment',
  describe: "the paper's comparison from end to end on an embedded task: PSR, NSR, W-REINFORCE and GRPO",
  flags: {
    quick: {
      type: 'boolean',
      default: false,
      describe: 'one seed and a control, a few minutes on two cores [the default]',
    },
    smoke: {
      type: 'boolean',
      default: false,
      describe: 'everything once, in about a minute; its figures mean nothing',
    },
    full: {
      type: 'boolean',
      default: false,
      describe: 'three seeds on a task that the base policy cannot solve by trying often',
    },
    study: {
      type: 'boolean',
      default: false,
      describe:
        'many methods, two tasks, two base policies and ablations, five seeds: hours; stops and goes on at any time',
    },
    jobs: { type: 'number', describe: 'with --study: processes at the same time [default: one a core]' },
    only: {
      type: 'string',
      describe: "with --study: these arms and parts alone, as 'core,tabular,gradients'",
    },
    records: {
      type: 'string',
      describe: 'with --study: folder of the records of finished runs [default: OUT/records]',
    },
    'report-only': {
      type: 'boolean',
      default: false,
      describe: 'with --study: make the report from the records, run nothing',
    },
    seeds: { type: 'string', describe: "seeds of the training runs, as '1,2,3' [default: the settings']" },
    tune: {
      type: 'boolean',
      default: false,
      describe:
        'judge on prompts of the tuning split: for choosing settings without a look at the held-out ones',
    },
    settings: { type: 'string', describe: 'settings of your own, as JSON, instead of one of these forms' },
    out: { type: 'string', describe: 'folder of the experiment [default: runs/<form>]' },
    cache: { type: 'string', default: '.cache/coppice', describe: 'folder where base policies are kept' },
    ...BACKEND_FLAGS,
    ...JSON_FLAG,
  },
  async run(args) {
    if (args.study) return await runStudyForm(args, settingsPath('study'))
    refuseStudyFlags(args)
    const form = FORMS.find((name) => args[name]) ?? 'quick'
    const settings = await readExperimentSettings(args.settings ?? settingsPath(form))
    if (args.seeds !== undefined) settings.seeds = args.seeds.split(',').map(seedOf)
    if (args.tune) settings.evaluation.split = 'tune'
    const out = args.out ?? join('runs', args.tune ? `${settings.name}-tune` : settings.name)
    const progress = createProgressWriter()
    const begin = performance.now()
    let stage = ''
    return await interruptibleWithAdvice(out, progress.note, async (signal) => {
      const result = await experiment({
        settings,
        out,
        cache: args.cache,
        backend: backendOptions(args),
        signal,
        onProgress: (state) => {
          if (state.stage !== stage && !state.finished) {
            stage = state.stage
            if (!process.stderr.isTTY) progress.note(`${stage} ...`)
          }
          const figures = { [state.stage]: '', ...state.figures }
          progress.update({
            label: 'experiment',
            done: state.done,
            total: state.total,
            percent: true,
            figures,
          })
        },
      })
      progress.end()
      for (const warning of result.warnings) console.error(warning)
      if (args.json) console.log(JSON.stringify(result))
      else console.log(resultText(result, performance.now() - begin))
    })
  },
})

/** What is no number becomes NaN, which the settings' check refuses by name; Number('') would be 0. */
function seedOf(text: string): number {
  return text.trim() === '' ? Number.NaN : Number(text)
}

/** The committed settings of a form; they stand beside src/ and dist/. */
function settingsPath(form: string): string {
  const here = dirname(fileURLToPath(import.meta.url))
  const path = [join(here, '../../experiments'), join(here, '../experiments')].find((folder) =>
    existsSync(folder),
  )
  return join(path ?? 'experiments', `${form}.json`)
}

async function interruptibleWithAdvice(
  out: string,
  note: (line: string) => void,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<number> {
  const code = await interruptible(work, () => note('stopping: the stage under way saves its state'))
  if (code !== 0) note(`stopped; the same command goes on in ${out}`)
  return code
}

/** Relative to the working directory where that is shorter to read. */
function shortPath(path: string): string {
  const short = relative('', path)
  return short.startsWith('..') ? resolve(path) : short
}

/** pass@k of every method on every held-out set, and where the reports are. */
function resultText({ arms }: ExperimentResult, durationMs: number): string {
  const parts = arms.flatMap(({ title, sets }) => [
    `\n${title}`,
    ...sets.map(({ label, methods, comparison }) => {
      const header = [`${label}: pass@k`, ...comparison.ks.map(String)]
      const rows = methods.flatMap((method, i) => {
        const table = comparison.ks.map((k) => comparison.tables[i]![String(k)]!)
        return [
          [method.label, ...table.map(({ mean }) => formatPercent(mean))],
          [
            '  95 % interval',
            ...table.map(({ low, high }) => `${formatPercent(low)}-${formatPercent(high)}`),
          ],
        ]
      })
      return textTable([header, ...rows])
    }),
  ])
  const paths = arms.map(({ name, report }) => `${name.padEnd(8)} ${shortPath(report)}`)
  return [...parts, '', `done in ${formatDuration(durationMs)}; reports:`, ...paths].join('\n').trimStart()
}
