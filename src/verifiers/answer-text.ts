// Where in a longer text the answer stands: plain searches, and one pattern that never looks far, since others could be made to backtrack.

/** The text between the last `<answer>` and the `</answer>` behind it; undefined where there is none. */
export function taggedAnswer(text: string): string | undefined {
  const end = text.lastIndexOf('</answer>')
  const start = end === -1 ? -1 : text.lastIndexOf('<answer>', end)
  return start === -1 ? undefined : text.slice(start + '<answer>'.length, end)
}

/** What stands in the last `\boxed{...}`, inner braces included; undefined where there is none that closes. */
export function boxedAnswer(text: string): string | undefined {
  const opening = '\\boxed{'
  const start = text.lastIndexOf(opening)
  if (start === -1) return undefined
  let depth = 1
  for (let i = start + opening.length; i < text.length; i++) {
    if (text[i] === '{') depth++
    if (text[i] === '}' && --depth === 0) return text.slice(start + opening.length, i)
  }
  return undefined
}

/** The last run of characters that reads as a number: `12`, `-3.5`, `1,234`, `2/3`, `1e-4`, `50%`. */
export function lastNumber(text: string): string | undefined {
  const number =
    /(?:(?<!\d)[-+−])?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:e[-+]?\d+|\/\d+)?%?/gi
  let found: string | undefined
  for (const match of text.matchAll(number)) found = match[0]
  return found
}
