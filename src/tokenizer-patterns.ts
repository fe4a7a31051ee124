/**
 * tokenizer.json with the patterns of its pre-tokenizer spelt so that `@huggingface/tokenizers` splits as the Rust
 * library does. Where case is ignored, `(?i:'s|'ll)`, the JavaScript library folds ASCII letters only, while Unicode has
 * two letters beside ASCII that fold into it: the long s (U+017F) and the Kelvin sign (U+212A).
 */
export function withUnicodeFolding<T>(node: T): T {
  if (Array.isArray(node)) return node.map(withUnicodeFolding) as T
  if (typeof node !== 'object' || node === null) return node
  const entries = Object.entries(node).map(([key, value]) => [
    key,
    key === 'Regex' && typeof value === 'string' ? folded(value) : withUnicodeFolding(value),
  ])
  return Object.fromEntries(entries) as T
}

/** Only groups of plain letters and punctuation, as in every published tokenizer that has one. */
function folded(pattern: string): string {
  return pattern.replace(/\(\?i:([^()[\]{}\\]*)\)/g, (_, letters: string) => {
    const spelt = letters.replace(/s/gi, '[sS\u017f]').replace(/k/gi, '[kK\u212a]')
    return `(?i:${spelt})`
  })
}
