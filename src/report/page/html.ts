import { printable } from '../printable.ts'

/** Text that is already HTML. Only `html` and `trusted` make it, so that everything else is escaped. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Part = Html | string | number | null | undefined | false | readonly Part[]

/**
 * A template whose substitutions are escaped, whatever their origin: prompts and completions come from models and
 * data sets and may hold markup. Nested `html` values and arrays are joined; null, undefined and false give nothing.
 * Attribute values must stand in double quotes.
 */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(strings.reduce((text, string, i) => text + render(parts[i - 1]) + string))
}

/** Marks text as HTML: for what this program made itself (style sheet, script, charts), never for data. */
export function trusted(text: string): Html {
  return new Html(text)
}

/** Text for an element or a double-quoted attribute. */
export function escapeHtml(text: string): string {
  return printable(text)
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/'/g, '&#39;')
}

function render(part: Part): string {
  if (part === null || part === undefined || part === false) return ''
  if (part instanceof Html) return part.text
  if (Array.isArray(part)) return part.map((item: Part) => render(item)).join('')
  return escapeHtml(String(part))
}
