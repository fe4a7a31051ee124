/** What a verifier says of one completion; see DESIGN, promise 7. */
export type Verdict = 'right' | 'wrong' | 'unparsed' | 'timed-out'

/** One completion as a verifier sees it. */
export interface Sample {
  promptId: string
  prompt: string
  /** The task's reference answer or whatever the task needs to check an answer; empty where there is none. */
  reference: string
  completion: string
  promptTokens: Int32Array
  completionTokens: Int32Array
  finishReason: 'stop' | 'length' | 'cancelled'
}

/** A verdict with its reward; `reward: null` abstains (the row takes no part in the update). */
export interface Judgement {
  verdict: Verdict
  reward: number | null
  /** Why, in a few words, for people who read rollouts. */
  reason?: string
  /** What each of several verifiers gave, before weights, in their order; coppice's own, a verifier's are not taken over. */
  partRewards?: readonly (number | null)[]
}

export interface VerifierContext {
  signal: AbortSignal
}

/**
 * Checks one completion. A bare verdict gets reward 1 for `right` and 0 otherwise; a bare number is a reward, and
 * right means reward > 0; null abstains.
 */
export type Verifier = (
  sample: Sample,
  context: VerifierContext,
) => Verdict | number | null | Judgement | Promise<Verdict | number | null | Judgement>

/**
 * Whether a judged row is right: its verdict says so. Where there is no verdict, a reward above 0 does. One verifier's
 * reward and verdict agree; the sum of several rewards need not, since a wrong answer may earn something for its form.
 */
export function isRight(reward: number | null, verdict: Verdict | null | undefined): boolean {
  if (reward === null) return false
  return verdict === null || verdict === undefined ? reward > 0 : verdict === 'right'
}

/** Brings the short forms that a verifier may return to the full one. */
export function toJudgement(answer: Verdict | number | null | Judgement): Judgement {
  if (answer === null) return { verdict: 'unparsed', reward: null }
  if (typeof answer === 'number') return { verdict: answer > 0 ? 'right' : 'wrong', reward: answer }
  if (typeof answer === 'string') return { verdict: answer, reward: answer === 'right' ? 1 : 0 }
  return answer
}
