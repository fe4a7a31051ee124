import type { Judgement, Sample } from '../verdicts.ts'
import { letterOf, namesSeveral } from './math/choice.ts'
import { ANNOUNCEMENTS, extractAnswer, withoutTrimmings } from './math/reading/extraction.ts'

/** Beside what announces any answer. */
const CHOICE_ANNOUNCEMENTS = [...ANNOUNCEMENTS, 'answer**:', 'option is', 'choice is']

/**
 * Multiple choice, A to J: right where the completion chooses the reference's letter. The answer stands where `math` looks for it, in
 * the last box, else behind the last "answer is" (or its like), else on the last line, and has to begin with the letter:
 * `B`, `(B)`, `B) 42`. Where no letter is seen there, nothing else is looked at: unparsed. Several are wrong.
 */
export function verifyChoice({ reference, completion }: Pick<Sample, 'reference' | 'completion'>): Judgement {
  const asked = letterOf(reference)
  if (asked === undefined) {
    return { verdict: 'unparsed', reward: null, reason: 'the reference is not a letter from A to J' }
  }
  const found = extractAnswer(completion, 'auto', CHOICE_ANNOUNCEMENTS)
  if ('fault' in found) return { verdict: 'unparsed', reward: 0, reason: found.fault }
  if (namesSeveral(found.text)) return { verdict: 'wrong', reward: 0, reason: 'several choices' }
  const letter = letterOf(withoutTrimmings(found.text))
  if (letter === undefined) return { verdict: 'unparsed', reward: 0, reason: 'no letter to be seen' }
  return letter === asked
    ? { verdict: 'right', reward: 1 }
    : { verdict: 'wrong', reward: 0, reason: `${letter} instead of ${asked}` }
}
