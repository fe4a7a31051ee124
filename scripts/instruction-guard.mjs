// Counts the instructions of fixed small pieces of training and generation, and fails where one takes over 3 % more than was
// recorded. Counts do not depend on what else the machine does; they depend on the compiler, so under another major version
// than the recorded one the parent commit is built and counted instead.
//   node scripts/instruction-guard.mjs [--record] [--base COMMIT] [--executable FILE]
//     --record      writes the counts to bench/native/engine/instructions.json
//     --base        compares with this commit, built by the same compiler, instead of what is recorded
//     --executable  engine_bench [default: build/engine_bench, built when it is missing]
// Exit codes: 0 within the budget, 1 over it, 2 usage, 3 nothing to compare with.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { elapsed, giveUp, has, root, say } from './console.mjs'
import {
  buildEngineBench,
  commonWorkloads,
  defaultBase,
  NotComparable,
  resolveCommit,
  shortName,
  workloadSizes,
} from './measure/builds.mjs'
import { COUNTED_WORKLOADS, countInstructions, movedFunctions, topFunctions } from './measure/callgrind.mjs'
import { readFlags } from './measure/flags.mjs'
import { percentChange, signedPercent } from './measure/ratios.mjs'
import { setUp } from './setup.mjs'

const BUDGET_PERCENT = 3
const RECORD = join(root, 'bench/native/engine/instructions.json')
/** Functions below this share of a workload are not recorded. */
const RECORDED_SHARE = 0.01

const flags = readFlags('node scripts/instruction-guard.mjs [--record] [--base COMMIT] [--executable FILE]', {
  record: 'boolean',
  base: 'string',
  executable: 'string',
})

const majorOf = (compiler) => /^\S+ \d+/.exec(compiler)?.[0] ?? compiler

function countAll(executable, workloads) {
  return Object.fromEntries(
    workloads.map((name) => {
      const start = performance.now()
      const counted = countInstructions(executable, name)
      say(`${name.padEnd(12)} ${String(counted.instructions).padStart(12)} instructions, ${elapsed(start)}`)
      return [name, counted]
    }),
  )
}

/** Counts as they are recorded: totals, and the functions that they are made of. */
function recordOf(counts, sizes) {
  const workloads = Object.fromEntries(
    Object.entries(counts).map(([name, counted]) => {
      const { instructions } = counted
      return [name, { sizes: sizes[name], instructions, functions: topFunctions(counted, RECORDED_SHARE) }]
    }),
  )
  return { compiler: Object.values(counts)[0].compiler, workloads }
}

/** Prints the comparison; whether all workloads keep to the budget. */
function compare(now, before, what) {
  say(`\ncompared with ${what}, budget +${BUDGET_PERCENT} %:`)
  let kept = true
  let improved = false
  for (const [name, { instructions, functions }] of Object.entries(now)) {
    const earlier = before[name]
    const percent = percentChange(instructions, earlier.instructions)
    const over = percent > BUDGET_PERCENT
    kept &&= !over
    improved ||= percent < -BUDGET_PERCENT
    const verdict = over ? 'OVER' : percent < -BUDGET_PERCENT ? 'fewer' : 'ok'
    say(
      `${verdict.padEnd(5)} ${name.padEnd(12)} ${String(instructions).padStart(12)} now` +
        ` ${String(earlier.instructions).padStart(12)} before  ${signedPercent(percent)}`,
    )
    if (!over) continue
    // What is too small to be recorded would seem to be new: only what either side knows to be large is shown.
    const all = topFunctions({ instructions, functions }, 0)
    const large = Object.keys({
      ...topFunctions({ instructions, functions }, RECORDED_SHARE),
      ...earlier.functions,
    })
    const shown = Object.fromEntries(large.map((key) => [key, all[key] ?? 0]))
    say('      own instructions that moved most:')
    for (const [key, after, was] of movedFunctions(shown, earlier.functions).slice(0, 8)) {
      say(`      ${String(after).padStart(12)} now ${String(was).padStart(12)} before  ${key}`)
    }
  }
  if (improved) {
    say(
      `fewer instructions than the budget is wide: keep them with\n  node scripts/instruction-guard.mjs --record`,
    )
  }
  return kept
}

function compareWithCommit(name, now, executable, sizes) {
  const folder = mkdtempSync(join(tmpdir(), 'coppice-guard-'))
  try {
    const commit = resolveCommit(name)
    const base = buildEngineBench(commit, join(folder, 'base'))
    const workloads = commonWorkloads(Object.keys(now), executable, base)
    const before = recordOf(countAll(base, workloads), sizes).workloads
    return compare(Object.fromEntries(workloads.map((each) => [each, now[each]])), before, shortName(commit))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function main() {
  if (!has('valgrind')) giveUp('NOT COMPARABLE: valgrind is not installed', 3)
  let { executable } = flags
  if (executable === undefined) {
    setUp({ tests: true })
    executable = join(root, 'build/engine_bench')
  }
  const sizes = workloadSizes(executable)
  const counts = countAll(executable, COUNTED_WORKLOADS)
  const record = recordOf(counts, sizes)
  if (flags.record) {
    writeFileSync(RECORD, `${JSON.stringify(record, undefined, 2)}\n`)
    say(`recorded in ${RECORD}, compiler ${record.compiler}`)
    return true
  }
  if (flags.base !== undefined) return compareWithCommit(flags.base, counts, executable, sizes)
  const recorded = existsSync(RECORD) ? JSON.parse(readFileSync(RECORD, 'utf8')) : undefined
  if (recorded === undefined) {
    say('nothing is recorded')
    return compareWithCommit(defaultBase(), counts, executable, sizes)
  }
  if (majorOf(recorded.compiler) !== majorOf(record.compiler)) {
    say(`recorded with ${recorded.compiler}, built with ${record.compiler}: comparing with the parent commit`)
    return compareWithCommit(defaultBase(), counts, executable, sizes)
  }
  const same = COUNTED_WORKLOADS.filter((name) => recorded.workloads[name]?.sizes === sizes[name])
  if (same.length < COUNTED_WORKLOADS.length) {
    const moved = COUNTED_WORKLOADS.filter((name) => !same.includes(name))
    giveUp(`recorded counts are of another ${moved.join(', ')}: record again with --record`)
  }
  return compare(counts, recorded.workloads, `bench/native/engine/instructions.json (${recorded.compiler})`)
}

try {
  process.exitCode = main() ? 0 : 1
} catch (error) {
  if (!(error instanceof NotComparable)) throw error
  giveUp(`NOT COMPARABLE: ${error.message}`, 3)
}
