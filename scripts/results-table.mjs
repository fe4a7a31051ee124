// An experiment's figures as Markdown, for docs/RESULTS.md: coppice experiment --json | node scripts/results-table.mjs
import { text } from 'node:stream/consumers'

const percent = (share) => (100 * share).toFixed(1)
const interval = ({ mean, low, high }) => `${percent(mean)} (${percent(low)} to ${percent(high)})`
const row = (cells) => `| ${cells.join(' | ')} |`
const table = (header, rows) =>
  [row(header), row(header.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(row)].join('\n')

/** Few enough columns to be read: the ends of the curve and what lies between them. */
const shown = (ks) => ks.filter((k, i) => i === 0 || i === ks.length - 1 || [4, 16, 64].includes(k))

const { arms } = JSON.parse(await text(process.stdin))
for (const { title, sets } of arms) {
  for (const { label, methods, comparison } of sets) {
    const { ks, tables, seedTables, differences } = comparison
    const columns = shown(ks)
    console.log(`\n### ${title}: ${label}\n\npass@k in percent, with 95 % intervals over prompts.\n`)
    const all = methods.map(({ label }, i) => [label, ...columns.map((k) => interval(tables[i][k]))])
    console.log(table(['method', ...columns.map((k) => `k = ${k}`)], all))
    const seeds = methods.flatMap(({ label }, i) =>
      seedTables[i].length < 2
        ? []
        : [[label, ...columns.map((k) => seedTables[i].map((one) => percent(one[k].mean)).join(' / '))]],
    )
    if (seeds.length > 0) {
      console.log('\nSeed by seed:\n')
      console.log(table(['method', ...columns.map((k) => `k = ${k}`)], seeds))
    }
    console.log('\nPaired differences on the same prompts, in points; bold where the interval excludes 0.\n')
    const pairs = differences.map(({ a, b, table }) => [
      `${methods[a].label} minus ${methods[b].label}`,
      ...columns.map((k) => {
        const { low, high } = table[k]
        return low > 0 || high < 0 ? `**${interval(table[k])}**` : interval(table[k])
      }),
    ])
    console.log(table(['pair', ...columns.map((k) => `k = ${k}`)], pairs))
  }
}
