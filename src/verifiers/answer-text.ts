// Where in a longer text the answer stands. Plain searches only: a regular expression could be made to backtrack.

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
