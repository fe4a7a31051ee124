import type { Judgement, Sample } from '../verdicts.ts'

export interface ExactOptions {
  /** Whether upper and lower case count as the same. Default false. */
  ignoreCase?: boolean
}

/** Right where the completion is the reference, white space at both ends aside; an empty completion is unparsed. */
export function exactVerifier({ ignoreCase = false }: ExactOptions = {}) {
  const form = (text: string) => (ignoreCase ? text.trim().toLowerCase() : text.trim())
  return ({ reference, completion }: Pick<Sample, 'reference' | 'completion'>): Judgement => {
    if (form(completion) === form(reference)) return { verdict: 'right', reward: 1 }
    if (completion.trim() === '') return { verdict: 'unparsed', reward: 0, reason: 'empty' }
    return { verdict: 'wrong', reward: 0 }
  }
}
