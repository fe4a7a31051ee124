import type { ReportMethod } from '../report-data.ts'

/** A colour on white and its counterpart on the dark page. */
export interface ReportColour {
  light: string
  dark: string
}

/** What draws a method everywhere: in charts, keys and tables. */
export interface MethodStyle {
  colour: ReportColour
  /** A vega symbol name; shape and dash tell methods apart where colour does not. */
  shape: string
  dash: number[]
}

// Chosen by search so that any two differ by at least 18 CIELAB units for normal vision and under protanopia,
// deuteranopia and tritanopia (Machado et al. 2009, severity 1), with contrast of at least 3 against the page.
const BASE: ReportColour = { light: '#808891', dark: '#d4d4d5' }
const SERIES: ReportColour[] = [
  { light: '#0c588c', dark: '#488bf5' },
  { light: '#c43d2c', dark: '#ef753f' },
  { light: '#1aa463', dark: '#4ae788' },
  { light: '#c763dc', dark: '#d079bb' },
  { light: '#cf7c00', dark: '#f5cd30' },
  { light: '#463097', dark: '#dba3fc' },
  { light: '#67413a', dark: '#a8857b' },
]
const SHAPES = ['circle', 'square', 'triangle-up', 'diamond', 'cross', 'triangle-down', 'triangle-right']
const DASHES = [[], [7, 3], [2, 3], [7, 3, 2, 3]]

/** Colours of chart furniture; charts are drawn in the light ones and recoloured by the page's style sheet. */
export const CHART_INK = {
  text: { light: '#20252b', dark: '#e7e9ec' },
  muted: { light: '#59626c', dark: '#a3adb8' },
  axis: { light: '#9ca4ad', dark: '#69727c' },
  grid: { light: '#e4e7ea', dark: '#2c3238' },
} satisfies Record<string, ReportColour>

/** A style for each method, by position; the base policy is grey and dashed, and colours repeat after seven methods. */
export function methodStyles(methods: readonly ReportMethod[]): MethodStyle[] {
  let trained = 0
  return methods.map((method) => {
    if (method.base === true) return { colour: BASE, shape: 'circle', dash: [4, 3] }
    const position = trained++
    return {
      colour: SERIES[position % SERIES.length]!,
      shape: SHAPES[position % SHAPES.length]!,
      dash: DASHES[Math.floor(position / SERIES.length) % DASHES.length]!,
    }
  })
}

/** Every colour that a chart may contain, for the style sheet that recolours them. */
export function chartColours(): ReportColour[] {
  return [BASE, ...SERIES, ...Object.values(CHART_INK)]
}
