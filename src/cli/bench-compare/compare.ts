import { appendFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type { Options } from 'yargs'
import { type ComputeDtype, CoppiceError } from '../../index.ts'
import { listOf } from '../bench/choose-named.ts'
import { significant } from '../bench/significant.ts'
import { interruptible } from '../interrupt.ts'
import { requireAtLeast, requireWhole } from '../number-flags.ts'
import { type CompareCase, chooseWorkloads } from './cases.ts'
import { type ComparisonRow, comparisonRow, comparisonTable } from './comparison-row.ts'
import { bothSettings, type Contender, chooseContenders, type Setting } from './contenders.ts'
import { type Probe, probe, runRounds } from './rounds.ts'
import { contenderSide, ownSide, type Side } from './sides.ts'

export const COMPARE_FLAGS = {
  compare: {
    type: 'boolean',
    default: false,
    describe: 'beside other libraries, by turns, each in a fresh process (docs/bench-contenders.md)',
  },
  contenders: {
    type: 'string',
    describe: 'with --compare: some of pytorch, transformers, onednn, openblas, llama.cpp [default: all]',
  },
  rounds: { type: 'number', describe: 'with --compare: turns that each side has [default: 5]' },
  'timeout-s': {
    type: 'number',
    describe: 'with --compare: most seconds that a turn may take [default: 900]',
  },
  python: { type: 'string', describe: 'with --compare: a Python with torch and transformers' },
  case: {
    type: 'string',
    describe: "measure one case of --compare, given as JSON: a contender's own protocol",
  },
} as const satisfies Record<string, Options>

interface CompareArguments {
  kind: string
  compare: boolean
  device: string
  dtype: string
  threads: number | undefined
  isa: string | undefined
  list: boolean
  quick: boolean
  repeats: number | undefined
  contenders: string | undefined
  cases: string | undefined
  rounds: number | undefined
  seconds: number | undefined
  timeoutS: number | undefined
  python: string | undefined
  save: string | undefined
  json: boolean
}

const PROBE_SHARE = 0.2

/** What means nothing without --compare, and what nothing with it. */
const COMPARE_KEYS = ['contenders', 'rounds', 'timeoutS', 'python'] as const
const ALONE_KEYS = ['list', 'quick', 'repeats'] as const

/** Refuses flags that the comparison, or the bench without it, would not look at. */
export function refuseMisplacedFlags(args: CompareArguments): void {
  const misplaced = args.compare ? ALONE_KEYS : COMPARE_KEYS
  const given = misplaced.find((key) => args[key] !== undefined && args[key] !== false)
  if (given === undefined) return
  const what = args.compare ? 'not together with --compare' : 'only together with --compare'
  throw new CoppiceError('INVALID_ARGUMENT', what, {
    where: `--${given === 'timeoutS' ? 'timeout-s' : given}`,
  })
}

/** How much is asked of each side, and what ends it. */
interface Effort {
  rounds: number
  seconds: number
  timeoutSeconds: number
  signal: AbortSignal
}

/**
 * Every case of a kind, every contender that has a way to do it: prints the table, or the rows as JSON; after an interrupt those
 * that it has.
 */
export function compareBench(args: CompareArguments): Promise<number> {
  return interruptible((signal) => compareUntil(signal, args))
}

async function compareUntil(signal: AbortSignal, args: CompareArguments): Promise<void> {
  if (args.device !== 'cpu') {
    throw new CoppiceError('INVALID_ARGUMENT', 'contenders run on the CPU', {
      ...{ where: '--device', expected: 'cpu', received: args.device },
    })
  }
  const threads = requireWhole(args.threads ?? availableParallelism(), '--threads', 1)
  const effort: Effort = {
    rounds: requireWhole(args.rounds ?? 5, '--rounds', 1),
    seconds: requireAtLeast(args.seconds ?? 3, '--seconds', 0),
    timeoutSeconds: requireAtLeast(args.timeoutS ?? 900, '--timeout-s', 1),
    signal,
  }
  const workloads = chooseWorkloads(args.kind, listOf(args.cases))
  const contenders = chooseContenders(listOf(args.contenders))
  const own = ownSide(args.isa, effort)
  const entries = workloads.flatMap((workload) =>
    contenders.flatMap((contender) =>
      (contender.variants[workload.kind] ?? []).map((variant) => ({ workload, contender, variant })),
    ),
  )
  if (entries.length === 0) {
    throw new CoppiceError('INVALID_ARGUMENT', 'none of these contenders does any of these cases', {
      ...{ where: '--contenders', received: args.contenders ?? '' },
    })
  }
  const rows: ComparisonRow[] = []
  try {
    for (const { workload, contender, variant } of entries) {
      const asked: CompareCase = {
        ...workload,
        ...{ dtype: args.dtype as ComputeDtype, threads },
        seconds: effort.seconds,
      }
      process.stderr.write(`${asked.name}: ${contender.name}, ${variant}: `)
      const options = { ...effort, python: args.python }
      const row = await compareOne(own, contender, variant, asked, options).catch((error) => {
        // What the error says begins a line of its own.
        process.stderr.write('\n')
        throw error
      })
      process.stderr.write(row.ratio === undefined ? 'not run\n' : `${row.ratio}\n`)
      rows.push(row)
      if (args.save !== undefined) await appendFile(args.save, `${JSON.stringify(row)}\n`)
    }
  } finally {
    if (args.json) console.log(`[\n${rows.map((row) => JSON.stringify(row)).join(',\n')}\n]`)
    else if (rows.length > 0) printTable(rows)
  }
}

async function compareOne(
  own: Side,
  contender: Contender,
  variant: string,
  asked: CompareCase,
  options: Effort & { python: string | undefined },
): Promise<ComparisonRow> {
  const found = await bestSetting(contender, variant, asked, options)
  if ('notRun' in found) {
    const entry = { contender: contender.name, variant, setting: '', settingsTried: {} }
    return comparisonRow(asked, entry, found)
  }
  const { best, side, tried } = found
  const settingsTried = Object.fromEntries(
    tried.map(({ setting, seconds }) => [setting.name, significant(1000 * seconds)]),
  )
  const entry = { contender: contender.name, variant, setting: best.name, settingsTried }
  return comparisonRow(asked, entry, await runRounds(own, side, asked, options.rounds))
}

/**
 * The best setting of each list beside the best of the lists before it. That one has another turn with each list: what it took before is
 * of an earlier moment, and the machine's moments differ by more than settings do.
 */
async function bestSetting(
  contender: Contender,
  variant: string,
  asked: CompareCase,
  options: Effort & { python: string | undefined },
): Promise<{ best: Setting; side: Side; tried: readonly Probe<Setting>[] } | { notRun: string }> {
  const quick = { ...asked, seconds: asked.seconds * PROBE_SHARE }
  const tried = new Map<string, Probe<Setting>>()
  let best: { setting: Setting; side: Side } | undefined
  for (const settings of contender.settings) {
    const candidates = settings.flatMap((next) => {
      const setting = best === undefined ? next : bothSettings(best.setting, next)
      const side = contenderSide(contender, variant, setting, options)
      return side === undefined ? [] : [{ setting, side }]
    })
    const found = await probe(candidates, quick)
    if ('notRun' in found) return found
    for (const result of found.tried) tried.set(result.setting.name, result)
    best = candidates.find(({ setting }) => setting === found.best)!
  }
  return { best: best!.setting, side: best!.side, tried: [...tried.values()] }
}

function printTable(rows: readonly ComparisonRow[]): void {
  console.log(comparisonTable(rows))
  const measured = rows.find((row) => row.not_run === undefined)
  const { machine, threads, commit } = rows[0]!
  const backend = `${threads} ${threads === 1 ? 'thread' : 'threads'}${measured === undefined ? '' : `, ${measured.isa}`}`
  console.log(`\n${machine}, ${backend}, commit ${commit}`)
  console.log("Times are medians of each round's; ratio: the contender's time over coppice's, and its range.")
}
