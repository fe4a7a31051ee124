import type { SetAnalysis } from '../analysis.ts'
import { percent } from '../numbers.ts'
import type { ReportMethod } from '../report-data.ts'
import { type ChartView, methodChannel } from './draw.ts'
import { CHART_INK, type MethodStyle } from './palette.ts'

export interface PassAtKChartSize {
  width: number
  height: number
  /** Name each curve at its right end; needs about 150 further pixels. */
  endLabels: boolean
  title?: string
}

const LABEL_HEIGHT = 15

/**
 * pass@k against k (log scale, base 2): a curve and an interval band a method, thin lines for its seeds where there
 * are several.
 */
export function passAtKView(
  methods: readonly ReportMethod[],
  { comparison }: SetAnalysis,
  styles: readonly MethodStyle[],
  size: PassAtKChartSize,
): ChartView {
  const { ks, tables, seedTables } = comparison
  const last = ks[ks.length - 1]!
  const curves = tables.flatMap((table, method) => ks.map((k) => ({ method, k, ...table[k]! })))
  const seeds = seedTables.flatMap((seedsOfMethod, method) =>
    seedsOfMethod.length < 2
      ? []
      : seedsOfMethod.flatMap((table, seed) => ks.map((k) => ({ method, seed, k, mean: table[k]!.mean }))),
  )
  const values = [...curves.flatMap(({ low, high }) => [low, high]), ...seeds.map(({ mean }) => mean)]
  const domain = yDomain(Math.min(...values), Math.max(...values))
  const x = {
    field: 'k',
    type: 'quantitative',
    scale: { type: 'log', base: 2, domain: [1, Math.max(2, last)], nice: false },
    axis: { values: ks, format: 'd', title: 'k, completions drawn (log scale)', grid: false },
  }
  const y = {
    field: 'mean',
    type: 'quantitative',
    scale: { domain, nice: false },
    axis: { format: '~%', title: 'pass@k', tickCount: 6 },
  }
  const colour = methodChannel(styles, (style) => style.colour.light)
  const dash = methodChannel(styles, (style) => (style.dash.length === 0 ? [1, 0] : style.dash))
  const shape = methodChannel(styles, (style) => style.shape)
  const layer: ChartView[] = [
    {
      data: { values: curves },
      mark: { type: 'area', opacity: 0.13 },
      encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' }, color: colour },
    },
    {
      data: { values: seeds },
      mark: { type: 'line', strokeWidth: 0.9, opacity: 0.55 },
      encoding: { x, y, color: colour, detail: [{ field: 'method' }, { field: 'seed' }] },
    },
    {
      data: { values: curves },
      mark: { type: 'line', strokeWidth: 2.2 },
      encoding: { x, y, color: colour, strokeDash: dash },
    },
    {
      data: { values: curves },
      mark: { type: 'point', filled: true, size: 42, opacity: 1 },
      encoding: { x, y, color: colour, shape },
    },
  ]
  if (size.endLabels)
    layer.push(
      ...endLabelLayers(
        methods,
        tables.map((table) => table[last]!.mean),
        domain,
        size,
        y,
        colour,
      ),
    )
  return {
    width: size.width,
    height: size.height,
    ...(size.title === undefined ? {} : { title: size.title }),
    layer,
  }
}

/** Whole tens of per cent around the values; from 0 unless all of them lie well above. */
function yDomain(least: number, most: number): [number, number] {
  const low = least < 0.3 ? 0 : Math.floor(least * 10 - 1e-9) / 10
  const high = Math.min(1, Math.ceil(most * 10 + 1e-9) / 10)
  return [Math.max(0, low), high > low ? high : low + 0.1]
}

/** Labels right of the curves' ends, moved apart where they would overlap, each tied to its end by a short line. */
function endLabelLayers(
  methods: readonly ReportMethod[],
  ends: readonly number[],
  domain: [number, number],
  { width, height }: PassAtKChartSize,
  y: object,
  colour: object,
): ChartView[] {
  const [low, high] = domain
  const scale = height / (high - low)
  const placed = spreadApart(
    ends.map((end) => (high - end) * scale),
    LABEL_HEIGHT,
    height,
  )
  const labels = methods.map((method, i) => ({
    method: i,
    mean: ends[i]!,
    at: high - placed[i]! / scale,
    text: `${method.label}  ${percent(ends[i]!)}`,
  }))
  const at = { ...y, field: 'at' }
  return [
    {
      data: { values: labels },
      mark: { type: 'rule', strokeWidth: 1, opacity: 0.7 },
      encoding: { x: { value: width + 6 }, x2: { value: width + 18 }, y, y2: { field: 'at' }, color: colour },
    },
    {
      data: { values: labels },
      mark: { type: 'text', align: 'left', baseline: 'middle', fontSize: 12, color: CHART_INK.text.light },
      encoding: { x: { value: width + 22 }, y: at, text: { field: 'text' } },
    },
  ]
}

/**
 * Positions as near as possible to those wanted, in the same order, at least `gap` apart and within 0 and `limit`
 * where they fit (pool adjacent violators).
 */
export function spreadApart(wanted: readonly number[], gap: number, limit: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => wanted[a]! - wanted[b]! || a - b)
  const pools: { first: number; members: number[] }[] = []
  for (const i of order) {
    pools.push({ first: wanted[i]!, members: [i] })
    while (pools.length > 1) {
      const below = pools[pools.length - 2]!
      const top = pools[pools.length - 1]!
      if (below.first + below.members.length * gap <= top.first) break
      const members = [...below.members, ...top.members]
      const first =
        members.reduce((sum, member, rank) => sum + wanted[member]! - rank * gap, 0) / members.length
      pools.splice(-2, 2, {
        first: Math.max(0, Math.min(first, limit - (members.length - 1) * gap)),
        members,
      })
    }
  }
  const placed = new Array<number>(wanted.length)
  for (const { first, members } of pools) {
    members.forEach((member, rank) => {
      placed[member] = first + rank * gap
    })
  }
  return placed
}
