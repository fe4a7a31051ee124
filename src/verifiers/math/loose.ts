import type { Judgement, Sample } from '../../verdicts.ts'
import { lastNumber } from '../answer-text.ts'
import { TooLarge, Undefined, WorkBudget } from './budget.ts'
import { compareTexts } from './grade.ts'
import { extractAnswer, withoutTrimmings } from './reading/extraction.ts'
import { readAnswer } from './reading/read-answer.ts'
import type { Decimal } from './values/decimals.ts'
import { Comparer } from './values/same-value.ts'

/** How far two values may lie apart, as a share of the larger one. */
const TOLERANCE = 1e-4
const MAX_LENGTH = 4000
const PHRASE = 'he answer is'

/**
 * The grader of the code of arXiv 2506.01347 as a rule, to compare figures with:
 * the last box, else what follows "the answer is", else the last number of the text; right where it is the same text
 * without looks and units, or within 1e-4 of the reference, of a hundred times it or of a hundredth of it, or the same by
 * the rules of `math`, which stand here for that code's algebra system.
 */
export function verifyLoosely({
  reference,
  completion,
}: Pick<Sample, 'reference' | 'completion'>): Judgement {
  const asked = bare(reference)
  if (asked === '' || reference.length > MAX_LENGTH) {
    return { verdict: 'unparsed', reward: null, reason: 'the reference is empty or too long' }
  }
  const given = looseAnswer(completion)
  if (given === undefined) return { verdict: 'unparsed', reward: 0, reason: 'no box, no phrase, no number' }
  const isRight = bare(given) === asked || areNear(reference, given) || areSame(reference, given)
  return isRight ? { verdict: 'right', reward: 1 } : { verdict: 'wrong', reward: 0 }
}

function looseAnswer(completion: string): string | undefined {
  const boxed = extractAnswer(completion, 'boxed')
  if ('text' in boxed) return boxed.text
  const phrase = completion.lastIndexOf(PHRASE)
  if (phrase !== -1) {
    const rest = completion.slice(phrase + PHRASE.length, phrase + PHRASE.length + MAX_LENGTH)
    const sentence = /^[\s:]*(.*?)(?:\.\s|\.?$|\n)/s.exec(rest)?.[1]?.trim()
    if (sentence) return sentence
  }
  return lastNumber(completion.slice(-MAX_LENGTH))
}

/** What is left of an answer when looks, units, signs of money and percent, separators and a short name are gone. */
function bare(text: string): string {
  return withoutTrimmings(text)
    .replaceAll(/\\(?:left|right|displaystyle|[,!;: ])|\{,\}|\^\{?\\circ\}?|\\?[$%]/g, '')
    .replaceAll(/\\[dt]frac(?![a-zA-Z])/g, '\\frac')
    .replaceAll(/\\(?:text|mbox|mathrm)\{\s[^{}]*\}/g, '')
    .replaceAll(/\\(?:text|mbox|mathrm)\{([^{}]*)\}/g, '$1')
    .replaceAll(/\s/g, '')
    .replaceAll(/(\d),(?=\d{3}(?!\d))/g, '$1')
    .replace(/^[a-zA-Z]{1,2}=/, '')
    .replace(/^\./, '0.')
}

function areNear(reference: string, given: string): boolean {
  const [asked, value] = [numberIn(reference), numberIn(given)]
  if (asked === undefined || value === undefined) return false
  return [asked.div(100), asked, asked.times(100)].some((near) => {
    const [a, b] = [near.abs(), value.abs()]
    return near
      .minus(value)
      .abs()
      .lte((a.gt(b) ? a : b).times(TOLERANCE))
  })
}

function numberIn(text: string): Decimal | undefined {
  return undecided(() => {
    const budget = new WorkBudget()
    const answer = readAnswer(withoutTrimmings(text), budget)
    return answer.kind === 'value' ? new Comparer(budget).realValue(answer.node) : undefined
  })
}

function areSame(reference: string, given: string): boolean {
  const options = { percent: 'either', units: 'optional', tuples: 'ordered' } as const
  const texts = [reference, given].map(withoutTrimmings) as [string, string]
  return compareTexts(...texts, options, new WorkBudget()).verdict === 'right'
}

function undecided<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (error instanceof TooLarge || error instanceof Undefined) return undefined
    throw error
  }
}
