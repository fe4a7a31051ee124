import { excludesZero } from '../../statistics/compare-methods.ts'
import type { SetAnalysis } from '../analysis.ts'
import type { MethodStyle } from '../charts/palette.ts'
import { percent, points, significant } from '../numbers.ts'
import type { ReportData, ReportEvaluation } from '../report-data.ts'
import { type Html, html } from './html.ts'
import { methodName } from './key.ts'

const MAX_COLUMNS = 10

/** Mean pass@k with intervals, a row a method and a column a k. */
export function passAtKTableHtml(
  data: ReportData,
  analysis: SetAnalysis,
  styles: readonly MethodStyle[],
): Html {
  const { tables } = analysis.comparison
  const ks = shownKs(analysis)
  const best = ks.map((k) => Math.max(...tables.map((table) => table[k]!.mean)))
  const rows = data.methods.map(
    (method, i) =>
      html`<tr><th scope="row">${methodName(method, styles[i]!)}</th>${ks.map((k, j) => {
        const { mean, low, high } = tables[i]![k]!
        const value = mean === best[j] ? html`<strong>${percent(mean)}</strong>` : percent(mean)
        return html`<td>${value}<span class="ci">${percent(low)}–${percent(high)}</span></td>`
      })}</tr>`,
  )
  return scrollable(
    `pass@k, ${analysis.set.label}`,
    html`<table class="figures"><caption><span>pass@k in per cent, mean over prompts${severalSeeds(data) ? ' and seeds' : ''}; beneath it the ${level(data)} interval over prompts. The highest mean of each column is bold.</span></caption><thead><tr><th scope="col">k</th>${columnHeads(ks)}</tr></thead><tbody>${rows}</tbody></table>`,
  )
}

/** Each seed's own means, where a method has several. */
export function seedTableHtml(
  data: ReportData,
  analysis: SetAnalysis,
  styles: readonly MethodStyle[],
): Html | undefined {
  if (!severalSeeds(data)) return undefined
  const ks = shownKs(analysis)
  const rows = data.methods.flatMap((method, i) =>
    method.runs.map((run, j) => {
      const seed = method.base !== true && html` <span class="note">seed ${run.seed}</span>`
      return html`<tr><th scope="row">${methodName(method, styles[i]!)}${seed}</th>${ks.map((k) => {
        const { mean, low, high } = analysis.comparison.seedTables[i]![j]![k]!
        return html`<td>${percent(mean)}<span class="ci">${percent(low)}–${percent(high)}</span></td>`
      })}</tr>`
    }),
  )
  return html`<details><summary>Each training seed by itself</summary>${scrollable(
    `pass@k by seed, ${analysis.set.label}`,
    html`<table class="figures"><caption><span>pass@k in per cent by training seed, with its ${level(data)} interval over prompts.</span></caption><thead><tr><th scope="col">k</th>${columnHeads(ks)}</tr></thead><tbody>${rows}</tbody></table>`,
  )}</details>`
}

/** Paired differences of every two methods with intervals. */
export function differencesTableHtml(data: ReportData, analysis: SetAnalysis): Html | undefined {
  const { ks: allKs, differences } = analysis.comparison
  if (differences.length === 0) return undefined
  const ks = shownKs(analysis)
  let unsteady = false
  const rows = differences.map(({ a, b, table }, pair) => {
    const cells = ks.map((k) => {
      const interval = table[k]!
      const apart = excludesZero(interval)
      const signs = apart && analysis.sameSignInAllSeeds[pair]![allKs.indexOf(k)] === false
      unsteady ||= signs
      const arrow = apart ? (interval.mean > 0 ? ' ▲' : ' ▼') : ''
      return html`<td class="${apart ? 'apart' : 'together'}">${points(interval.mean)}${arrow}${signs && '†'}<span class="ci">${points(interval.low)} to ${points(interval.high)}</span></td>`
    })
    return html`<tr><th scope="row"><span class="name">${data.methods[a]!.label}</span> − <span class="name">${data.methods[b]!.label}</span></th>${cells}</tr>`
  })
  const note = unsteady ? ' † the sign is not the same in every training seed.' : ''
  return scrollable(
    `Paired differences, ${analysis.set.label}`,
    html`<table class="figures differences"><caption><span>Paired differences in percentage points on the same prompts; beneath each its ${level(data)} interval. ▲ and ▼: the interval excludes 0.${note}</span></caption><thead><tr><th scope="col">k</th>${columnHeads(ks)}</tr></thead><tbody>${rows}</tbody></table>`,
  )
}

interface Column {
  key: Exclude<keyof ReportEvaluation, 'right_counts'>
  title: string
  format: (value: number) => string
}

const EVALUATION_COLUMNS: Column[] = [
  { key: 'greedy_accuracy', title: 'Greedy accuracy, %', format: percent },
  { key: 'majority', title: 'Majority@n, %', format: percent },
  { key: 'entropy', title: 'Entropy, nats a token', format: significant },
  { key: 'distinct_right', title: 'Distinct right answers a prompt', format: significant },
  { key: 'unparsed', title: 'Unparsed, %', format: percent },
  { key: 'mean_length', title: 'Length, tokens', format: significant },
]

/** The other figures of evaluation: mean over seeds, beneath it the seeds' own values. */
export function evaluationTableHtml(
  data: ReportData,
  analysis: SetAnalysis,
  styles: readonly MethodStyle[],
): Html | undefined {
  const valuesOf = (method: number, { key }: Column): number[] =>
    data.methods[method]!.runs.flatMap((run) => {
      const value = run.evaluations[analysis.set.name]![key]
      return typeof value === 'number' && Number.isFinite(value) ? [value] : []
    })
  const columns = EVALUATION_COLUMNS.filter((column) =>
    data.methods.some((_, method) => valuesOf(method, column).length > 0),
  )
  if (columns.length === 0) return undefined
  const rows = data.methods.map((method, i) => {
    const cells = columns.map((column) => {
      const values = valuesOf(i, column)
      if (values.length === 0) return html`<td>–</td>`
      const mean = values.reduce((a, b) => a + b) / values.length
      const each = values.length > 1 && html`<span class="ci">${values.map(column.format).join(', ')}</span>`
      return html`<td>${column.format(mean)}${each}</td>`
    })
    return html`<tr><th scope="row">${methodName(method, styles[i]!)}</th>${cells}</tr>`
  })
  const beneath = severalSeeds(data) ? ' Mean over seeds; beneath it each seed.' : ''
  return scrollable(
    `Other figures, ${analysis.set.label}`,
    html`<table class="figures evaluation"><caption><span>Other figures on the same prompts.${beneath}</span></caption><thead><tr><th scope="col">Method</th>${columns.map((column) => html`<th scope="col">${column.title}</th>`)}</tr></thead><tbody>${rows}</tbody></table>`,
  )
}

/** A wide table in a box that scrolls by itself, by keyboard too. */
function scrollable(label: string, table: Html): Html {
  return html`<div class="scroll" role="region" aria-label="${label}" tabindex="0">${table}</div>`
}

function columnHeads(ks: readonly number[]): Html[] {
  return ks.map((k) => html`<th scope="col">${k}</th>`)
}

/** All ks, or every second one (with the first and the last) where a table would grow too wide. */
function shownKs({ comparison: { ks } }: SetAnalysis): number[] {
  return ks.length <= MAX_COLUMNS ? ks : ks.filter((_, i) => i === ks.length - 1 || i % 2 === 0)
}

function severalSeeds(data: ReportData): boolean {
  return data.methods.some((method) => method.runs.length > 1)
}

function level(data: ReportData): string {
  return `${Number((100 * (data.bootstrap?.level ?? 0.95)).toFixed(1))} %`
}
