import type { MetricsRow, ReportData, ReportMethod } from '../report-data.ts'

/** A panel of the training dynamics: one metric of metrics.jsonl, or the sum of several. */
export interface Panel {
  keys: string[]
  title: string
  /** d3 format of the axis. */
  format: string
  /** Left out unless some value differs from 0. */
  onlyIfUsed?: boolean
}

export interface SeriesPoint {
  step: number
  value: number
}

/** One line of a panel. */
export interface Series {
  /** Index of the method. */
  method: number
  /** The run's seed, or null for the mean over runs. */
  seed: number | null
  points: SeriesPoint[]
}

/** What training is watched by, in the order of the report; panels without data are left out. */
export const PANELS: readonly Panel[] = [
  { keys: ['reward'], title: 'Reward, mean of the batch', format: '~r' },
  { keys: ['accuracy'], title: 'Correct samples, share of the batch', format: '~%' },
  { keys: ['frac_all_right'], title: 'Prompts fully solved, share', format: '~%' },
  { keys: ['greedy_accuracy'], title: 'Greedy accuracy, held-out', format: '~%' },
  { keys: ['entropy'], title: 'Entropy, nats a token', format: '~r' },
  { keys: ['clip_ratio/low_mean', 'clip_ratio/high_mean'], title: 'Clipped tokens, share', format: '~%' },
  { keys: ['grad_norm'], title: 'Gradient norm, before clipping', format: '~r' },
  { keys: ['completions/mean_length'], title: 'Completion length, tokens', format: '~r' },
  { keys: ['updates'], title: 'Optimiser updates a batch', format: '~r' },
  { keys: ['kept_rows'], title: 'Rows kept for the update', format: '~r' },
  { keys: ['frac_reward_zero_std'], title: 'Groups without contrast, share', format: '~%' },
  {
    keys: ['lost_in_bf16'],
    title: 'Update that bf16 would lose, share',
    format: '~%',
    onlyIfUsed: true,
  },
  { keys: ['kl'], title: 'KL to the reference policy', format: '~g', onlyIfUsed: true },
]

/** Most points that a line keeps; longer runs are averaged over equal spans of rows. */
export const MAX_POINTS = 120

/**
 * A panel's lines: one a run as logged (thinned by averaging where longer than MAX_POINTS), and one a method with
 * the mean over its runs, smoothed by a centred moving mean. Rows in which the metric is absent or not finite are
 * skipped.
 */
export function panelSeries(panel: Panel, methods: readonly ReportMethod[]): Series[] {
  return methods.flatMap((method, index) => {
    const runs = method.runs
      .map((run) => ({ seed: run.seed, points: readMetric(run.metrics ?? [], panel.keys) }))
      .filter((run) => run.points.length > 0)
    if (runs.length === 0) return []
    const mean = meanOverRuns(runs.map((run) => run.points))
    return [
      ...runs.map((run) => ({ method: index, seed: run.seed, points: thin(run.points) })),
      { method: index, seed: null, points: thin(smooth(mean, smoothingSpan(mean.length))) },
    ]
  })
}

/** The panels that have something to show, with their lines. */
export function usedPanels(data: ReportData): { panel: Panel; series: Series[] }[] {
  return PANELS.map((panel) => ({ panel, series: panelSeries(panel, data.methods) })).filter(
    ({ panel, series }) =>
      series.length > 0 &&
      (panel.onlyIfUsed !== true || series.some((s) => s.points.some((p) => p.value !== 0))),
  )
}

/** Steps averaged into each point of the bold lines: about a twentieth of the run, odd, at least 1. */
export function smoothingSpan(steps: number): number {
  return 2 * Math.floor(steps / 40) + 1
}

/** The metric's values by step; with several keys their sum, over those present. */
export function readMetric(rows: readonly MetricsRow[], keys: readonly string[]): SeriesPoint[] {
  return rows.flatMap((row) => {
    const values = keys
      .map((key) => row[key])
      .filter((value) => typeof value === 'number' && Number.isFinite(value))
    if (values.length === 0) return []
    return [{ step: row.step, value: (values as number[]).reduce((a, b) => a + b) }]
  })
}

/** Mean by step over the runs that logged that step. */
function meanOverRuns(runs: readonly SeriesPoint[][]): SeriesPoint[] {
  const byStep = new Map<number, number[]>()
  for (const points of runs) {
    for (const { step, value } of points) {
      const values = byStep.get(step)
      if (values === undefined) byStep.set(step, [value])
      else values.push(value)
    }
  }
  return [...byStep]
    .sort(([a], [b]) => a - b)
    .map(([step, values]) => ({ step, value: values.reduce((a, b) => a + b) / values.length }))
}

function smooth(points: readonly SeriesPoint[], span: number): SeriesPoint[] {
  const half = (span - 1) / 2
  // Windows are cut at the ends of the run.
  return points.map(({ step }, i) => ({
    step,
    value: meanValue(points.slice(Math.max(0, i - half), i + half + 1)),
  }))
}

function thin(points: readonly SeriesPoint[]): SeriesPoint[] {
  if (points.length <= MAX_POINTS) return [...points]
  return Array.from({ length: MAX_POINTS }, (_, i) => {
    const span = points.slice(
      Math.floor((i * points.length) / MAX_POINTS),
      Math.floor(((i + 1) * points.length) / MAX_POINTS),
    )
    return { step: span.reduce((sum, p) => sum + p.step, 0) / span.length, value: meanValue(span) }
  })
}

function meanValue(points: readonly SeriesPoint[]): number {
  return points.reduce((sum, p) => sum + p.value, 0) / points.length
}
