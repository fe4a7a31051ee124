import { describeValue } from '../errors.ts'
import { type Judgement, toJudgement, type Verdict } from '../verdicts.ts'

const verdicts: readonly Verdict[] = ['right', 'wrong', 'unparsed', 'timed-out']

/**
 * Brings a verifier's answer to a judgement, checking all that TypeScript promises and JavaScript does not. Throws an
 * Error that says what came instead; an answer is refused when its reward, as the float32 that training keeps,
 * contradicts its verdict: right means reward > 0.
 */
export function requireJudgement(answer: unknown): Judgement {
  const judgement = isShortForm(answer) || isRecord(answer) ? toJudgement(answer as Judgement) : undefined
  if (judgement === undefined || !verdicts.includes(judgement.verdict)) {
    throw new Error(`returned ${describeValue(answer)} instead of a verdict, a reward, null or a judgement`)
  }
  const { verdict, reward, reason } = judgement
  if (reason !== undefined && typeof reason !== 'string') throw new Error('returned a reason that is no text')
  if (reward !== null) {
    if (typeof reward !== 'number' || !Number.isFinite(Math.fround(reward))) {
      throw new Error(`returned the reward ${describeValue(reward)}, which is no finite float32`)
    }
    if (Math.fround(reward) > 0 !== (verdict === 'right')) {
      throw new Error(
        `returned reward ${reward} with verdict ${verdict}; right, and only right, means a reward above 0`,
      )
    }
  }
  return reason === undefined ? { verdict, reward } : { verdict, reward, reason }
}

function isShortForm(answer: unknown): boolean {
  return answer === null || typeof answer === 'number' || typeof answer === 'string'
}

function isRecord(answer: unknown): boolean {
  return typeof answer === 'object' && !Array.isArray(answer)
}
