import { excludesZero } from '../statistics/compare-methods.ts'
import type { SetAnalysis } from './analysis.ts'
import { readMetric } from './charts/series.ts'
import { percent, points } from './numbers.ts'
import type { ReportData } from './report-data.ts'

/** A part of the reading: what it speaks of, and its statements. */
export interface ReadingPart {
  heading: string
  statements: Statement[]
}

/** A statement with the few words that it is about, which may be empty. */
export interface Statement {
  lead: string
  text: string
}

/**
 * The reading of the results in words, made from the numbers alone: the methods' order at k = 1 and at the largest k
 * on each held-out set, which differences have an interval that leaves out 0, gains and losses against the base
 * policy, and how entropy moved in training.
 */
export function readResults(data: ReportData, analyses: readonly SetAnalysis[]): ReadingPart[] {
  const parts = analyses.map((analysis) => readSet(data, analysis))
  const entropy = readEntropy(data)
  if (entropy !== undefined) parts.push({ heading: 'Training', statements: [entropy] })
  parts.push({ heading: 'How sure', statements: howSure(data, analyses) })
  return parts
}

function howSure(data: ReportData, analyses: readonly SetAnalysis[]): Statement[] {
  const pairs = analyses[0]!.comparison.differences.length
  const level = data.bootstrap?.level ?? 0.95
  let text =
    `Intervals are ${Number((100 * level).toFixed(1))} % bootstrap intervals over prompts, given these trained ` +
    'policies: they say what other prompts of the kind would have given, not what other training seeds would have.'
  if (pairs > 1) {
    const byChance = Number(((1 - level) * pairs).toPrecision(2))
    text += ` They are not corrected for the number of comparisons: of ${pairs} pairs that do not differ, about `
    text += `${byChance} would seem to at each k.`
  }
  return [{ lead: '', text }, ...clockStatements(data)]
}

/** Which trainings nobody can regenerate, because the clock gave some of their verdicts. */
function clockStatements(data: ReportData): Statement[] {
  const counts = data.methods.map(({ label, runs }) => {
    const lines = runs.flatMap((run) => readMetric(run.metrics ?? [], ['clock_verdicts']))
    return { label, verdicts: lines.reduce((sum, { value }) => sum + value, 0) }
  })
  const marked = counts.filter(({ verdicts }) => verdicts > 0)
  if (marked.length === 0) return []
  const which = marked.map(({ label, verdicts }) => `${label} (${verdicts})`).join(', ')
  const text = `The deadline or the memory cap gave verdicts in training: ${which}. The same seeds may end elsewhere.`
  return [{ lead: 'Not regenerable', text }]
}

function readSet(data: ReportData, analysis: SetAnalysis): ReadingPart {
  const { ks } = analysis.comparison
  const last = ks[ks.length - 1]!
  const ends = last === 1 ? [1] : [1, last]
  return {
    heading: analysis.set.label,
    statements: [
      { lead: '', text: `${sizeOf(data, analysis)}.` },
      ...ends.map((k) => ({
        lead: atK(k),
        text: [`${orderAt(data, analysis, k)}.`, ...separationAt(data, analysis, k)].join(' '),
      })),
      ...againstBase(data, analysis, ends),
    ],
  }
}

function sizeOf(data: ReportData, { prompts, samples }: SetAnalysis): string {
  const [smallest, largest] = samples
  const drawn = smallest === largest ? count(largest, 'sample') : `${smallest} to ${largest} samples`
  const seeds = Math.max(...data.methods.map((method) => method.runs.length))
  return `${count(prompts, 'held-out prompt')}, ${drawn} each, ${count(seeds, 'training seed')}`
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}

function atK(k: number): string {
  return `k\u00a0=\u00a0${k}`
}

/** The method's label, kept on one line. */
function nameOf(data: ReportData, method: number): string {
  return data.methods[method]!.label.replaceAll(' ', '\u00a0').replaceAll('-', '\u2011')
}

/** Best first: `NSR 33.6, GRPO 29.6 and base 18.0 %`. */
function orderAt(data: ReportData, { comparison }: SetAnalysis, k: number): string {
  const ranked = data.methods
    .map((_, i) => ({ name: nameOf(data, i), mean: comparison.tables[i]![k]!.mean }))
    .sort((a, b) => b.mean - a.mean)
  return `${listOf(ranked.map(({ name, mean }) => `${name}\u00a0${percent(mean)}`))}\u00a0%`
}

/** How many pairs have an interval without 0, naming the shorter of the two lists. */
function separationAt(data: ReportData, analysis: SetAnalysis, k: number): string[] {
  const { ks, differences } = analysis.comparison
  if (differences.length === 0) return []
  const pairs = differences.map(({ a, b, table }, pair) => ({
    // Named from the better to the worse.
    order: (table[k]!.mean >= 0 ? [a, b] : [b, a]).map((method) => nameOf(data, method)).join(' over '),
    names: `${nameOf(data, a)} and ${nameOf(data, b)}`,
    apart: excludesZero(table[k]!),
    sameSign: analysis.sameSignInAllSeeds[pair]![ks.indexOf(k)]!,
  }))
  const apart = pairs.filter((pair) => pair.apart)
  const together = pairs.filter((pair) => !pair.apart)
  const subject = 'The interval of the paired difference'
  const sentences: string[] = []
  if (pairs.length === 1) {
    sentences.push(`${subject} ${apart.length === 1 ? 'excludes' : 'includes'} 0.`)
  } else if (together.length === 0) {
    sentences.push(`${subject} excludes 0 for all ${pairs.length} pairs.`)
  } else if (apart.length === 0) {
    sentences.push(`${subject} includes 0 for all ${pairs.length} pairs.`)
  } else {
    const named =
      apart.length <= together.length
        ? apart.map((pair) => pair.order).join('; ')
        : `not separated are ${together.map((pair) => pair.names).join('; ')}`
    sentences.push(`${subject} excludes 0 for ${apart.length} of ${pairs.length} pairs: ${named}.`)
  }
  const unsteady = apart.filter((pair) => pair.sameSign === false)
  if (unsteady.length > 0) {
    sentences.push(
      `Yet the sign is not the same in every training seed for ${unsteady.map((pair) => pair.order).join('; ')}.`,
    )
  }
  return sentences
}

/** Which trained methods lie above or below the base policy, where the interval settles it. */
function againstBase(data: ReportData, { comparison }: SetAnalysis, ks: readonly number[]): Statement[] {
  const base = data.methods.findIndex((method) => method.base === true)
  if (base < 0 || data.methods.length < 2) return []
  const sentences = ks.map((k) => {
    const groups: Record<'above it' | 'below it' | 'not told apart', string[]> = {
      'above it': [],
      'below it': [],
      'not told apart': [],
    }
    for (const { a, b, table } of comparison.differences) {
      if (a !== base && b !== base) continue
      const gain = (a === base ? -1 : 1) * table[k]!.mean
      const text = `${nameOf(data, a === base ? b : a)}\u00a0${points(gain)}`
      if (!excludesZero(table[k]!)) groups['not told apart'].push(text)
      else groups[gain > 0 ? 'above it' : 'below it'].push(text)
    }
    const clauses = Object.entries(groups)
      .filter(([, items]) => items.length > 0)
      .map(([where, items]) => `${where} ${listOf(items)}`)
    return `At ${atK(k)}, in points: ${clauses.join('; ')}.`
  })
  return [{ lead: `Against ${nameOf(data, base)}`, text: sentences.join(' ') }]
}

/** Entropy in the first and in the last tenth of training, mean over seeds. */
function readEntropy(data: ReportData): Statement | undefined {
  const moves = data.methods.flatMap((method, i) => {
    const ends = method.runs.flatMap((run) => {
      const values = readMetric(run.metrics ?? [], ['entropy']).map((point) => point.value)
      const tenth = Math.ceil(values.length / 10)
      return values.length < 2 ? [] : [[mean(values.slice(0, tenth)), mean(values.slice(-tenth))] as const]
    })
    if (ends.length === 0) return []
    const first = mean(ends.map(([start]) => start))
    const last = mean(ends.map(([, end]) => end))
    return [`${nameOf(data, i)} ${first.toFixed(2)} to ${last.toFixed(2)}`]
  })
  if (moves.length === 0) return undefined
  return {
    lead: 'Entropy',
    text: `Nats a token in the rollouts, mean of the first and of the last tenth of the steps: ${listOf(moves)}.`,
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b) / values.length
}

function listOf(items: readonly string[]): string {
  if (items.length < 2) return items[0] ?? ''
  return `${items.slice(0, -1).join(', ')} and ${items[items.length - 1]}`
}
