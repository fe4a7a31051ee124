import type { MethodStyle } from '../charts/palette.ts'
import { significant } from '../numbers.ts'
import type { ReportData, ReportSample, SampleColumn, SampleGroup } from '../report-data.ts'
import { type Html, html } from './html.ts'
import { methodName } from './key.ts'

/** Most tokens shown over all samples; longer samples are cut evenly, and say so. */
const TOKEN_BUDGET = 8000

/** Groups of samples side by side, a column a method, each token with its log-prob and its weight in the loss. */
export function samplesHtml(data: ReportData, styles: readonly MethodStyle[]): Html | undefined {
  const groups = data.groups ?? []
  const samples = groups.flatMap((group) => group.columns.flatMap((column) => column.samples))
  if (samples.length === 0) return undefined
  const most = tokensShown(samples)
  return html`<p>Background: the token's weight in the loss, <span class="t up" style="--w:0.6">blue</span> where the update makes the token likelier, <span class="t down" style="--w:0.6">orange</span> where it makes it less likely, the stronger the larger within a prompt. The bar beneath is the probability that the policy gave the token when it was sampled. <span class="screen-only">Hover, or focus a sample and use the arrow keys, for the numbers.</span></p>${groups.map((group) => groupHtml(data, group, styles, most))}`
}

/** Largest number of tokens a sample may show so that all samples stay within the budget. */
function tokensShown(samples: readonly ReportSample[]): number {
  const lengths = samples.map((sample) => sample.tokens.length).sort((a, b) => a - b)
  let left = TOKEN_BUDGET
  for (const [i, length] of lengths.entries()) {
    const share = Math.floor(left / (lengths.length - i))
    if (length > share) return Math.max(1, share)
    left -= length
  }
  return Number.POSITIVE_INFINITY
}

function groupHtml(data: ReportData, group: SampleGroup, styles: readonly MethodStyle[], most: number): Html {
  const largest = Math.max(
    0,
    ...group.columns.flatMap((column) =>
      column.samples.map((sample) =>
        (sample.token_weights ?? []).reduce((max, w) => Math.max(max, Math.abs(w)), 0),
      ),
    ),
  )
  return html`<section class="group"><h3>Prompt ${group.prompt_id}</h3>${group.note && html`<p class="note">${group.note}</p>`}<pre class="prompt">${group.prompt}</pre>${group.reference && html`<p class="note">Reference: <code>${group.reference}</code></p>`}<div class="columns">${group.columns.map((column) => columnHtml(data, column, styles, largest, most))}</div></section>`
}

function columnHtml(
  data: ReportData,
  column: SampleColumn,
  styles: readonly MethodStyle[],
  largest: number,
  most: number,
): Html {
  const index = data.methods.findIndex((method) => method.name === column.method)
  const method = data.methods[index]!
  const right = column.samples.filter((sample) => sample.verdict === 'right').length
  const seed = column.seed === undefined ? '' : `seed ${column.seed}, `
  return html`<section class="column"><h4>${methodName(method, styles[index]!)}</h4><p class="note">${seed}${right} of ${column.samples.length} right</p><ol>${column.samples.map((sample, i) => sampleHtml(sample, `${method.label}, sample ${i + 1}`, largest, most))}</ol></section>`
}

const MARKS = { right: '✓', wrong: '✗', unparsed: '?', 'timed-out': '⧗' }

function sampleHtml(sample: ReportSample, name: string, largest: number, most: number): Html {
  const { tokens, logprobs, token_weights, verdict, reward, finish_reason } = sample
  const total = logprobs.reduce((sum, logprob) => sum + logprob, 0)
  const facts = [
    `reward ${reward === null ? 'none' : significant(reward)}`,
    `log-prob ${significant(total)}`,
    weightRange(token_weights),
    finish_reason === 'length' ? 'cut at the length limit' : finish_reason === 'cancelled' ? 'cancelled' : '',
  ].filter((fact) => fact !== '')
  const shown = tokens.slice(0, most)
  const rest = tokens.length - shown.length
  return html`<li><p class="facts"><span class="verdict ${verdict}">${MARKS[verdict]} ${verdict}</span> ${facts.join(' · ')}</p><div class="tokens" role="group" tabindex="0" aria-label="${name}, ${verdict}: ${shown.length} tokens">${shown.map((token, i) => tokenHtml(token, logprobs[i]!, token_weights?.[i], largest))}${rest > 0 && html` <span class="note">… ${rest} more tokens</span>`}</div></li>`
}

function tokenHtml(token: string, logprob: number, weight: number | undefined, largest: number): Html {
  const probability = Math.exp(Math.min(0, logprob))
  const numbers = `log-prob ${significant(logprob)} (p ${probability.toFixed(3)})`
  const title = weight === undefined ? numbers : `${numbers}, weight ${signed(weight)}`
  const side = weight === undefined || weight === 0 ? '' : weight > 0 ? ' up' : ' down'
  const strength = side === '' ? '' : `--w:${(Math.abs(weight!) / largest).toFixed(2)};`
  return html`<span class="t${side}" style="${strength}--p:${probability.toFixed(2)}" title="${title}">${visible(token)}</span>`
}

/** Tokens that would not show: line ends, blanks and nothing at all get a sign; a line end still ends the line. */
function visible(token: string): string {
  if (token === '') return '∅'
  if (token.trim() !== '') return token
  return token.replace(/ /g, '␣').replace(/\t/g, '⇥').replace(/\r?\n/g, '⏎\n')
}

function weightRange(weights: readonly number[] | undefined): string {
  if (weights === undefined || weights.length === 0) return ''
  const low = weights.reduce((a, b) => Math.min(a, b))
  const high = weights.reduce((a, b) => Math.max(a, b))
  return low === high ? `token weight ${signed(low)}` : `token weights ${signed(low)} to ${signed(high)}`
}

function signed(value: number): string {
  return value > 0 ? `+${significant(value)}` : significant(value)
}
