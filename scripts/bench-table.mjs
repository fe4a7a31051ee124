// Rows of `coppice bench` as Markdown, as they stand in docs/results/cpu-bench.md: every op beside its floor, and what stands in the way
// of those that are below 70 % of it, as bench/results/why.json has it.
//   node scripts/bench-table.mjs ROWS.jsonl [MORE.jsonl ...] [--why FILE] [--check]
//     --check  exit code 1 where a row below 70 % has no reason
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { giveUp, root } from './console.mjs'
import { reasonFor, tablesOf } from './measure/bench-tables.mjs'

const usage = 'node scripts/bench-table.mjs ROWS.jsonl [MORE.jsonl ...] [--why FILE] [--check]'
let parsed
try {
  parsed = parseArgs({
    allowPositionals: true,
    options: { why: { type: 'string' }, check: { type: 'boolean', default: false } },
  })
} catch (error) {
  giveUp(`${error.message}\nusage: ${usage}`, 2)
}
const { values, positionals } = parsed
if (positionals.length === 0) giveUp(`usage: ${usage}`, 2)

const reasons = JSON.parse(readFileSync(values.why ?? join(root, 'bench/results/why.json'), 'utf8'))
const rows = positionals
  .flatMap((file) => readFileSync(file, 'utf8').split('\n').filter(Boolean))
  .map((line) => JSON.parse(line))
  .filter((row) => typeof row.case === 'string')
if (rows.length === 0) giveUp(`no rows of coppice bench in ${positionals.join(', ')}`, 2)
console.log(tablesOf(rows, reasons))
const open = rows.filter((row) => reasonFor(row, reasons) === undefined)
if (values.check && open.length > 0) {
  giveUp(
    `below 70 % without a reason: ${open.map((row) => `${row.op}, ${row.shape}, ${row.dtype}`).join('; ')}`,
  )
}
