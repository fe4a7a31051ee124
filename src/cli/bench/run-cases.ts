import { appendFile } from 'node:fs/promises'
import { createProgressWriter } from '../../index.ts'
import { textTable } from '../table.ts'
import type { BenchCase, BenchSetup } from './bench-case.ts'
import type { BenchRow } from './bench-row.ts'

export interface Output {
  /** One JSON array instead of lines for people. */
  json: boolean
  /** A file that rows are appended to, one JSON object a line; those of a case together at its end, so that no case is there in part. */
  save: string | undefined
}

/** Measures one case after the other and shows each row as it comes; an error or an abort leaves whole what was shown so far. */
export async function runCases(
  cases: readonly BenchCase[],
  setup: Omit<BenchSetup, 'onSkipped'>,
  { json, save }: Output,
): Promise<void> {
  const progress = createProgressWriter()
  const onSkipped = (line: string) => progress.note(`not measured: ${line}`)
  // On a terminal the line of progress has to make room for a row; JSON goes to stdout wherever that is.
  const print = !json && process.stdout.isTTY && process.stderr.isTTY ? progress.note : console.log
  let last: BenchRow | undefined
  if (json) print('[')
  try {
    for (const [done, bench] of cases.entries()) {
      progress.update({ label: 'bench', done, total: cases.length, figures: { case: bench.name } })
      let lines = ''
      for await (const row of bench.run({ ...setup, onSkipped })) {
        const text = JSON.stringify(row)
        if (json) print(last === undefined ? text : `,${text}`)
        else print(lineOf(row))
        lines += `${text}\n`
        last = row
      }
      if (save !== undefined && lines !== '') await appendFile(save, lines)
    }
    progress.update({ label: 'bench', done: cases.length, total: cases.length })
  } finally {
    progress.end()
    if (json) console.log(']')
    else if (last !== undefined) console.log(footOf(last))
  }
}

function lineOf(row: BenchRow): string {
  const figures: readonly (readonly [number | null | undefined, string])[] = [
    [row.gflops, 'GFLOP/s'],
    [row.gbytes_per_second, 'GB/s'],
    [row.tokens_per_second, 'tokens/s'],
    [row.answers_per_second, 'answers/s'],
    [row.rows_per_second, 'rows/s'],
    [row.copied_columns, 'columns copied'],
  ]
  const rates = figures.flatMap(([value, unit]) =>
    value === null || value === undefined ? [] : [`${value} ${unit}`],
  )
  if (row.p99_ms !== undefined) rates.push(`p99 ${row.p99_ms} ms`)
  if (row.peak_share !== null) rates.push(`${(100 * row.peak_share).toFixed(1)} % of peak`)
  rates.push(`${row.peak_rss_mib} MiB`)
  const times = `${row.p50_ms} ms (${row.p20_ms} to ${row.p80_ms})`
  return textTable([[row.op.padEnd(22), row.shape.padEnd(46), times.padEnd(28), rates.join(', ')]], 'left')
}

function footOf({ machine, cores, threads, isa, dtype, commit, versions }: BenchRow): string {
  const { coppice, node } = versions
  const backend = `${threads} ${threads === 1 ? 'thread' : 'threads'}, ${isa}, ${dtype}`
  return `${machine}, ${cores} cores; ${backend}; commit ${commit}, coppice ${coppice}, Node ${node}`
}
