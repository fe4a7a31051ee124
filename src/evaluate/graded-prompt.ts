import { columnsOf, type RolloutBatch, textColumn } from '../rollouts.ts'
import type { Answer } from '../statistics/answers.ts'
import type { RightCount } from '../statistics/pass-at-k.ts'
import { isRight } from '../verdicts.ts'

/** Equal for completions that give the same answer in other words. */
export type DistinctKey = (completion: string) => string

/** What an evaluation keeps of one prompt's completions. */
export interface GradedPrompt {
  rightCount: RightCount
  answers: Answer[]
  unparsed: number
  timedOut: number
  completionTokens: number
  /** Sum over the completion tokens, nats. */
  entropy: number
}

/** Counts one prompt's judged completions. Timed-out and abstained ones are not right, and have no answer. */
export function gradePrompt(group: RolloutBatch, distinctKey: DistinctKey): GradedPrompt {
  const { rows, rewards = [], verdicts = [], completionTokens, entropies } = columnsOf(group)
  const completions = textColumn(group, 'completion')
  const answers: Answer[] = []
  let [c, unparsed, timedOut] = [0, 0, 0]
  for (let row = 0; row < rows; row++) {
    const verdict = verdicts[row]
    const right = isRight(rewards[row] ?? null, verdict)
    if (right) c++
    if (verdict === 'unparsed') unparsed++
    if (verdict === 'timed-out') timedOut++
    const answered = verdict === 'right' || verdict === 'wrong'
    // A verifier may find one key right here and wrong there; as votes these are different answers.
    const key = answered ? `${right ? 'right' : 'wrong'} ${distinctKey(completions[row] ?? '')}` : null
    answers.push({ key, right })
  }
  let entropy = 0
  if (entropies !== undefined) {
    for (let t = entropies.offsets[0]!; t < entropies.offsets.at(-1)!; t++) entropy += entropies.values[t]!
  }
  return {
    rightCount: { n: rows, c },
    answers,
    unparsed,
    timedOut,
    completionTokens: completionTokens.offsets.at(-1)! - completionTokens.offsets[0]!,
    entropy,
  }
}

/** White space does not make another answer. */
export const collapsedText: DistinctKey = (completion) => completion.trim().replace(/\s+/g, ' ')
