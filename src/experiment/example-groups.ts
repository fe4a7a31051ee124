import { judge, judgedColumns } from '../judge.ts'
import type { ResolvedObjective } from '../objective-options.ts'
import { weighTokens } from '../objectives/token-weights.ts'
import { assignAdvantages, hasGreedyBaseline } from '../objectives.ts'
import type { Policy } from '../policy.ts'
import type { PromptRow } from '../prompts.ts'
import type { ReportSample } from '../report/report-data.ts'
import { appendColumns, columnsOf, type RolloutBatch, takeRows } from '../rollouts.ts'
import { baselineColumn, greedyBaseline } from '../trainer/greedy-baseline.ts'
import type { VerifierPool } from '../verify.ts'

/** Samples of one prompt. */
export interface ExampleGroup {
  promptId: string
  samples: ReportSample[]
}

/**
 * A policy's samples of a few prompts as a report shows them: each token with its log-prob and, where an objective is
 * given, its weight in the loss if the group were an optimiser batch of its own.
 */
export async function exampleGroups(
  policy: Policy,
  prompts: readonly PromptRow[],
  pool: VerifierPool,
  options: {
    objective: ResolvedObjective | undefined
    /** Of the objective's KL; needed where that is taken off the reward. */
    reference: Policy | undefined
    numGenerations: number
    maxCompletionLength: number
    seed: number
  },
): Promise<ExampleGroup[]> {
  if (prompts.length === 0) return []
  const { objective, reference, ...sampling } = options
  const judged = await judge(await policy.generateAll(prompts, { ...sampling, step: EXAMPLE_STEP }), pool)
  const withKl = reference === undefined ? judged : await withReference(judged, reference)
  const rollouts =
    objective !== undefined && hasGreedyBaseline(objective)
      ? await withGreedyBaseline(withKl, policy, prompts, pool, { objective, ...sampling })
      : withKl
  const { groupIds } = columnsOf(rollouts)
  return prompts.map(({ promptId }, i) => {
    const rows = Array.from(groupIds.keys()).filter((row) => groupIds[row] === i)
    return { promptId, samples: samplesOf(takeRows(rollouts, rows), policy, objective) }
  })
}

async function withReference(rollouts: RolloutBatch, reference: Policy): Promise<RolloutBatch> {
  const { offsets } = columnsOf(rollouts).completionTokens
  const { logprobs } = await reference.score(rollouts, { entropies: false })
  return appendColumns(rollouts, { ref_logprobs: { values: logprobs, offsets } })
}

async function withGreedyBaseline(
  rollouts: RolloutBatch,
  policy: Policy,
  prompts: readonly PromptRow[],
  pool: VerifierPool,
  { objective, maxCompletionLength }: { objective: ResolvedObjective; maxCompletionLength: number },
): Promise<RolloutBatch> {
  const greedy = await greedyBaseline(policy, prompts, pool, { maxCompletionLength }, objective)
  return appendColumns(rollouts, { baseline_reward: baselineColumn(greedy, columnsOf(rollouts)) })
}

/** Not the noise of a training step, nor that of an evaluation. */
const EXAMPLE_STEP = 2 ** 32 - 2

function samplesOf(
  group: RolloutBatch,
  policy: Policy,
  objective: ResolvedObjective | undefined,
): ReportSample[] {
  const { rows, completionTokens, logprobs, rewards = [], verdicts = [], finishReasons } = columnsOf(group)
  const weights = objective && tokenWeights(group, objective)
  return Array.from({ length: rows }, (_, row) => {
    const [begin, end] = [completionTokens.offsets[row]!, completionTokens.offsets[row + 1]!]
    const ids = completionTokens.values.subarray(begin, end)
    const tokens = policy.tokenizer?.decodeTokens(ids) ?? Array.from(ids, String)
    const shift = logprobs.offsets[row]! - begin
    return {
      tokens,
      logprobs: Array.from(logprobs.values.subarray(begin + shift, end + shift)),
      ...(weights?.has(row) && { token_weights: weights.get(row)! }),
      verdict: verdicts[row] ?? 'unparsed',
      reward: rewards[row] ?? null,
      finish_reason: finishReasons[row]!,
    }
  })
}

/** advantage x mask / denominator of each token of the rows that the objective keeps. */
function tokenWeights(group: RolloutBatch, objective: ResolvedObjective): Map<number, number[]> {
  const judged = judgedColumns(columnsOf(group))
  const advantages = assignAdvantages(judged, objective)
  const weighed = weighTokens(advantages.keptRows, advantages, judged.completions, objective, 'f64')
  const byRow = new Map<number, number[]>()
  weighed?.rows.forEach((row, i) => {
    const span = [weighed.offsets[i]!, weighed.offsets[i + 1]!] as const
    const norms = weighed.norm.subarray(...span)
    byRow.set(
      row,
      Array.from(weighed.advantages.subarray(...span), (advantage, t) => advantage * norms[t]!),
    )
  })
  return byRow
}
