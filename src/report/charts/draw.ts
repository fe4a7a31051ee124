import type { TopLevelSpec } from 'vega-lite'
import { printable } from '../printable.ts'
import { CHART_INK, type MethodStyle } from './palette.ts'

/** A view in the vega-lite grammar: plain JSON, drawn by `drawSvg`. */
export type ChartView = Record<string, unknown>

/** Families for charts that stand alone; on the page the style sheet sets the page's own. */
export const CHART_FONT = 'DejaVu Sans, Helvetica, Arial, sans-serif'

/** A channel that maps the field `method` (an index) to a property of the method's style. */
export function methodChannel(
  styles: readonly MethodStyle[],
  property: (style: MethodStyle) => unknown,
): ChartView {
  return {
    field: 'method',
    type: 'nominal',
    scale: { domain: styles.map((_, i) => i), range: styles.map(property) },
    legend: null,
  }
}

/**
 * Draws a view as SVG text, without a browser. The same view gives the same text.
 * @param background a colour, or null for a transparent chart on the page
 */
export async function drawSvg(view: ChartView, background: string | null): Promise<string> {
  // Loaded here because only reports draw: both are large, and every other use of the package would wait for them.
  const [vega, vegaLite] = await Promise.all([import('vega'), import('vega-lite')])
  const spec = {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    padding: background === null ? { left: 2, top: 4, right: 2, bottom: 2 } : 16,
    ...view,
    background,
    config: CHART_CONFIG,
  } as unknown as TopLevelSpec
  const runtime = vega.parse(vegaLite.compile(spec, { logger: silentLogger(vega) }).spec)
  const chart = new vega.View(runtime, { renderer: 'none', logger: silentLogger(vega) })
  try {
    return shorten(printable(await chart.toSVG()))
  } finally {
    chart.finalize()
  }
}

/** Warnings must not reach the program's output; errors are thrown. */
function silentLogger(vega: typeof import('vega')) {
  return vega.logger(vega.None)
}

/** Positions to hundredths of a pixel, and without the roles that a chart read as one image does not need. */
function shorten(svg: string): string {
  return svg
    .replace(/ (?:transform|d|x2|y2)="[^"]*"/g, (attribute) =>
      attribute.replace(/-?\d+\.\d{3,}/g, (number) => String(Number(Number(number).toFixed(2)))),
    )
    .replace(/ (?:aria-[a-z]+|role|pointer-events)="[^"]*"/g, '')
    .replace(/<path class="(?:foreground|background)" d="[^"]*"(?: display="none")?\/>/g, '')
}

const CHART_CONFIG = {
  aria: false,
  font: CHART_FONT,
  view: { stroke: null },
  axis: {
    labelColor: CHART_INK.muted.light,
    labelFontSize: 11,
    labelPadding: 5,
    titleColor: CHART_INK.muted.light,
    titleFontSize: 11.5,
    titleFontWeight: 'normal',
    titlePadding: 8,
    domainColor: CHART_INK.axis.light,
    tickColor: CHART_INK.axis.light,
    tickSize: 4,
    gridColor: CHART_INK.grid.light,
  },
  axisY: { domain: false, ticks: false },
  title: {
    anchor: 'start',
    frame: 'group',
    color: CHART_INK.text.light,
    fontSize: 12.5,
    fontWeight: 600,
    offset: 8,
  },
}
