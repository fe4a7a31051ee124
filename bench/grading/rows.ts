import { appendFileSync } from 'node:fs'
import { environment } from '../../src/index.ts'

export interface GradingRow {
  op: string
  shape: string
  grader: string
  threads: number
  p20_ms: number
  p50_ms: number
  p80_ms: number
  max_ms: number
  commit: string
  machine: string
}

/** A row like those of `coppice bench`, from the milliseconds of single pairs. */
export function gradingRow(
  op: string,
  shape: string,
  grader: string,
  milliseconds: readonly number[],
): GradingRow {
  const sorted = [...milliseconds].sort((a, b) => a - b)
  const at = (share: number) => Number((sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toPrecision(4))
  const { commit, machine } = environment()
  const times = { p20_ms: at(0.2), p50_ms: at(0.5), p80_ms: at(0.8), max_ms: at(1) }
  return { op, shape, grader, threads: 1, ...times, commit, machine }
}

/** Prints rows as JSON lines; appends them to a file where `--save FILE` names one. */
export function printRows(rows: readonly object[]): void {
  const lines = rows.map((row) => `${JSON.stringify(row)}\n`).join('')
  process.stdout.write(lines)
  const at = process.argv.indexOf('--save')
  const file = at === -1 ? undefined : process.argv[at + 1]
  if (file !== undefined) appendFileSync(file, lines)
}
