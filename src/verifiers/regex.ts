import type { Judgement, Sample } from '../verdicts.ts'

/**
 * Right where the reference, a JavaScript regular expression written `/.../flags` or bare, matches somewhere in the
 * completion (`^...$` for all of it). A pattern can be made to run for ages, so that this verifier never runs in the
 * host's process.
 */
export function verifyRegex({ reference, completion }: Pick<Sample, 'reference' | 'completion'>): Judgement {
  let pattern: RegExp
  try {
    pattern = parsePattern(reference)
  } catch (error) {
    return {
      verdict: 'unparsed',
      reward: null,
      reason: `the reference is no pattern: ${(error as Error).message}`,
    }
  }
  return pattern.test(completion) ? { verdict: 'right', reward: 1 } : { verdict: 'wrong', reward: 0 }
}

/** A regular expression from its text, `/.../flags` or bare; throws a SyntaxError where it is none. */
export function parsePattern(text: string): RegExp {
  const written = /^\/(.*)\/([a-z]*)$/s.exec(text)
  return written === null ? new RegExp(text) : new RegExp(written[1]!, written[2])
}
