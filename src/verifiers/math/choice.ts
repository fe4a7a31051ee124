// Multiple choice: the reference is one letter from A to J.

const LOOKS = /\\(?:text|textbf|textrm|mathrm|mathbf|bf|rm|boldsymbol)(?![a-zA-Z])|\\[,;: ]|~/g

function plain(text: string): string {
  return text
    .replaceAll(LOOKS, ' ')
    .replaceAll(/[{}$*"]/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
}

/** The letter that a text starts with as a choice: `B`, `(B)`, `B) 42`; undefined where it starts otherwise. */
export function letterOf(text: string): string | undefined {
  const match = /^(?:(?:option|choice|answer)\s+)?(?:\(\s*([A-Ja-j])\s*\)|([A-Ja-j])\s*(?=$|[).:]))/i.exec(
    plain(text),
  )
  return (match?.[1] ?? match?.[2])?.toUpperCase()
}

/** Whether a reference is a choice: one capital letter with or without brackets. */
export function isChoice(reference: string): boolean {
  return /^\(?\s*[A-J]\s*[).]?$/.test(plain(reference))
}

/** Whether the response makes the reference's choice; undefined where it makes none that can be seen. */
export function isSameChoice(reference: string, response: string): boolean | undefined {
  const letter = letterOf(response)
  return letter === undefined ? undefined : letter === letterOf(reference) && !namesSeveral(response)
}

/** Whether a text names several choices, `B, C` or `(A) 1 (B) 2`: that is no answer. */
export function namesSeveral(response: string): boolean {
  const text = plain(response)
  if (/^\(?\s*[A-J]\s*\)?\s*(?:,|and|or|&)\s*\(?\s*[A-J]\b/i.test(text)) return true
  const letters = [...text.matchAll(/(?:^|[\s(])([A-J])[).:]/g)].map((match) => match[1])
  return new Set(letters).size > 1
}
