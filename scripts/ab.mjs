// Compares the speed of two commits: fixed training steps and generations (bench/native/engine) of each, in fresh processes, in
// pairs whose order alternates (A B, B A, ...), so that whatever else the machine does meets both. Fails where the median of
// the pairs' ratios, new time / old time, is above the limit.
//   node scripts/ab.mjs [--base COMMIT] [--head COMMIT] [--pairs 15] [--threads N] [--isa NAME] [--seconds 0.5] [--limit 1.1]
//     --base     the old one [default: the last commit where native/ has changes that are not committed, else the one before]
//     --head     the new one [default: the working tree as it stands]
//     --seconds  how long one process measures one workload, at least
// Exit codes: 0 within the limit, 1 above it, 2 usage, 3 the two cannot be compared.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { giveUp, say } from './console.mjs'
import {
  buildEngineBench,
  commonWorkloads,
  defaultBase,
  NotComparable,
  resolveCommit,
  shortName,
} from './measure/builds.mjs'
import { readFlags } from './measure/flags.mjs'
import { interleaved, pairedRatios } from './measure/ratios.mjs'

const WORKLOADS = ['step', 'head', 'decode', 'decode_one', 'train_s', 'train_s_bf16', 'generate_s']

const flags = readFlags(
  'node scripts/ab.mjs [--base COMMIT] [--head COMMIT] [--pairs 15] [--threads N] [--isa NAME] [--seconds 0.5] [--limit 1.1]',
  {
    ...{ base: 'string', head: 'string', isa: 'string' },
    ...{ pairs: 'number', threads: 'number', seconds: 'number', limit: 'number' },
  },
)
const { pairs = 15, seconds = 0.5, limit = 1.1 } = flags
if (!Number.isInteger(pairs)) giveUp(`--pairs: expected a whole number, received ${pairs}`, 2)

/** The median seconds of each workload in a fresh process. */
function measure(executable, workloads) {
  const args = ['--json', '--seconds', seconds, ...workloads].map(String)
  if (flags.isa !== undefined) args.push('--isa', flags.isa)
  if (flags.threads !== undefined) args.push('--threads', String(flags.threads))
  const result = spawnSync(executable, args, { encoding: 'utf8' })
  if (result.status !== 0) throw new NotComparable(`engine_bench ${args.join(' ')}: ${result.stderr.trim()}`)
  return result.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

function progress(done, start) {
  const passed = (performance.now() - start) / 1000
  const left = Math.ceil((passed * (pairs - done)) / done)
  const text = `pair ${done} of ${pairs}, ${left} s left`
  if (process.stdout.isTTY) process.stdout.write(`\r${text.padEnd(40)}${done === pairs ? '\n' : ''}`)
  else if (done === 1 || done === pairs || done % 5 === 0) say(text)
}

function main(folder) {
  const head = flags.head === undefined ? undefined : resolveCommit(flags.head)
  const base = resolveCommit(flags.base ?? defaultBase())
  const executables = {
    a: buildEngineBench(base, join(folder, 'base')),
    b: buildEngineBench(head, join(folder, 'head')),
  }
  const workloads = commonWorkloads(WORKLOADS, executables.a, executables.b)
  const times = { a: workloads.map(() => []), b: workloads.map(() => []) }
  let context
  const start = performance.now()
  for (const [pair, order] of interleaved(pairs).entries()) {
    for (const side of order) {
      const rows = measure(executables[side], workloads)
      context = rows[0]
      rows.forEach(({ p50_seconds }, i) => {
        times[side][i].push(p50_seconds)
      })
    }
    progress(pair + 1, start)
  }
  say(`\nold: ${shortName(base)}`)
  say(`new: ${head === undefined ? 'the working tree' : shortName(head)}`)
  say(`${context.isa}, ${context.threads} threads, ${pairs} pairs; new time / old time, limit ${limit}`)
  say(`      ${'workload'.padEnd(14)} median     p20     p80`)
  let kept = true
  for (const [i, name] of workloads.entries()) {
    const { p20, p50, p80 } = pairedRatios(times.a[i], times.b[i])
    const within = p50 <= limit
    kept &&= within
    const cells = [p50, p20, p80].map((ratio) => ratio.toFixed(3).padStart(7))
    say(`${within ? 'ok   ' : 'SLOW '} ${name.padEnd(14)}${cells.join(' ')}`)
  }
  return kept
}

const folder = mkdtempSync(join(tmpdir(), 'coppice-ab-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130))
try {
  process.exitCode = main(folder) ? 0 : 1
} catch (error) {
  if (!(error instanceof NotComparable)) throw error
  giveUp(`NOT COMPARABLE: ${error.message}`, 3)
}
