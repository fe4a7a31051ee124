import { GroupJudge } from '../judge.ts'
import type { ResolvedOptions } from '../objective-options.ts'
import type { GenerateOptions, Policy } from '../policy.ts'
import type { PromptRow } from '../prompts.ts'
import type { RolloutColumns } from '../rollouts.ts'
import type { VerifierPool } from '../verify.ts'
import { tokenCount } from './step-metrics.ts'

/** What the greedy completions of some prompts are worth. */
export interface GreedyBaseline {
  /** One a prompt; null where the verifier gave none, or one that the objective masks. */
  rewards: (number | null)[]
  /** Prompt and completion tokens that were processed. */
  tokens: number
}

/** The sampling of a run that holds for its greedy completions, too. */
export type GreedySampling = Pick<
  GenerateOptions,
  'maxCompletionLength' | 'maxLiveSequences' | 'stopTokens' | 'promptIndices' | 'signal'
>

/** Samples and judges one greedy completion of each prompt: the baseline of `remax`. */
export async function greedyBaseline(
  policy: Policy,
  prompts: readonly PromptRow[],
  pool: VerifierPool,
  sampling: GreedySampling,
  { unparsed, timedOut }: Pick<ResolvedOptions, 'unparsed' | 'timedOut'>,
): Promise<GreedyBaseline> {
  const { signal } = sampling
  const judging = new GroupJudge(pool, { ...(signal !== undefined && { signal }) })
  try {
    const { columns } = await policy.generateColumns(prompts, {
      ...{ ...sampling, temperature: 0, numGenerations: 1 },
      onGroup: (group) => judging.add(group),
    })
    const rewards = (await judging.finish()).map(({ reward, verdict }) => {
      const masked =
        (verdict === 'unparsed' && unparsed === 'mask') || (verdict === 'timed-out' && timedOut === 'mask')
      return reward === null || masked ? null : Math.fround(reward)
    })
    return { rewards, tokens: tokenCount(columns) }
  } finally {
    judging.close()
  }
}

/** The column of the rollouts of `numGenerations` completions of each prompt. */
export function baselineColumn({ rewards }: GreedyBaseline, { rows }: RolloutColumns): (number | null)[] {
  const numGenerations = rows / rewards.length
  return Array.from({ length: rows }, (_, row) => rewards[Math.floor(row / numGenerations)]!)
}
