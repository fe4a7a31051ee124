// Signs from Unicode to the LaTeX that stands for them, so that the rest of the grader knows one notation.

const SIGNS: Readonly<Record<string, string>> = {
  '−': '-',
  '–': '-',
  '—': '-',
  '‐': '-',
  '‑': '-',
  '×': '\\times ',
  '·': '\\cdot ',
  '⋅': '\\cdot ',
  '∙': '\\cdot ',
  '÷': '/',
  '∕': '/',
  '⁄': '/',
  '±': '\\pm ',
  '∓': '\\mp ',
  '≤': '\\le ',
  '⩽': '\\le ',
  '≥': '\\ge ',
  '⩾': '\\ge ',
  '≠': '\\ne ',
  '≈': '\\approx ',
  '≃': '\\approx ',
  '∞': '\\infty ',
  '∪': '\\cup ',
  '∩': '\\cap ',
  '∈': '\\in ',
  '∑': '\\sum ',
  '∏': '\\prod ',
  '∠': '\\angle ',
  '△': '\\triangle ',
  '∖': '\\setminus ',
  '∅': '\\emptyset ',
  ℝ: '\\mathbb{R}',
  '°': '^\\circ ',
  '∘': '\\circ ',
  '⟨': '\\langle ',
  '⟩': '\\rangle ',
  '〈': '\\langle ',
  '〉': '\\rangle ',
  '′': "'",
  '…': '\\ldots ',
  '⌊': '\\lfloor ',
  '⌋': '\\rfloor ',
  '⌈': '\\lceil ',
  '⌉': '\\rceil ',
  '％': '%',
  '，': ',',
  '（': '(',
  '）': ')',
  '：': ':',
  '＝': '=',
  '½': '\\frac{1}{2}',
  '⅓': '\\frac{1}{3}',
  '⅔': '\\frac{2}{3}',
  '¼': '\\frac{1}{4}',
  '¾': '\\frac{3}{4}',
  '⅕': '\\frac{1}{5}',
  '⅖': '\\frac{2}{5}',
  '⅗': '\\frac{3}{5}',
  '⅘': '\\frac{4}{5}',
  '⅙': '\\frac{1}{6}',
  '⅚': '\\frac{5}{6}',
  '⅛': '\\frac{1}{8}',
  '⅜': '\\frac{3}{8}',
  '⅝': '\\frac{5}{8}',
  '⅞': '\\frac{7}{8}',
  '“': '"',
  '”': '"',
  '‘': "'",
  '’': "'",
  '\u00a0': ' ',
  '\u2009': ' ',
  '\u202f': ' ',
  '\u2002': ' ',
  '\u2003': ' ',
  '\u200b': '',
  π: '\\pi ',
  α: '\\alpha ',
  β: '\\beta ',
  γ: '\\gamma ',
  δ: '\\delta ',
  ε: '\\epsilon ',
  θ: '\\theta ',
  λ: '\\lambda ',
  μ: '\\mu ',
  µ: '\\mu ',
  ρ: '\\rho ',
  σ: '\\sigma ',
  τ: '\\tau ',
  φ: '\\phi ',
  ϕ: '\\phi ',
  ψ: '\\psi ',
  ω: '\\omega ',
  Ω: '\\Omega ',
  Δ: '\\Delta ',
  Σ: '\\Sigma ',
  Γ: '\\Gamma ',
  Φ: '\\Phi ',
  η: '\\eta ',
  ξ: '\\xi ',
  κ: '\\kappa ',
  ν: '\\nu ',
}
const RAISED: Readonly<Record<string, string>> = {
  '⁰': '0',
  '¹': '1',
  '²': '2',
  '³': '3',
  '⁴': '4',
  '⁵': '5',
  '⁶': '6',
  '⁷': '7',
  '⁸': '8',
  '⁹': '9',
  '⁻': '-',
  '⁺': '+',
  ⁿ: 'n',
  ˣ: 'x',
}
const LOWERED: Readonly<Record<string, string>> = {
  '₀': '0',
  '₁': '1',
  '₂': '2',
  '₃': '3',
  '₄': '4',
  '₅': '5',
  '₆': '6',
  '₇': '7',
  '₈': '8',
  '₉': '9',
  ₙ: 'n',
  ₓ: 'x',
  ₐ: 'a',
  ᵢ: 'i',
}

/** The text with Unicode's mathematical signs written as LaTeX: `√2·x²` becomes `\sqrt{2}\cdot x^{2}`. */
export function toLatex(text: string): string {
  if (!/[^\x20-\x7e]/.test(text)) return text
  const signs = [...text]
  let latex = ''
  for (let i = 0; i < signs.length; i++) {
    const sign = signs[i]!
    if (sign === '√' || sign === '∛' || sign === '∜') {
      latex += sign === '√' ? '\\sqrt' : sign === '∛' ? '\\sqrt[3]' : '\\sqrt[4]'
      let digits = ''
      while (/^[\d.]$/.test(signs[i + 1] ?? '')) digits += signs[++i]
      latex += digits === '' ? ' ' : `{${digits}}`
    } else if (RAISED[sign] !== undefined || LOWERED[sign] !== undefined) {
      const [row, mark] = RAISED[sign] === undefined ? [LOWERED, '_'] : [RAISED, '^']
      let shifted = row[sign]!
      while (row[signs[i + 1] ?? ''] !== undefined) shifted += row[signs[++i]!]
      latex += `${mark}{${shifted}}`
    } else latex += SIGNS[sign] ?? (sign === '\n' || sign === '\t' || sign === '\r' ? ' ' : sign)
  }
  return latex
}

const WRAPPERS =
  /\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mbox|operatorname|emph|bf|rm|it)(?![a-zA-Z])\s*/g

/**
 * What counts of a text answer: lower case, no spaces, no font commands, quotes, braces or dollar signs, no leading
 * article and no full stop behind it.
 */
export function textKey(text: string): string {
  const plain = toLatex(text)
    .replaceAll(WRAPPERS, '')
    .replaceAll(/\\(?:left|right|displaystyle|dfrac|tfrac|big|Big)(?![a-zA-Z])/g, (command) =>
      command === '\\dfrac' || command === '\\tfrac' ? '\\frac' : '',
    )
    .replaceAll(/\\[,;:! ]|[{}$"'`*~]/g, (mark) => (mark === '\\!' ? '' : ' '))
    .toLowerCase()
    .trim()
  return plain
    .replace(/^(?:the|an|a)\s+(?=\S)/, '')
    .replaceAll(/\s/g, '')
    .replace(/\.$/, '')
}
