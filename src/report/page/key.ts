import type { MethodStyle } from '../charts/palette.ts'
import type { ReportMethod } from '../report-data.ts'
import { type Html, html } from './html.ts'

/** The page's key: which line and marker stands for which method. */
export function methodKey(methods: readonly ReportMethod[], styles: readonly MethodStyle[]): Html {
  return html`<ul class="key" aria-label="Key">${methods.map(
    (method, i) => html`<li>${swatch(styles[i]!)}${method.label}</li>`,
  )}</ul>`
}

/** A method's name with its swatch, as a row's heading. */
export function methodName(method: ReportMethod, style: MethodStyle): Html {
  return html`<span class="method">${swatch(style)}${method.label}</span>`
}

/** A short piece of the method's line with its marker; decoration beside the name, so hidden from readers aloud. */
function swatch({ colour, dash, shape }: MethodStyle): Html {
  return html`<svg class="chart swatch" width="26" height="12" viewBox="0 0 26 12" aria-hidden="true"><path d="M1 6H25" fill="none" stroke="${colour.light}" stroke-width="2" stroke-dasharray="${dash.join(' ')}"/><path transform="translate(13 6)" d="${MARKERS[shape]}" fill="${colour.light}"/></svg>`
}

/** Outlines of vega's symbols, about 8 pixels across. */
const MARKERS: Record<string, string> = {
  circle: 'M3.6 0A3.6 3.6 0 1 1 -3.6 0A3.6 3.6 0 1 1 3.6 0Z',
  square: 'M-3.3 -3.3H3.3V3.3H-3.3Z',
  'triangle-up': 'M0 -4L4 3.4H-4Z',
  'triangle-down': 'M0 4L4 -3.4H-4Z',
  'triangle-right': 'M4 0L-3.4 4V-4Z',
  diamond: 'M0 -4.4L4.4 0L0 4.4L-4.4 0Z',
  cross: 'M-1.5 -4H1.5V-1.5H4V1.5H1.5V4H-1.5V1.5H-4V-1.5H-1.5Z',
}
