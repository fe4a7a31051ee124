import { CoppiceError } from '../errors.ts'

/** One completion's answer, as majority voting and diversity count it. */
export interface Answer {
  /** What the completion answered, in a form in which equal answers are equal strings; null if none was found. */
  key: string | null
  right: boolean
}

/** One answer that a prompt's completions gave. */
export interface AnswerClass {
  key: string
  right: boolean
  /** Completions that gave it. */
  count: number
}

/** A prompt's completions by answer, in order of first appearance, and the number that gave none. */
export interface AnswerClasses {
  classes: AnswerClass[]
  unanswered: number
}

/**
 * Counts a prompt's answers.
 * @throws CoppiceError INVALID_ARGUMENT if one answer is called right and wrong, or if a right one has no key
 */
export function classifyAnswers(answers: readonly Answer[]): AnswerClasses {
  const byKey = new Map<string, AnswerClass>()
  let unanswered = 0
  answers.forEach(({ key, right }, i) => {
    if (key === null) {
      if (right) throw contradiction(i, 'a key for every right answer', 'null')
      unanswered++
      return
    }
    const known = byKey.get(key)
    if (known === undefined) byKey.set(key, { key, right, count: 1 })
    else if (known.right !== right) {
      throw contradiction(
        i,
        `'${key}' to be ${known.right ? 'right' : 'wrong'} as before`,
        right ? 'right' : 'wrong',
      )
    } else known.count++
  })
  return { classes: [...byKey.values()], unanswered }
}

function contradiction(index: number, expected: string, received: string): CoppiceError {
  return new CoppiceError('INVALID_ARGUMENT', 'contradictory answers', {
    where: `answer ${index}`,
    expected,
    received,
  })
}

/** How many different right answers a prompt's completions found. */
export function distinctRightAnswers(answers: readonly Answer[]): number {
  return classifyAnswers(answers).classes.filter((answer) => answer.right).length
}
