import type { Judgement, Sample } from '../verdicts.ts'

/**
 * Right where the reference, a JavaScript regular expression written `/.../flags` or bare, matches somewhere in the
 * completion (`^...$` for all of it). A pattern can be made to run for ages, so that this verifier never runs in the
 * host's process.
 */
export function verifyRegex({ reference, completion }: Pick<Sample, 'reference' | 'completion'>): Judgement {
  const written = /^\/(.*)\/([a-z]*)$/s.exec(reference)
  let pattern: RegExp
  try {
    pattern = written === null ? new RegExp(reference) : new RegExp(written[1]!, written[2])
  } catch (error) {
    return {
      verdict: 'unparsed',
      reward: null,
      reason: `the reference is no pattern: ${(error as Error).message}`,
    }
  }
  return pattern.test(completion) ? { verdict: 'right', reward: 1 } : { verdict: 'wrong', reward: 0 }
}
