import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { refuseUnknownKeys } from '../options.ts'
import { analyseSets, type SetAnalysis } from './analysis.ts'
import { type ChartView, drawSvg } from './charts/draw.ts'
import { dynamicsView } from './charts/dynamics-chart.ts'
import { CHART_INK, type MethodStyle, methodStyles } from './charts/palette.ts'
import { passAtKView } from './charts/pass-at-k-chart.ts'
import { usedPanels } from './charts/series.ts'
import { checkReportData } from './check-report-data.ts'
import { type PageCharts, pageHtml } from './page/page-html.ts'
import { type PngFonts, rasterise } from './png.ts'
import type { ReportData } from './report-data.ts'

export type WriteReportOptions = PngFonts

export interface WrittenReport {
  /** Path of report.html. */
  html: string
  /** Paths of all files written. */
  files: string[]
  /** What a person should be told: a PNG file that could not be made, and why. */
  warnings: string[]
}

/**
 * Writes a report into a folder: `report.html`, which holds everything and loads nothing, and its charts by themselves,
 * `passk.svg`, `passk.png` and, if there are metrics, `dynamics.svg` and `dynamics.png`. The same data gives the same
 * HTML and SVG bytes. A machine without fonts gets no PNG files (their text would be missing) and a warning.
 *
 * @param dir made if it does not exist; files of an earlier report are replaced
 * @throws CoppiceError naming method, seed, set or prompt where the data contradict themselves
 */
export async function writeReport(
  dir: string,
  data: ReportData,
  options: WriteReportOptions = {},
): Promise<WrittenReport> {
  refuseUnknownKeys(options, ['fontFiles', 'systemFonts'], 'report options')
  checkReportData(data)
  const analyses = analyseSets(data)
  const styles = methodStyles(data.methods)
  const charts = await drawPageCharts(data, analyses, styles)
  await mkdir(dir, { recursive: true })

  const report: WrittenReport = { html: join(dir, 'report.html'), files: [], warnings: [] }
  const write = async (name: string, content: string | Buffer) => {
    const path = join(dir, name)
    await writeFile(path, content)
    report.files.push(path)
  }
  await write('report.html', pageHtml(data, analyses, styles, charts))
  for (const [name, view] of standaloneViews(data, analyses, styles)) {
    const svg = await drawSvg(view, '#ffffff')
    await write(`${name}.svg`, svg)
    const { png, hasText } = await rasterise(svg, options)
    if (hasText) await write(`${name}.png`, png)
    else
      report.warnings.push(
        `${name}.png was left out: no font found for its text (install one, or use ${name}.svg)`,
      )
  }
  return report
}

async function drawPageCharts(
  data: ReportData,
  analyses: readonly SetAnalysis[],
  styles: readonly MethodStyle[],
): Promise<PageCharts> {
  const charts: PageCharts = { passAtK: [], dynamics: [] }
  for (const analysis of analyses) {
    const wide = passAtKView(data.methods, analysis, styles, { width: 760, height: 390, endLabels: true })
    const narrow = passAtKView(data.methods, analysis, styles, { width: 330, height: 300, endLabels: false })
    charts.passAtK.push({ wide: await drawSvg(wide, null), narrow: await drawSvg(narrow, null) })
  }
  for (const { panel, series } of usedPanels(data)) {
    const view = { ...dynamicsView(panel, series, styles, PANEL_SIZE), ...PANEL_FRAME }
    charts.dynamics.push({ title: panel.title, svg: await drawSvg(view, null) })
  }
  return charts
}

const PANEL_SIZE = { width: 290, height: 165 }
/** Panels on the page have one size whatever their labels, so that all are scaled alike. */
const PANEL_FRAME = { autosize: { type: 'none' }, padding: { left: 46, top: 30, right: 12, bottom: 42 } }

/** The charts as files of their own: all held-out sets in one, all panels in the other. */
function standaloneViews(
  data: ReportData,
  analyses: readonly SetAnalysis[],
  styles: readonly MethodStyle[],
): [name: string, view: ChartView][] {
  const passAtK = analyses.map((analysis) =>
    passAtKView(data.methods, analysis, styles, {
      width: 620,
      height: 340,
      endLabels: true,
      title: `pass@k on ${analysis.set.label}`,
    }),
  )
  const views: [string, ChartView][] = [['passk', { title: data.title, vconcat: passAtK, spacing: 40 }]]
  const panels = usedPanels(data)
  if (panels.length > 0) {
    const concat = panels.map(({ panel, series }) =>
      dynamicsView(panel, series, styles, { width: 290, height: 165 }),
    )
    views.push([
      'dynamics',
      {
        vconcat: [
          keyView(data, styles),
          { concat, columns: 3, spacing: { row: 84, column: 64 }, align: 'all', bounds: 'flush' },
        ],
        spacing: 24,
      },
    ])
  }
  return views
}

/** A row of method names in their colours, for charts that stand without the page's key. */
function keyView(data: ReportData, styles: readonly MethodStyle[]): ChartView {
  let left = 0
  const values = data.methods.flatMap((method, i) => {
    if (method.runs.every((run) => (run.metrics ?? []).length === 0)) return []
    const entry = { at: left, text: method.label, colour: styles[i]!.colour.light }
    left += 48 + 7.6 * method.label.length
    return [entry]
  })
  const x = { field: 'at', type: 'quantitative', scale: { domain: [0, left], nice: false }, axis: null }
  return {
    width: left,
    height: 14,
    data: { values },
    layer: [
      {
        mark: { type: 'rule', strokeWidth: 2.5, xOffset: 0, x2Offset: 22 },
        encoding: {
          x,
          x2: { field: 'at' },
          y: { value: 7 },
          color: { field: 'colour', type: 'nominal', scale: null },
        },
      },
      {
        mark: {
          type: 'text',
          align: 'left',
          baseline: 'middle',
          dx: 28,
          fontSize: 12,
          color: CHART_INK.text.light,
        },
        encoding: { x, y: { value: 7 }, text: { field: 'text' } },
      },
    ],
  }
}
