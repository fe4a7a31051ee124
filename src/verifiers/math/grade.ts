import type { Judgement, Sample } from '../../verdicts.ts'
import type { Answer } from './answer.ts'
import { TooLarge, Undefined, Unreadable, WorkBudget } from './budget.ts'
import { isChoice, isSameChoice } from './choice.ts'
import { AnswerComparison, type ComparisonOptions } from './compare.ts'
import { isEcho } from './echo.ts'
import { type Extraction, extractAnswer, withoutTrimmings } from './reading/extraction.ts'
import { textKey } from './reading/plain-text.ts'
import { readAnswer } from './reading/read-answer.ts'
import { type Node, variablesOf } from './tree.ts'

export interface MathOptions extends Partial<ComparisonOptions> {
  /** Where the answer may stand. Default `auto`. */
  extraction?: Extraction
  /** Whether an expression of the question's own may be the answer where it has the right value. Default `refused`. */
  echoes?: 'refused' | 'allowed'
}

/** What a grader looks at; the question is looked into for echoes alone. */
type GradedSample = Pick<Sample, 'reference' | 'completion'> & Partial<Pick<Sample, 'prompt'>>

export const MATH_DEFAULTS: Required<MathOptions> = {
  extraction: 'auto',
  percent: 'either',
  units: 'optional',
  tuples: 'ordered',
  echoes: 'refused',
}

/** Longer references are refused. */
const MAX_REFERENCE = 4000

/** A verifier of mathematical answers; docs/grading.md tells what it calls right. */
export function mathVerifier(options: MathOptions = {}) {
  const policy = { ...MATH_DEFAULTS, ...options }
  return (sample: GradedSample): Judgement => gradeAnswer(sample, policy, new WorkBudget())
}

/** Grades one answer with the work that the budget allows. */
export function gradeAnswer(
  { reference, completion, prompt = '' }: GradedSample,
  { extraction, echoes, ...options }: Required<MathOptions>,
  budget: WorkBudget,
): Judgement {
  const asked = reference.length > MAX_REFERENCE ? '' : withoutTrimmings(unboxed(reference))
  if (asked === '') {
    return { verdict: 'unparsed', reward: null, reason: 'the reference is empty or too long' }
  }
  const found = extractAnswer(completion, extraction)
  if ('fault' in found) return { verdict: 'unparsed', reward: 0, reason: found.fault }
  const given = withoutTrimmings(found.text)
  const judgement = compareTexts(asked, given, options, budget)
  const isChecked = judgement.verdict === 'right' && echoes === 'refused' && prompt !== ''
  return isChecked && isEcho(given, asked, prompt) ? wrong("the question's own expression") : judgement
}

function unboxed(reference: string): string {
  const found = reference.includes('\\boxed') ? extractAnswer(reference, 'boxed') : undefined
  return found !== undefined && 'text' in found ? found.text : reference
}

const RIGHT: Judgement = { verdict: 'right', reward: 1 }
const wrong = (reason: string): Judgement => ({ verdict: 'wrong', reward: 0, reason })
const unparsed = (reason: string): Judgement => ({ verdict: 'unparsed', reward: 0, reason })

/** Compares two answers, cheapest first. */
export function compareTexts(
  reference: string,
  response: string,
  options: ComparisonOptions,
  budget: WorkBudget,
): Judgement {
  if (isChoice(reference)) {
    const same = isSameChoice(reference, response)
    if (same === true) return RIGHT
    if (same === false) return wrong('another choice')
  }
  if (reference === response) return RIGHT
  try {
    const asked = readAnswer(reference, budget)
    if (asked.kind === 'text' && textKey(reference) === textKey(response)) return RIGHT
    const variables = variablesIn(asked)
    const isRatio = asked.kind === 'ratio'
    let given = readAnswer(response, budget, { variables, isRatio })
    if (
      given.kind === 'text' &&
      (given.isProse || (asked.kind !== 'text' && given.text.trim().split(/\s+/).length > 3))
    ) {
      // What nobody can read is right only where it is the reference's own text.
      const isOwnText =
        asked.kind === 'text'
          ? textKey(reference) === textKey(response)
          : reference.replaceAll(/\s/g, '') === response.replaceAll(/\s/g, '')
      return isOwnText ? RIGHT : unparsed('not an answer that can be read')
    }
    const comparison = new AnswerComparison(options, budget)
    const isSame = () => {
      try {
        return comparison.areSame(asked, given)
      } catch (error) {
        if (error instanceof Undefined || error instanceof Unreadable) return false
        throw error
      }
    }
    if (isSame()) return RIGHT
    // Calculus writes its constant both ways; any other letter is a name of its own.
    if (variables.has('C') && !variables.has('c') && !variablesIn(given).has('C')) {
      given = readAnswer(response.replaceAll(/(^|[+\-\s])c(?=$|[\s+\-.])/g, '$1C'), budget, { variables })
      if (isSame()) return RIGHT
    }
    if (asked.kind === 'list' || asked.kind === 'tuple') {
      // `100,200` is a number, but where a list is asked for it is two.
      given = readAnswer(response, budget, { variables, joinsThousands: false })
      if (isSame()) return RIGHT
    }
    if (asked.kind === 'text' && textKey(reference) === textKey(response)) return RIGHT
    return wrong(given.kind === asked.kind ? 'another value' : `${given.kind} instead of ${asked.kind}`)
  } catch (error) {
    if (error instanceof TooLarge) return wrong('too large to decide')
    if (error instanceof Undefined || error instanceof Unreadable) return wrong('without a value')
    throw error
  }
}

function variablesIn(answer: Answer, found = new Set<string>()): Set<string> {
  const collect = (node: Node | undefined) => node && variablesOf(node, found)
  if (answer.kind === 'value') collect(answer.node)
  if (answer.kind === 'tuple' || answer.kind === 'list')
    for (const item of answer.items) variablesIn(item, found)
  if (answer.kind === 'cases') for (const { value } of answer.cases) variablesIn(value, found)
  if (answer.kind === 'inequality') answer.sides.forEach(collect)
  if (answer.kind === 'matrix') answer.rows.flat().forEach(collect)
  if (answer.kind === 'equation') {
    collect(answer.left)
    collect(answer.right)
    if (answer.value !== undefined) variablesIn(answer.value, found)
  }
  return found
}
