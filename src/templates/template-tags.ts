/** A tag of a template's source, in order: `{% name ... %}`, `{{ }}` (name 'print') or `{# #}` (name 'comment'). */
export interface TemplateTag {
  name: string
  /** Counted from 1. */
  line: number
  /** Where it ends in the source. */
  end: number
}

const CLOSERS = { '%': '%}', '{': '}}', '#': '#}' } as const

/**
 * Every tag that reaches the engine's parser: its nodes bear no positions, so that errors are placed by counting tags.
 * The tags of `generation`, which the engine removes before it reads on, are left out.
 */
export function templateTags(source: string): TemplateTag[] {
  const tags: TemplateTag[] = []
  const opener = /\{([%{#])/g
  let [line, counted] = [1, 0]
  for (let match = opener.exec(source); match !== null; match = opener.exec(source)) {
    const kind = match[1] as keyof typeof CLOSERS
    const end = tagEnd(source, match.index + 2, kind)
    for (; counted < match.index; counted++) if (source[counted] === '\n') line++
    const word = /^[-+]?\s*(\w+)/.exec(source.slice(match.index + 2, Math.min(end, match.index + 100)))
    const name = kind === '%' ? (word?.[1] ?? '') : kind === '{' ? 'print' : 'comment'
    if (!/^(end)?generation$/.test(name)) tags.push({ name, line, end })
    opener.lastIndex = end
  }
  return tags
}

function tagEnd(source: string, begin: number, kind: keyof typeof CLOSERS): number {
  let depth = 0
  for (let at = begin; at < source.length; at++) {
    const unit = source[at]!
    if (kind !== '#' && (unit === '"' || unit === "'")) {
      at++
      while (at < source.length && source[at] !== unit) at += source[at] === '\\' ? 2 : 1
    } else if (depth <= 0 && source.startsWith(CLOSERS[kind], at)) return at + 2
    else if (kind === '{' && unit === '{') depth++
    else if (kind === '{' && unit === '}') depth--
  }
  return source.length
}
