import { type ChartView, methodChannel } from './draw.ts'
import { CHART_INK, type MethodStyle } from './palette.ts'
import type { Panel, Series } from './series.ts'

export interface DynamicsChartSize {
  width: number
  height: number
}

/** One panel of the training dynamics: a bold smoothed mean a method over thin lines, one a run. */
export function dynamicsView(
  panel: Panel,
  series: readonly Series[],
  styles: readonly MethodStyle[],
  { width, height }: DynamicsChartSize,
): ChartView {
  const points = (lines: readonly Series[]) =>
    lines.flatMap(({ method, seed, points: line }) =>
      line.map(({ step, value }) => ({ method, seed, step: rounded(step), value: rounded(value) })),
    )
  const x = {
    field: 'step',
    type: 'quantitative',
    scale: { nice: false, zero: false },
    axis: { title: 'step', tickCount: 5, grid: false, format: 'd' },
  }
  const y = {
    field: 'value',
    type: 'quantitative',
    scale: { zero: false, nice: true },
    // A fixed extent: panels of one size, whatever their labels.
    axis: { title: null, tickCount: 4, format: panel.format, minExtent: 40, maxExtent: 40 },
  }
  const colour = methodChannel(styles, (style) => style.colour.light)
  const dash = methodChannel(styles, (style) => (style.dash.length === 0 ? [1, 0] : style.dash))
  const means = series.filter((line) => line.seed === null)
  const sparse = means.every((line) => line.points.length <= 30)
  return {
    width,
    height,
    layer: [
      titleLayer(panel.title),
      {
        data: { values: points(series.filter((line) => line.seed !== null)) },
        mark: { type: 'line', strokeWidth: 0.8, opacity: 0.3 },
        encoding: { x, y, color: colour, detail: [{ field: 'method' }, { field: 'seed' }] },
      },
      {
        data: { values: points(means) },
        mark: { type: 'line', strokeWidth: 2, ...(sparse ? { point: { size: 22, filled: true } } : {}) },
        encoding: { x, y, color: colour, strokeDash: dash },
      },
    ],
  }
}

/** The panel's title at a fixed place; vega's own moves with the height of the axis labels. */
function titleLayer(title: string): ChartView {
  const text = { type: 'text', align: 'left', fontSize: 12.5, fontWeight: 600, color: CHART_INK.text.light }
  return {
    data: { values: [{}] },
    mark: text,
    encoding: { x: { value: 0 }, y: { value: -16 }, text: { value: title } },
  }
}

/** Enough digits to draw by. */
function rounded(value: number): number {
  return Number(value.toPrecision(6))
}
