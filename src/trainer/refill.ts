import { judgedColumns } from '../judge.ts'
import type { ResolvedObjective } from '../objective-options.ts'
import { judgeRows } from '../objectives/judged-rows.ts'
import type { RolloutColumns } from '../rollouts.ts'

// DAPO's dynamic sampling (arXiv 2503.14476, section 3.2): groups whose rewards are all equal teach nothing and are dropped;
// further prompts are sampled in their place until the batch is full, or no more may be.

/** Groups of judged rollouts from which something is learnt: those that `filterGroups` leaves, with a row that takes part. */
export function groupsThatTeach(rollouts: RolloutColumns, objective: ResolvedObjective): number {
  // What a group is dropped for is what the verifier gave, whatever is taken off it.
  const { eligible } = judgeRows(judgedColumns(rollouts), { ...objective, klIn: 'loss' })
  return new Set(rollouts.groupIds.filter((_, row) => eligible[row] === 1)).size
}

/** What the rounds of a step come to, for its metrics. */
export function refillMetrics(rounds: number, prompts: number, teaching: number): Record<string, number> {
  return { refill_rounds: rounds, sampled_groups: prompts, dropped_share: 1 - teaching / prompts }
}
