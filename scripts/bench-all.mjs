// Everything that `coppice bench` measures, each case in a process of its own, one after the other; rows go to a file as they come. The
// same command goes on where it was stopped: what has a row is not measured again. About 25 minutes on two cores, which nothing else is
// to use meanwhile. docs/bench.md says what the rows mean, scripts/bench-table.mjs makes tables of them.
//   node scripts/bench-all.mjs --out FILE [--minutes N] [--kinds a,b] [--threads N] [--isa NAME] [--quick]
//     --minutes  starts nothing new after so many
//     --quick    tiny sizes: tries the command lines out
// Exit codes: 0 done, or out of time; 1 something failed, the rest was measured; 2 usage.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { giveUp, root, say } from './console.mjs'
import { readFlags } from './measure/flags.mjs'

/** Kinds in the order in which they are measured; what computes with parameters is measured with both types of them. */
const KINDS = {
  op: ['f32', 'bf16'],
  head: ['f32', 'bf16'],
  step: ['f32', 'bf16'],
  slice: ['f32', 'bf16'],
  generate: ['f32', 'bf16'],
  load: ['f32', 'bf16'],
  arrow: ['f32'],
  eventloop: ['f32'],
  scaling: ['f32'],
  grade: ['f32'],
}
/** Cases so short that a process for each would take longer than they do. */
const TOGETHER = ['op']

const usage =
  'node scripts/bench-all.mjs --out FILE [--minutes N] [--kinds a,b] [--threads N] [--isa NAME] [--quick]'
const flags = readFlags(usage, {
  ...{
    out: 'string',
    minutes: 'number',
    kinds: 'string',
    threads: 'number',
    isa: 'string',
    quick: 'boolean',
  },
})
const { out, minutes = Number.POSITIVE_INFINITY } = flags
if (out === undefined) giveUp(`--out is missing\nusage: ${usage}`, 2)
const kinds = flags.kinds?.split(',') ?? Object.keys(KINDS)
for (const kind of kinds) {
  if (!Object.hasOwn(KINDS, kind)) giveUp(`--kinds: ${kind} is none of ${Object.keys(KINDS).join(', ')}`, 2)
}

function bench(...args) {
  return spawnSync(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', 'bench', ...args, '--json'], {
    ...{ cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 },
  })
}

function namesOf(kind) {
  const { status, stdout, stderr } = bench(kind, '--list')
  if (status !== 0) giveUp(`bench ${kind} --list: ${stderr}`)
  return JSON.parse(stdout)
}

/** Rows that are there, by case and type of parameters; those of another commit are not to be mixed with this one's. */
function measuredBefore() {
  if (!existsSync(out)) return new Set()
  const head = spawnSync('git', ['-C', root, 'rev-parse', '--short=10', 'HEAD'], {
    encoding: 'utf8',
  }).stdout.trim()
  const rows = readFileSync(out, 'utf8').split('\n').flatMap(rowsOfLine)
  const other = rows.find(({ commit }) => head !== '' && commit.replace('+', '') !== head)
  if (other !== undefined)
    giveUp(`${out} holds rows of commit ${other.commit}, this is ${head}: name another file`, 2)
  return new Set(rows.map((row) => keyOf(row.case, row.dtype)))
}

/** None for the empty line behind the last; a machine that went down may have left one cut short. */
function rowsOfLine(line, index) {
  if (line === '') return []
  try {
    const row = JSON.parse(line)
    if (Object.hasOwn(KINDS, row.case.split('/')[0])) return [row]
  } catch {}
  return giveUp(
    `${out}, line ${index + 1}: no row of coppice bench: take out the line, and others of its case, and go on`,
    2,
  )
}

/** What is measured with one type alone may call it something else. */
function keyOf(name, dtype) {
  return KINDS[name.split('/')[0]].length > 1 ? `${name} ${dtype}` : name
}

const done = measuredBefore()
const tasks = kinds.flatMap((kind) => {
  const names = namesOf(kind)
  return KINDS[kind].flatMap((dtype) => {
    const left = names.filter((name) => !done.has(keyOf(name, dtype)))
    if (TOGETHER.includes(kind)) return left.length === 0 ? [] : [{ kind, dtype, cases: left }]
    return left.map((name) => ({ kind, dtype, cases: [name] }))
  })
})

const minutesSince = (start) => (performance.now() - start) / 60_000
const shared = [
  ...['--save', out],
  ...(flags.threads === undefined ? [] : ['--threads', String(flags.threads)]),
  ...(flags.isa === undefined ? [] : ['--isa', flags.isa]),
  ...(flags.quick ? ['--quick'] : []),
]
const start = performance.now()
const failed = []
let at = 0
for (; at < tasks.length && minutesSince(start) < minutes; at++) {
  const { kind, dtype, cases } = tasks[at]
  const what = `${cases.length > 1 ? `${kind}, ${cases.length} cases` : cases[0]}, ${dtype}`
  const left =
    at === 0 ? '' : `, about ${Math.ceil((minutesSince(start) / at) * (tasks.length - at))} min left`
  say(`[${at + 1}/${tasks.length}${left}] ${what}`)
  const { status, stdout, stderr } = bench(kind, '--cases', cases.join(','), '--dtype', dtype, ...shared)
  if (status === 130 || status === 143) process.exit(status)
  if (status === 0) for (const row of JSON.parse(stdout)) say(`    ${lineOf(row)}`)
  for (const line of stderr.split('\n')) if (line.startsWith('not measured')) say(`    ${line}`)
  if (status === 0) continue
  say(`    FAILED: ${stderr.trim()}`)
  failed.push(what)
}

function lineOf(row) {
  const rates = [
    ...[row.gflops && `${row.gflops} GFLOP/s`, row.gbytes_per_second && `${row.gbytes_per_second} GB/s`],
    ...[row.tokens_per_second && `${row.tokens_per_second} tokens/s`],
    row.peak_share === null ? undefined : `${(100 * row.peak_share).toFixed(1)} % of peak`,
  ]
  return [`${row.op}, ${row.shape}: ${row.p50_ms} ms`, ...rates.filter(Boolean)].join(', ')
}

say(`${at} of ${tasks.length} done in ${minutesSince(start).toFixed(1)} min; rows in ${out}`)
if (at < tasks.length) say(`out of time: the same command goes on with the other ${tasks.length - at}`)
if (failed.length > 0) giveUp(`failed: ${failed.join('; ')}`)
