// Writes the study's part of docs/RESULTS.md and docs/results/study/ from the records alone:
//   node scripts/study-results.mjs           (without a run; some tens of seconds for the charts)
//   node scripts/study-results.mjs --check   fails where docs/RESULTS.md is not what the records say
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..')
const RESULTS = join(ROOT, 'docs/RESULTS.md')
const STUDY = join(ROOT, 'docs/results/study')
const MARKS = ['<!-- study: written by scripts/study-results.mjs -->', '<!-- end of the study -->']

const out = mkdtempSync(join(tmpdir(), 'coppice-study-'))
try {
  const verb = ['experiment', '--study', '--report-only', '--records', join(STUDY, 'records'), '--out', out]
  const made = spawnSync(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', ...verb], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
  })
  if (made.status !== 0) process.exit(made.status ?? 1)
  const report = join(out, 'report')
  const whole = readFileSync(RESULTS, 'utf8')
  const [begin, end] = MARKS.map((mark) => whole.indexOf(mark))
  if (begin === -1 || end === -1) throw new Error(`${RESULTS} lacks '${MARKS.join("' or '")}'`)
  const groups = readdirSync(report, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const charts = groups.map(
    ({ name }) =>
      `[${name}](results/study/${name}/passk.svg) ([training](results/study/${name}/dynamics.svg))`,
  )
  const summary = readFileSync(join(report, 'summary.md'), 'utf8')
  const text = `${summary}\n${charts.length === 0 ? '' : `Charts: ${charts.join(', ')}.\n\n`}`
  const written = `${whole.slice(0, begin)}${MARKS[0]}\n\n${text}${whole.slice(end)}`
  if (process.argv.includes('--check')) {
    if (written !== whole) {
      console.error('docs/RESULTS.md is not what the records say: run node scripts/study-results.mjs')
      process.exitCode = 1
    }
  } else {
    writeFileSync(RESULTS, written)
    cpSync(join(report, 'tables.md'), join(STUDY, 'tables.md'))
    for (const group of groups) {
      mkdirSync(join(STUDY, group.name), { recursive: true })
      for (const name of ['passk.svg', 'dynamics.svg']) {
        const chart = join(report, group.name, name)
        if (existsSync(chart)) cpSync(chart, join(STUDY, group.name, name))
      }
    }
  }
} finally {
  rmSync(out, { recursive: true })
}
