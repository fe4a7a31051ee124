import type { Answer } from './answer.ts'
import { WorkBudget } from './budget.ts'
import { textKey, toLatex } from './reading/plain-text.ts'
import { readAnswer } from './reading/read-answer.ts'
import { childrenOf, type Node } from './tree.ts'
import { greatestDivisor } from './values/exact-numbers.ts'

/** Longer questions are looked through from behind: examples come first. */
const MAX_QUESTION = 20_000

/**
 * Whether a response hands back an expression that stands in the question word for word and leaves work to be done: `2 + 3` where
 * that was to be added, `x^2 - 5x + 6` where that was to be factored. Such an answer has the right value without any
 * solution. The reference's own text is no echo.
 */
export function isEcho(response: string, reference: string, question: string): boolean {
  if (textKey(response) === textKey(reference)) return false
  const budget = new WorkBudget()
  const asksForWork = budget.within(budget.left, () => isUnworked(readAnswer(response, budget)))
  return asksForWork === true && containsWhole(plain(question.slice(-MAX_QUESTION)), plain(response))
}

/** Without marks of mathematics, looks and the spaces that mean nothing; those between words stay. */
function plain(text: string): string {
  return toLatex(text)
    .replaceAll(/\\(?:left|right|displaystyle)(?![a-zA-Z])|\\[,;:!]|[{}]/g, '')
    .replaceAll(/\\[dt]frac(?![a-zA-Z])/g, '\\frac')
    .replaceAll(/[$\s]+/g, ' ')
    .replaceAll(/ ?([-+*/^_=()<>.,|!]) ?/g, '$1')
    .trim()
}

/** Whether the part stands in the text and is not the middle of a longer expression: `x+1` is not in `2x+1`. */
function containsWhole(text: string, part: string): boolean {
  if (part === '') return false
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + 1)) {
    const [before, behind] = [text[at - 1] ?? '', text[at + part.length] ?? '']
    if (!/[a-zA-Z0-9^_\\]/.test(before) && !/[a-zA-Z0-9^_]/.test(behind)) return true
  }
  return false
}

function isUnworked(answer: Answer): boolean {
  if (answer.kind === 'equation') return answer.value !== undefined && isUnworked(answer.value)
  return answer.kind === 'value' && leavesWork(answer.node)
}

/** Whether anything but a number, a fraction in lowest terms, a mixed number, or a multiple of a name is in it. */
function leavesWork(node: Node): boolean {
  switch (node.kind) {
    case 'sum':
      return !isMixedNumber(node.terms)
    case 'product':
      return node.factors.filter(({ kind }) => kind === 'number').length > 1 || node.factors.some(leavesWork)
    case 'quotient': {
      const { above, below } = node
      if (above.kind !== 'number' || below.kind !== 'number') return leavesWork(above) || leavesWork(below)
      return greatestDivisor(above.value.numerator, below.value.numerator) !== 1n
    }
    case 'power':
    case 'root':
    case 'call':
    case 'series':
      return true
    default:
      return childrenOf(node).some(leavesWork)
  }
}

function isMixedNumber([whole, part, ...rest]: readonly Node[]): boolean {
  const isFraction = part?.kind === 'number' && part.value.denominator !== 1n
  return rest.length === 0 && whole?.kind === 'number' && whole.value.denominator === 1n && isFraction
}
