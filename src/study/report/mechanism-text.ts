import { significant } from '../../report/numbers.ts'
import { bootstrapMeans, type MeanInterval } from '../../statistics/bootstrap.ts'
import { excludesZero } from '../../statistics/compare-methods.ts'
import type { GradientRecord } from '../mechanism/gradient-study.ts'
import { TABULAR_KS, type TabularMethod } from '../mechanism/tabular.ts'
import type { TabularRecord } from '../mechanism/tabular-study.ts'
import type { GradientStudy } from '../settings.ts'
import { meanOf, table } from './markdown.ts'

/** Cosine and norm ratio of the two gradients, by number of rollouts. */
export function gradientText(
  cells: readonly { cell: GradientStudy['cells'][number]; record: GradientRecord | undefined }[],
): string {
  const known = cells.flatMap(({ cell, record }) => (record?.result ?? []).map((point) => ({ cell, point })))
  const missing = cells.filter(({ record }) => record === undefined)
  const sizes = known[0]?.point.levels.map(({ rollouts }) => rollouts).filter((_, i) => i % 2 === 0) ?? []
  const rows = known.map(({ cell, point }) => {
    const at = (rollouts: number) => point.levels.find((level) => level.rollouts === rollouts)!
    const cosine = (rollouts: number) => {
      const { cosine: mean, cosineDeviation } = at(rollouts)
      return mean.toFixed(2) + (cosineDeviation === null ? '' : ` ± ${cosineDeviation.toFixed(2)}`)
    }
    return [
      `${cell.task}, ${cell.base} base, ${point.step === 0 ? 'before training' : `${cell.method} after ${point.step} steps`}`,
      `${(100 * point.accuracy).toFixed(1)} %`,
      ...sizes.map(cosine),
      point.expectedCosine === null ? 'lost in noise' : point.expectedCosine.toFixed(3),
      point.levels.at(-1)!.normRatio.toFixed(2),
    ]
  })
  return [
    'Cosine of the summed gradients of PSR and NSR over the same rollouts (mean and standard deviation over disjoint sets), the cosine of ' +
      'their expectations as two halves without a common rollout give it, and the norm of NSR’s gradient over that of PSR’s at the most rollouts.',
    rows.length === 0
      ? 'Nothing measured yet.'
      : table(['policy', 'right', ...sizes.map((n) => `${n} rollouts`), 'expected', 'norm NSR / PSR'], rows),
    ...(missing.length === 0
      ? []
      : [
          `Missing: ${missing.map(({ cell }) => `${cell.task} ${cell.base} along ${cell.method}`).join('; ')}.`,
        ]),
  ].join('\n\n')
}

/** Where the curves of the tabular form are compared: neither end of them. */
const GAP_K = 16

/** Held-out pass@k of the tabular policies, and what separates NSR from PSR, seed by seed. */
export function tabularText(record: TabularRecord | undefined): string {
  if (record === undefined) return 'The tabular form was not run yet.'
  const { settings, result } = record
  const ks = [TABULAR_KS[0], GAP_K, TABULAR_KS.at(-1)!]
  const of = (condition: number, method: TabularMethod) =>
    result[condition]![settings.methods.indexOf(method)]!.map(({ passAtK }) => passAtK[String(GAP_K)]!)
  const conditions = settings.conditions.map(({ title }, i) => {
    const psr = of(i, 'psr')
    return { title, gap: bootstrapMeans([of(i, 'nsr').map((value, seed) => value - psr[seed]!)])[0]!, i }
  })
  const rows = conditions.map(({ title, gap, i }) => {
    const cells = result[i]!.map((seeds) =>
      ks.map((k) => (100 * meanOf(seeds.map(({ passAtK }) => passAtK[String(k)]!))).toFixed(1)).join(' / '),
    )
    const text = `${(100 * gap.mean).toFixed(1)} (${(100 * gap.low).toFixed(1)} to ${(100 * gap.high).toFixed(1)})`
    return [title, ...cells, excludesZero(gap) ? `**${text}**` : text]
  })
  const titles = (holds: (gap: MeanInterval) => boolean) =>
    conditions.flatMap(({ title, gap }) => (holds(gap) ? [title] : [])).join('; ') || 'nowhere'
  const { strategies, good, steps, promptsPerStep, numGenerations } = settings.reference
  return [
    `One softmax over ${strategies} strategies, ${good} of them good, ${steps} steps of ${promptsPerStep} prompts x ${numGenerations} tries, ${settings.seeds.length} seeds; held-out ` +
      `pass@${ks.join(' / ')} in percent, exact; the last column is NSR minus PSR at k = ${GAP_K} in points with a 95 % interval over seeds. Each row changes the first by what it says. It took ${significant(record.seconds)} s.`,
    table(['setting', ...settings.methods.map((name) => name.toUpperCase()), 'NSR minus PSR'], rows),
    `NSR ahead: ${titles(({ low }) => low > 0)}.`,
    `PSR ahead: ${titles(({ high }) => high < 0)}.`,
    `Not told apart: ${titles((gap) => !excludesZero(gap))}.`,
  ].join('\n\n')
}
