import { createHash } from 'node:crypto'
import type { SetAnalysis } from '../analysis.ts'
import type { MethodStyle } from '../charts/palette.ts'
import { MAX_POINTS, smoothingSpan } from '../charts/series.ts'
import { duration } from '../numbers.ts'
import { type ReadingPart, readResults } from '../reading.ts'
import type { ReportData, ReportEnvironment, SettingsSection } from '../report-data.ts'
import { type Html, html, trusted } from './html.ts'
import { methodKey } from './key.ts'
import { samplesHtml } from './samples.ts'
import { REPORT_SCRIPT } from './script.ts'
import { reportStyle } from './style.ts'
import { differencesTableHtml, evaluationTableHtml, passAtKTableHtml, seedTableHtml } from './tables.ts'

/** Charts as SVG text, transparent, in the light colours. */
export interface PageCharts {
  /** One a held-out set, for wide and for narrow pages. */
  passAtK: { wide: string; narrow: string }[]
  dynamics: { title: string; svg: string }[]
}

/** The whole report as one HTML document that loads nothing. */
export function pageHtml(
  data: ReportData,
  analyses: readonly SetAnalysis[],
  styles: readonly MethodStyle[],
  charts: PageCharts,
): string {
  const samples = samplesHtml(data, styles)
  const parts: { id: string; title: string; body: Html }[] = [
    {
      id: 'reading',
      title: 'What came out',
      body: readingHtml(readResults(data, analyses), data.notes ?? []),
    },
    ...analyses.map((analysis, i) => ({
      id: `set-${i + 1}`,
      title: `Pass@k on ${analysis.set.label}`,
      body: setHtml(data, analysis, styles, charts.passAtK[i]!),
    })),
  ]
  if (charts.dynamics.length > 0) {
    parts.push({ id: 'training', title: 'Training', body: dynamicsHtml(data, styles, charts.dynamics) })
  }
  if (samples !== undefined) parts.push({ id: 'samples', title: 'Samples, token by token', body: samples })
  parts.push({
    id: 'settings',
    title: 'Settings',
    body: html`<div class="pairs">${data.settings.map(settingsHtml)}</div>`,
  })
  parts.push({ id: 'environment', title: 'Environment', body: environmentHtml(data.environment) })
  parts.push({ id: 'method', title: 'How the figures are made', body: methodHtml(data) })

  const script = createHash('sha256').update(REPORT_SCRIPT).digest('base64')
  const policy = `default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-${script}'`
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${trusted(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${data.title}</title>
<link rel="icon" href="data:,">
<style>${trusted(reportStyle())}</style>
</head>
<body>
<div class="sheet">
${headerHtml(data, parts)}
<main>
${parts.map((part) => html`<section class="part" id="${part.id}"><h2>${part.title}</h2>${part.body}</section>\n`)}
</main>
</div>
<script>${trusted(REPORT_SCRIPT)}</script>
</body>
</html>
`.text
}

function headerHtml(data: ReportData, parts: readonly { id: string; title: string }[]): Html {
  const { machine, commit, started_at, seeds } = data.environment
  const facts = [
    started_at?.replace('T', ' ').replace(/\.\d+/, '').replace(/Z$/, ' UTC'),
    machine,
    `commit ${commit.slice(0, 12)}`,
    `${seeds.length === 1 ? 'seed' : 'seeds'} ${seeds.join(', ')}`,
  ]
  return html`<header>
<p class="eyebrow">coppice report</p>
<h1>${data.title}</h1>
<p class="summary">${data.summary}</p>
<p class="note">${facts.filter((fact) => fact !== undefined).map((fact) => html`<span>${fact}</span>`)}</p>
<nav aria-label="Contents"><ul>${parts.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>
</header>`
}

function readingHtml(parts: readonly ReadingPart[], notes: readonly string[]): Html {
  return html`<div class="reading">${parts.map(
    ({ heading, statements }) =>
      html`<div><h3>${heading}</h3>${statements.map(
        ({ lead, text }) => html`<p>${lead !== '' && html`<b>${lead}.</b> `}${text}</p>`,
      )}</div>`,
  )}${notes.length > 0 && html`<div><h3>Notes</h3>${notes.map((note) => html`<p>${note}</p>`)}</div>`}</div>`
}

function setHtml(
  data: ReportData,
  analysis: SetAnalysis,
  styles: readonly MethodStyle[],
  chart: { wide: string; narrow: string },
): Html {
  const label = `pass@k against k on ${analysis.set.label} for ${data.methods.map((m) => m.label).join(', ')}; the table below has the figures`
  const seeds = data.methods.some((method) => method.runs.length > 1) ? ', thin lines the training seeds' : ''
  return html`${analysis.set.description && html`<p>${analysis.set.description}</p>`}
<figure>${methodKey(data.methods, styles)}
<div class="chart plot wide" role="img" aria-label="${label}">${trusted(chart.wide)}</div>
<div class="chart plot narrow" role="img" aria-label="${label}">${trusted(chart.narrow)}</div>
<figcaption class="note">Bands are the intervals over prompts${seeds}.</figcaption></figure>
${passAtKTableHtml(data, analysis, styles)}
${differencesTableHtml(data, analysis)}
${evaluationTableHtml(data, analysis, styles)}
${seedTableHtml(data, analysis, styles)}`
}

function dynamicsHtml(
  data: ReportData,
  styles: readonly MethodStyle[],
  panels: readonly { title: string; svg: string }[],
): Html {
  const trained = data.methods.map((method) => method.runs.some((run) => (run.metrics ?? []).length > 0))
  const steps = Math.max(
    ...data.methods.flatMap((method) => method.runs.map((run) => run.metrics?.length ?? 0)),
  )
  const thinned = steps > MAX_POINTS ? ` Longer runs are averaged to ${MAX_POINTS} points a line.` : ''
  const span = smoothingSpan(steps)
  const smoothed = span > 1 ? `, smoothed over ${span} logged steps` : ''
  return html`<p class="note">Bold: mean over training seeds${smoothed}. Thin: each seed as logged.${thinned}</p>
${methodKey(
  data.methods.filter((_, i) => trained[i]),
  styles.filter((_, i) => trained[i]),
)}
<div class="panels">${panels.map(
    ({ title, svg }) =>
      html`<figure class="chart" role="img" aria-label="${title}, by training step and method">${trusted(svg)}</figure>`,
  )}</div>`
}

function settingsHtml({ title, values }: SettingsSection): Html {
  return html`<section><h3>${title}</h3>${pairsTable(Object.entries(values).map(([name, value]) => [name, String(value ?? '–')]))}</section>`
}

function environmentHtml(environment: ReportEnvironment): Html {
  const { machine, cores, threads, instruction_set, device, dtype, commit, versions, seeds, started_at } =
    environment
  const facts: [string, string | undefined][] = [
    ['machine', machine],
    ['cores', String(cores)],
    ['threads', threads === undefined ? undefined : String(threads)],
    ['instruction set', instruction_set],
    ['device', device],
    ['dtype', dtype],
    ['commit', commit],
    ['seeds', seeds.join(', ')],
    ['started', started_at],
  ]
  const total = environment.phases.reduce((sum, phase) => sum + phase.seconds, 0)
  const phases = environment.phases.map(
    ({ name, seconds }) =>
      html`<tr><th scope="row">${name}<span class="bar" style="width:${((100 * seconds) / total).toFixed(1)}%"></span></th><td>${duration(seconds)}</td></tr>`,
  )
  return html`<div class="pairs">
<section><h3>Machine and source</h3>${pairsTable(facts.filter((fact): fact is [string, string] => fact[1] !== undefined))}</section>
<section><h3>Versions</h3>${pairsTable(Object.entries(versions))}</section>
${phases.length > 0 && html`<section><h3>Time by phase</h3><table><tbody>${phases}</tbody><tfoot><tr><th scope="row">total</th><td>${duration(total)}</td></tr></tfoot></table></section>`}
</div>`
}

function pairsTable(pairs: readonly (readonly [string, string])[]): Html {
  return html`<table><tbody>${pairs.map(([name, value]) => html`<tr><th scope="row">${name}</th><td>${value}</td></tr>`)}</tbody></table>`
}

function methodHtml(data: ReportData): Html {
  const { resamples = 10_000, seed = 0, level = 0.95 } = data.bootstrap ?? {}
  return html`<p>pass@k is the chance that at least one of k completions is right. From n sampled completions of a prompt, c of them right, it is estimated without bias as 1 − C(n−c, k) / C(n, k) and averaged over prompts.</p>
<p>Intervals are percentile bootstrap intervals at level ${level}: prompts are drawn with replacement ${resamples.toLocaleString('en-US')} times (seed ${seed}), the same prompts for every method, and the interval spans the middle of the resampled means. With several training seeds a prompt’s value is averaged over them first. A paired difference is taken prompt by prompt before averaging. Where every prompt is solved an interval has no width; that is no proof.</p>
<p>A token’s weight is its advantage × mask / denominator, the factor w of −w · log π(token) in the loss; positive weights raise the token’s log-prob. Log-probs are those of sampling, in nats.</p>`
}
