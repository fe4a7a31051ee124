import { environment, medianOf, quantileOf } from '../../index.ts'
import { significant } from '../bench/significant.ts'
import { formatBytes, textTable } from '../table.ts'
import type { CompareCase } from './cases.ts'
import type { MeasuredLine } from './contender-line.ts'
import type { Rounds } from './rounds.ts'

/** A contender as it ran, or did not. */
export interface Entry {
  contender: string
  variant: string
  /** The best one found, in words. */
  setting: string
  /** Setting to its least time in the probe, in milliseconds. */
  settingsTried: Readonly<Record<string, number>>
}

/** One line of the table. Times are medians over rounds of each round's own p20, p50 and p80, in milliseconds. */
export interface ComparisonRow {
  op: string
  shape: string
  dtype: string
  device: 'cpu'
  threads: number
  contender: string
  contender_variant: string
  machine: string
  commit: string
  date: string
  /** Why there is no figure of the contender; the figures below are then absent. */
  not_run?: string
  p20_ms?: number
  p50_ms?: number
  p80_ms?: number
  peak_rss_mib?: number
  /** Of coppice, where tokens are what counts. */
  tokens_per_second?: number
  isa?: string
  versions?: Readonly<Record<string, string>>
  contender_p20_ms?: number
  contender_p50_ms?: number
  contender_p80_ms?: number
  contender_peak_rss_mib?: number
  contender_tokens_per_second?: number
  contender_threads?: number
  contender_versions?: Readonly<Record<string, string>>
  contender_setting?: string
  contender_settings_tried?: Readonly<Record<string, number>>
  /** The contender's time over coppice's, the median over rounds: above 1 coppice is the quicker one. */
  ratio?: number
  ratio_low?: number
  ratio_high?: number
  rounds?: number
}

export function comparisonRow(asked: CompareCase, entry: Entry, rounds: Rounds): ComparisonRow {
  const { machine, commit } = environment()
  const { op, shape, dtype, threads } = asked
  const head = {
    ...{ op, shape, dtype, device: 'cpu' as const, threads },
    ...{ contender: entry.contender, contender_variant: entry.variant, machine, commit },
    date: new Date().toISOString().slice(0, 10),
  }
  if ('notRun' in rounds) return { ...head, not_run: rounds.notRun }
  const own = figuresOf(rounds.own)
  const theirs = figuresOf(rounds.theirs)
  const first = rounds.theirs[0]!
  return {
    ...head,
    ...own,
    ...{ isa: rounds.own[0]!.variant, versions: rounds.own[0]!.versions },
    ...(Object.fromEntries(
      Object.entries(theirs).map(([name, value]) => [`contender_${name}`, value]),
    ) as ContenderFigures),
    ...{ contender_threads: first.threads, contender_versions: first.versions },
    ...{ contender_setting: entry.setting, contender_settings_tried: entry.settingsTried },
    ...ratioOf(rounds.own, rounds.theirs),
    rounds: rounds.own.length,
  }
}

interface Figures {
  p20_ms: number
  p50_ms: number
  p80_ms: number
  peak_rss_mib: number
  tokens_per_second?: number
}

type ContenderFigures = { [Name in keyof Figures as `contender_${Name}`]: Figures[Name] }

function figuresOf(lines: readonly MeasuredLine[]): Figures {
  const overRounds = (share: number) => medianOf(lines.map(({ seconds }) => quantileOf(seconds, share)))
  const tokens = lines[0]!.tokens
  return {
    ...{ p20_ms: significant(1000 * overRounds(0.2)), p50_ms: significant(1000 * overRounds(0.5)) },
    p80_ms: significant(1000 * overRounds(0.8)),
    peak_rss_mib: significant(medianOf(lines.map((line) => line.peak_rss_mib))),
    ...(tokens > 0 && { tokens_per_second: Math.round(tokens / overRounds(0.5)) }),
  }
}

/** Each round's median against the other side's of the same round. */
export function ratioOf(
  own: readonly MeasuredLine[],
  theirs: readonly MeasuredLine[],
): { ratio: number; ratio_low: number; ratio_high: number } {
  const ratios = own.map((line, round) => medianOf(theirs[round]!.seconds) / medianOf(line.seconds))
  return {
    ratio: significant(medianOf(ratios)),
    ratio_low: significant(Math.min(...ratios)),
    ratio_high: significant(Math.max(...ratios)),
  }
}

const TABLE_HEADER = [
  ...['op', 'shape', 'dtype', 'coppice', 'contender', 'ratio', 'per round', 'memory', 'against'],
]

/** The rows for people; a ratio below 1 stands as it is. */
export function comparisonTable(rows: readonly ComparisonRow[]): string {
  return textTable([TABLE_HEADER, ...rows.map(cellsOf)], 'left')
}

function cellsOf(row: ComparisonRow): string[] {
  const { op, shape, dtype } = row
  const [version] = Object.entries(row.contender_versions ?? {})
  const name = [row.contender, version?.[1], row.contender_variant].filter(Boolean).join(' ')
  if (row.not_run !== undefined) {
    return [op, shape, dtype, '', '', '', '', '', `${name}: not run: ${row.not_run}`]
  }
  const memory = [row.peak_rss_mib!, row.contender_peak_rss_mib!].map((mib) => formatBytes(mib * 2 ** 20))
  return [
    ...[op, shape, dtype, timeCell(row.p50_ms!, row.tokens_per_second)],
    timeCell(row.contender_p50_ms!, row.contender_tokens_per_second),
    ...[row.ratio!.toFixed(2), `${row.ratio_low!.toFixed(2)} to ${row.ratio_high!.toFixed(2)}`],
    memory.join(' / '),
    `${name} (${row.contender_setting})`,
  ]
}

function timeCell(milliseconds: number, tokensPerSecond: number | undefined): string {
  const time = `${milliseconds} ms`
  return tokensPerSecond === undefined ? time : `${time}, ${tokensPerSecond} tokens/s`
}
