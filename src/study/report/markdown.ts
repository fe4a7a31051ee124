import { duration, percent, points, significant } from '../../report/numbers.ts'
import type { MeanInterval } from '../../statistics/bootstrap.ts'
import { excludesZero, type MethodComparison } from '../../statistics/compare-methods.ts'
import { pairedDifferenceTable } from '../../statistics/pass-at-k-table.ts'
import type { StudyRecord } from '../record.ts'
import type { StudySettings } from '../settings.ts'
import { type Finding, type JudgedClaim, VERDICT_RULE } from './claims.ts'
import { compareGroup, countsOn, isReported, type StudyGroup } from './groups.ts'

// The study's words and tables as Markdown. Every number is of the records.

export type Row = readonly string[]

/** Numbers stand to the right, below one another; a table of words to the left. */
export function table(header: Row, rows: readonly Row[], cells: 'numbers' | 'words' = 'numbers'): string {
  const line = (row: Row) => `| ${row.join(' | ')} |`
  const rule = header.map((_, i) => (i === 0 || cells === 'words' ? '---' : '---:'))
  return [line(header), line(rule), ...rows.map(line)].join('\n')
}

function inPoints({ mean, low, high }: MeanInterval): string {
  const text = `${points(mean)} (${points(low)} to ${points(high)})`
  return excludesZero({ mean, low, high }) ? `**${text}**` : text
}

/** Which runs are there, which are not and why, and what they took. */
export function coverageText(groups: readonly StudyGroup[], records: readonly StudyRecord[]): string {
  const rows = groups.map((group) => {
    const labels = group.methods.map(({ label }) => label).join(', ')
    const there = group.seeds.length === 0 ? 'none' : `${labels}: ${seedsText(group.seeds)}`
    return [
      group.arm.title,
      `${group.task.label}, ${group.base.label}`,
      there,
      missingText(group) || 'nothing',
    ]
  })
  const seconds = records.reduce((sum, { seconds: { train, evaluate } }) => sum + train + evaluate, 0)
  const timed = records.flatMap(({ seconds: { processor } }) => (processor === undefined ? [] : [processor]))
  const processor = timed.reduce((sum, one) => sum + one, 0)
  const machines = [...new Set(records.map(({ environment }) => environment.machine))]
  const commits = [...new Set(records.map(({ environment }) => environment.commit))]
  return [
    `${records.length} runs recorded, ${duration(seconds)} of wall time in all their processes, ${duration(processor)} of processor time in the ${timed.length} that tell it, on ${machines.join(', ') || 'no machine yet'}; commits ${commits.join(', ') || 'none'}.`,
    'Methods are compared over the seeds that all of a row have.',
    table(['arm', 'task and base policy', 'compared', 'missing'], rows, 'words'),
  ].join('\n\n')
}

/** Methods that lack the same seeds, or lack them for the same reason, in one breath. */
function missingText({ missing }: StudyGroup): string {
  const byReason = new Map<string, string[]>()
  for (const { method, seeds, pending } of missing) {
    const reason = pending ?? seedsText(seeds)
    byReason.set(reason, [...(byReason.get(reason) ?? []), method])
  }
  return [...byReason].map(([reason, methods]) => `${methods.join(', ')}: ${reason}`).join('; ')
}

function seedsText(seeds: readonly number[]): string {
  return `seed${seeds.length === 1 ? '' : 's'} ${seeds.join(', ')}`
}

/** NSR minus PSR in every arm that has both: what the difference needs, and where it turns round. */
export function separationText(groups: readonly StudyGroup[]): string {
  const names = ['psr', 'nsr']
  const found = groups.filter(
    (group) => isReported(group) && names.every((name) => group.methods.some((one) => one.name === name)),
  )
  if (found.length === 0) return 'No arm has both yet.'
  const ks = compareGroup(found[0]!)[0]!.comparison.ks
  const rows = found.flatMap((group) => {
    const [psr, nsr] = names.map((name) => group.methods.find((one) => one.name === name)!)
    const solved = [psr, nsr].map((method) => percent(meanOf(method!.records.map(lastAccuracy))))
    return group.task.sets.map(({ name, label }) => {
      const counts = [nsr, psr].map((method) => method!.records.map((record) => countsOn(record, name)))
      const difference = pairedDifferenceTable(counts[0]!, counts[1]!, ks)
      return [
        group.arm.title,
        `${group.task.label}, ${group.base.label}, ${label}`,
        seedsText(group.seeds),
        ...ks.map((k) => inPoints(difference[String(k)]!)),
        solved.join(' / '),
      ]
    })
  })
  const header = ['arm', 'where', 'seeds', ...ks.map((k) => `k = ${k}`), 'right at the end, PSR / NSR']
  return `NSR minus PSR in points, and the share of right training rollouts over the last fortieth of the steps.\n\n${table(header, rows)}`
}

function lastAccuracy({ series }: StudyRecord): number {
  return series.accuracy?.findLast((value) => value !== null) ?? 0
}

export function claimsText(judged: readonly JudgedClaim[]): string {
  const rows = judged.map(({ claim, findings, verdict, soFar }) => {
    const count = (holds: string) => findings.filter((one) => one.holds === holds).length
    const tally =
      findings.length === 0 ? '' : `${count('yes')} hold, ${count('no')} fail, ${count('open')} open`
    return [claim.text, claim.source, tally, `${soFar ? 'so far ' : ''}**${verdict}**`]
  })
  const details = judged
    .filter(({ findings }) => findings.length > 0)
    .map(({ claim, findings }) => {
      const isShare = claim.difference.of !== 'entropy'
      const lines = findings.map((finding) => [
        finding.where,
        String(finding.seeds),
        findingText(finding, isShare),
        finding.holds,
      ])
      return `${claim.text}${isShare ? ', in points' : ', in nats'}:\n\n${table(['where', 'seeds', 'difference', 'holds'], lines)}`
    })
  return [VERDICT_RULE, table(['claim', 'source', 'findings', 'verdict'], rows, 'words'), ...details].join(
    '\n\n',
  )
}

function findingText({ interval, over }: Finding, isShare: boolean): string {
  const { mean, low, high } = interval
  const text = isShare ? points : significant
  if (over === 'nothing') return text(mean)
  return isShare ? inPoints(interval) : `${text(mean)} (${text(low)} to ${text(high)})`
}

/** For each k the method with the highest mean, and those that the paired difference does not tell from it. */
export function choiceText(groups: readonly StudyGroup[]): string {
  const compared = groups
    .filter((group) => group.arm.name === 'core' && isReported(group))
    .flatMap((group) => compareGroup(group).map((one) => ({ group, ...one })))
  if (compared.length === 0) return 'Nothing to choose from yet.'
  const { ks } = compared[0]!.comparison
  const rows = compared.map(({ group, set, comparison }) => {
    const { label } = group.task.sets.find(({ name }) => name === set)!
    return [
      `${group.task.label}, ${group.base.label}, ${label}`,
      ...ks.map((k) => bestAt(comparison, group, k)),
    ]
  })
  return table(['at', ...ks.map((k) => `k = ${k}`)], rows, 'words')
}

function bestAt(comparison: MethodComparison, { methods }: StudyGroup, k: number): string {
  const labels = ['Base', ...methods.map(({ label }) => label)]
  const means = comparison.tables.map((one) => one[String(k)]!.mean)
  const best = means.indexOf(Math.max(...means))
  const level = labels.filter((_, i) => {
    if (i === best) return false
    const pair = comparison.differences.find(
      ({ a, b }) => (a === best && b === i) || (a === i && b === best),
    )!
    return !excludesZero(pair.table[String(k)]!)
  })
  return `${labels[best]}${level.length === 0 ? '' : ` (${level.join(', ')})`}`
}

/** pass@k and its paired differences, and how the training went. */
export function groupText(group: StudyGroup): string {
  const { arm, task, base, seeds, methods } = group
  const parts = compareGroup(group).flatMap(({ set, comparison }) => {
    const { label, description } = task.sets.find(({ name }) => name === set)!
    const labels = ['Base', ...methods.map((method) => method.label)]
    const { ks, tables, differences } = comparison
    const header = (first: string) => [first, ...ks.map((k) => `k = ${k}`)]
    const shares = tables.map((one, i) => [
      labels[i]!,
      ...ks.map((k) => {
        const { mean, low, high } = one[String(k)]!
        return `${percent(mean)} (${percent(low)} to ${percent(high)})`
      }),
    ])
    const pairs = differences.map(({ a, b, table: of }) => [
      `${labels[a]} minus ${labels[b]}`,
      ...ks.map((k) => inPoints(of[String(k)]!)),
    ])
    return [
      `pass@k in percent on ${label} (${description.replace(/\.$/, '')}):`,
      table(header('method'), shares),
      'Paired differences in points, bold where the interval excludes 0:',
      table(header('pair'), pairs),
    ]
  })
  const title = `### ${arm.title}: ${task.label}, ${base.label}`
  const asked = `${arm.question} Seeds ${seeds.join(', ')}; ${methods[0]!.records[0]!.identity.training!.steps} steps.`
  return [
    title,
    asked,
    ...parts,
    'Training, mean of the seeds, first and last fortieth of the steps:',
    dynamics(group),
  ].join('\n\n')
}

const DYNAMICS: readonly (readonly [title: string, key: string, text: (value: number) => string])[] = [
  ['entropy, nats', 'entropy', significant],
  ['right', 'accuracy', percent],
  ['fully solved', 'frac_all_right', percent],
  ['greedy, tuning prompts', 'greedy_accuracy', percent],
  ['rows kept', 'kept_rows', significant],
  ['updates', 'updates', significant],
  ['lost in bf16', 'lost_in_bf16', percent],
]

function dynamics({ methods }: StudyGroup): string {
  const rows = methods.map(({ label, records }) => [
    label,
    ...DYNAMICS.map(([, key, text]) => {
      const ends = [0, -1].map((at) =>
        records.flatMap(({ series }) => {
          const known = series[key]?.filter((value) => value !== null) ?? []
          return known.length === 0 ? [] : [known.at(at)!]
        }),
      )
      return ends.some((values) => values.length === 0)
        ? ''
        : ends.map((values) => text(meanOf(values))).join(' to ')
    }),
    percentOfClipped(records),
  ])
  return table(['method', ...DYNAMICS.map(([title]) => title), 'clipped tokens, mean'], rows)
}

function percentOfClipped(records: readonly StudyRecord[]): string {
  const shares = records.flatMap(({ series }) =>
    (series['clip_ratio/low_mean'] ?? []).map(
      (low, i) => (low ?? 0) + (series['clip_ratio/high_mean']?.[i] ?? 0),
    ),
  )
  return shares.length === 0 ? '' : `${(100 * meanOf(shares)).toFixed(2)} %`
}

export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

export function notesText({ notes }: StudySettings): string {
  return notes.map((note) => `- ${note}`).join('\n')
}
