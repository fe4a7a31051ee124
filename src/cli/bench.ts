import { appendFile } from 'node:fs/promises'
import type { BenchRow } from './bench/bench-row.ts'
import { BENCH_KINDS, type BenchKind } from './bench/kinds.ts'
import { COMPARE_FLAGS, compareBench, refuseWithoutCompare } from './bench-compare/compare.ts'
import { measureCase } from './bench-compare/own-side.ts'
import { JSON_FLAG } from './flags.ts'
import { textTable } from './table.ts'
import { defineVerb } from './verb.ts'

const KINDS = Object.keys(BENCH_KINDS) as BenchKind[]

export const benchVerb = defineVerb({
  command: 'bench [kind]',
  describe: 'throughput of this machine: ops, head, training steps, generation, event loop',
  positional: { kind: { choices: [...KINDS, 'all'], default: 'all', describe: 'what is measured' } },
  flags: {
    device: { choices: ['auto', 'cpu', 'cuda'], default: 'cpu', describe: 'where' },
    threads: { type: 'number', describe: 'CPU threads [default: all cores]' },
    dtype: { choices: ['f32', 'bf16'], default: 'f32', describe: 'type of parameters' },
    isa: { type: 'string', describe: 'CPU instruction set [default: the best there is]' },
    repeats: { type: 'number', default: 15, describe: 'runs of each that are timed' },
    save: { type: 'string', describe: 'append the rows to this file, one JSON object a line' },
    ...COMPARE_FLAGS,
    ...JSON_FLAG,
  },
  async run(args) {
    if (args.case !== undefined) return console.log(JSON.stringify(await measureCase(args.case, args.isa)))
    const compared = { ...args, kind: args.kind as string }
    refuseWithoutCompare(compared)
    if (args.compare) return compareBench(compared)
    const kinds = args.kind === 'all' ? KINDS : [args.kind as BenchKind]
    const backend = {
      device: args.device,
      dtype: args.dtype,
      ...(args.threads !== undefined && { threads: args.threads }),
      ...(args.isa !== undefined && { isa: args.isa }),
    }
    const rows: BenchRow[] = []
    for (const kind of kinds) {
      for await (const row of BENCH_KINDS[kind]({ backend, repeats: args.repeats })) {
        rows.push(row)
        if (!args.json) console.log(lineOf(row))
        if (args.save !== undefined) await appendFile(args.save, `${JSON.stringify(row)}\n`)
      }
    }
    if (args.json) console.log(`[\n${rows.map((row) => JSON.stringify(row)).join(',\n')}\n]`)
    else
      console.log(
        `${rows[0]?.machine}, ${rows[0]?.threads} threads, ${rows[0]?.isa}, commit ${rows[0]?.commit}`,
      )
  },
})

function lineOf(row: BenchRow): string {
  const rates = [
    row.gflops === null ? '' : `${row.gflops} GFLOP/s`,
    row.tokens_per_second === undefined ? '' : `${row.tokens_per_second} tokens/s`,
    row.p99_ms === undefined ? '' : `p99 ${row.p99_ms} ms`,
  ].filter((rate) => rate !== '')
  const times = `${row.p50_ms} ms (${row.p20_ms} to ${row.p80_ms})`
  return textTable([[row.op.padEnd(24), row.shape.padEnd(52), times, rates.join(', ')]], 'left')
}
