// Instruction counts by valgrind's callgrind: one thread, one function and all that it calls. They are the same in every run of
// one build, whatever else the machine does.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The set that counts are of: callgrind does not know AVX-512. */
const COUNTED_ISA = 'avx2'

/** Small enough for a simulated processor, and alike for everything but the engine's own code. */
export const COUNTED_WORKLOADS = ['step', 'step_bf16', 'head', 'decode', 'decode_bf16', 'decode_one']

/**
 * Runs a workload of engine_bench once under callgrind.
 * @returns {{ instructions: number, functions: Record<string, number>, compiler: string }} functions: each one's own
 *   instructions, without those that it calls
 */
export function countInstructions(executable, workload) {
  const folder = mkdtempSync(join(tmpdir(), 'coppice-callgrind-'))
  try {
    const file = join(folder, 'counts')
    const result = spawnSync(
      'valgrind',
      [
        ...['--tool=callgrind', '--quiet', '--toggle-collect=measured_run', `--callgrind-out-file=${file}`],
        ...[executable, '--isa', COUNTED_ISA, '--once', workload],
      ],
      // An environment of its own: its size moves the stack.
      { env: { PATH: process.env.PATH, LC_ALL: 'C' }, encoding: 'utf8' },
    )
    if (result.status !== 0) {
      throw new Error(`${workload} under valgrind: ${result.error?.message ?? result.stderr.trim()}`)
    }
    const { compiler } = JSON.parse(result.stdout)
    return { ...parseCallgrind(readFileSync(file, 'utf8')), compiler }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Total and own instructions of every function, of a file as callgrind writes it. */
export function parseCallgrind(text) {
  const names = new Map()
  const functions = {}
  let current
  let total
  let isCall = false
  for (const line of text.split('\n')) {
    if (line.startsWith('fn=')) {
      // `fn=(12) name` the first time, `fn=(12)` from then on.
      const [, id, name] = /^fn=(\(\d+\))(?: (.*))?$/.exec(line) ?? [undefined, line, line.slice(3)]
      if (name !== undefined) names.set(id, name)
      current = names.get(id)
    } else if (line.startsWith('c')) {
      const [, id, name] = /^cfn=(\(\d+\)) (.+)$/.exec(line) ?? []
      if (name !== undefined) names.set(id, name)
      // The line after `calls=` is what the call cost, its callee's business.
      if (line.startsWith('calls=')) isCall = true
    } else if (/^[-+*\d]/.test(line)) {
      if (!isCall && current !== undefined)
        functions[current] = (functions[current] ?? 0) + Number(line.split(' ')[1])
      isCall = false
    } else if (line.startsWith('totals:') || line.startsWith('summary:')) {
      total = Number(line.split(' ')[1])
    }
  }
  if (!(total > 0)) throw new Error('callgrind counted nothing: measured_run was not found')
  return { instructions: total, functions }
}

/** The functions that account for at least `share` of the whole by the names that people read, the largest first. */
export function topFunctions({ instructions, functions }, share) {
  const merged = {}
  for (const [name, own] of Object.entries(functions)) {
    merged[readableName(name)] = (merged[readableName(name)] ?? 0) + own
  }
  return Object.fromEntries(
    Object.entries(merged)
      .filter(([, own]) => own >= share * instructions)
      .sort(([, a], [, b]) => b - a),
  )
}

/** Without what all names have in common, and no longer than a line. */
export function readableName(name) {
  const plain = name
    .replaceAll('coppice::', '')
    .replaceAll('(anonymous namespace)::', '')
    .replaceAll(`${COUNTED_ISA}::`, '')
    .replace(/^ThreadTeam::parallel_for</, '')
    .replace(/^for_row_ranges</, '')
  return plain.length > 100 ? `${plain.slice(0, 97)}...` : plain
}

/** Functions whose counts differ, the largest growth first: [name, now, before]. */
export function movedFunctions(now, before) {
  const names = new Set([...Object.keys(now), ...Object.keys(before)])
  return [...names]
    .map((name) => [name, now[name] ?? 0, before[name] ?? 0])
    .filter(([, after, earlier]) => after !== earlier)
    .sort(([, after, earlier], [, otherAfter, otherEarlier]) => otherAfter - otherEarlier - (after - earlier))
}
