// How much throughput training and generation keep beside a process that keeps one core busy. Runs each alone and beside it, by
// turns (alone, beside, beside, alone, ...), in fresh processes. The engine may lose what the busy process took of the cores,
// by its own processor time, and 15 points more. The figure moves with whatever else runs: use a quiet machine.
//   node scripts/beside.mjs [--rounds 6] [--seconds 3] [--allowed 15] [--threads N] [--isa NAME] [--executable FILE] [--json]
//     --allowed     points that it may lose beyond that
//     --executable  engine_bench [default: build/engine_bench, built when it is missing]
// Exit codes: 0 within that loss, 1 beyond it, 2 usage, 3 this system does not say what a process used.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { giveUp, root, say } from './console.mjs'
import { readFlags } from './measure/flags.mjs'
import { interleaved, median, sharedCoreLoss } from './measure/ratios.mjs'
import { setUp } from './setup.mjs'

const WORKLOADS = ['train_s', 'generate_s']
/** Linux counts processor time in hundredths of a second, whatever its own timer. */
const TICKS_PER_SECOND = 100

const flags = readFlags(
  'node scripts/beside.mjs [--rounds 6] [--seconds 3] [--allowed 15] [--threads N] [--isa NAME] [--executable FILE] [--json]',
  {
    ...{ rounds: 'number', seconds: 'number', allowed: 'number', threads: 'number' },
    ...{ isa: 'string', executable: 'string', json: 'boolean' },
  },
)
const { rounds = 6, seconds = 3, allowed = 15 } = flags
if (!Number.isInteger(rounds)) giveUp(`--rounds: expected a whole number, received ${rounds}`, 2)

/** Processor seconds that the process has used. */
function processorSeconds(pid) {
  // After the name, which may hold spaces and parentheses: state is field 3, user and system time are 14 and 15.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** One workload in a fresh process: tokens a second, and the cores that the busy process took meanwhile. */
function measure(executable, workload, busy) {
  const args = ['--json', '--seconds', String(seconds), workload]
  if (flags.isa !== undefined) args.push('--isa', flags.isa)
  if (flags.threads !== undefined) args.push('--threads', String(flags.threads))
  const before = busy && processorSeconds(busy.pid)
  const start = performance.now()
  const result = spawnSync(executable, args, { encoding: 'utf8' })
  const passed = (performance.now() - start) / 1000
  if (result.status !== 0) giveUp(`engine_bench ${args.join(' ')}: ${result.stderr}`)
  const row = JSON.parse(result.stdout)
  return { ...row, taken: busy ? (processorSeconds(busy.pid) - before) / passed : 0 }
}

async function startBusyProcess() {
  const busy = spawn(process.execPath, ['-e', 'process.stdout.write("."); for (;;);'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  process.once('exit', () => busy.kill('SIGKILL'))
  await new Promise((resolve) => busy.stdout.once('data', resolve))
  return busy
}

if (!existsSync('/proc/self/stat')) giveUp('NOT RUN: there is no /proc here', 3)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(130))
if (flags.executable === undefined) setUp({ tests: true })
const executable = flags.executable ?? join(root, 'build/engine_bench')
const cores = availableParallelism()
const rows = []
for (const workload of WORKLOADS) {
  const rates = { a: [], b: [] }
  const taken = []
  let context
  for (const order of interleaved(rounds)) {
    for (const side of order) {
      const busy = side === 'b' ? await startBusyProcess() : undefined
      const one = measure(executable, workload, busy)
      busy?.kill('SIGKILL')
      rates[side].push(one.tokens_per_second)
      if (side === 'b') taken.push(one.taken)
      context = one
    }
  }
  const [alone, beside] = [median(rates.a), median(rates.b)]
  const loss = sharedCoreLoss(alone, beside, median(taken), context.threads, cores)
  const within = loss.lost <= loss.share + allowed / 100
  rows.push({ workload, isa: context.isa, threads: context.threads, cores, alone, beside, ...loss, within })
  const percent = (share) => `${(100 * share).toFixed(1)} %`
  if (!flags.json) {
    say(
      `${within ? 'ok  ' : 'SLOW'} ${workload.padEnd(11)} alone ${alone.toFixed(0)} tokens/s, beside ${beside.toFixed(0)}: ` +
        `${percent(loss.lost)} lost, ${percent(loss.share)} of ${context.threads} cores taken, ` +
        `${((loss.lost - loss.share) * 100).toFixed(1)} points more (${allowed} allowed)`,
    )
  }
}
if (flags.json) say(JSON.stringify(rows))
process.exitCode = rows.every(({ within }) => within) ? 0 : 1
