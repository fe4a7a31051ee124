import { Float32, vectorFromArray } from 'apache-arrow'
import type { SampledGroup } from './policy.ts'
import {
  appendColumns,
  type ColumnValues,
  FINISH_REASONS,
  hasColumn,
  type ListView,
  type RolloutBatch,
  type RolloutColumns,
  textColumn,
  tokenColumnsOf,
} from './rollouts.ts'
import type { Judgement, Sample } from './verdicts.ts'
import type { Verification, VerifierPool, VerifyCallOptions } from './verify.ts'

const NO_TOKENS = new Int32Array(0)

/**
 * The rows of a batch as a verifier sees them. Only a completion is needed (`completion`, or `prediction`); `reference`
 * (or `gold`), `prompt`, `prompt_id`, tokens and finish reason are given where the batch has them.
 */
export function samplesOf(batch: RolloutBatch): Sample[] {
  const text = (...names: string[]) => {
    const name = names.find((each) => hasColumn(batch, each))
    return name === undefined ? undefined : textColumn(batch, name)
  }
  const completions = text('completion', 'prediction') ?? textColumn(batch, 'completion')
  const references = text('reference', 'gold')
  const prompts = text('prompt')
  const promptIds = text('prompt_id')
  const finishReasons = text('finish_reason')
  const tokens =
    hasColumn(batch, 'prompt_tokens') && hasColumn(batch, 'completion_tokens')
      ? tokenColumnsOf(batch)
      : undefined
  const rowOf = ({ values, offsets }: { values: Int32Array; offsets: Int32Array }, row: number) =>
    values.subarray(offsets[row], offsets[row + 1])
  return Array.from({ length: batch.numRows }, (_, row) => ({
    promptId: promptIds?.[row] ?? String(row),
    prompt: prompts?.[row] ?? '',
    reference: references?.[row] ?? '',
    completion: completions[row] ?? '',
    promptTokens: tokens === undefined ? NO_TOKENS : rowOf(tokens.promptTokens, row),
    completionTokens: tokens === undefined ? NO_TOKENS : rowOf(tokens.completionTokens, row),
    finishReason: FINISH_REASONS.find((reason) => reason === finishReasons?.[row]) ?? 'stop',
  }))
}

/** The column of one verifier's own reward where several make one; null where it abstained, failed or came late. */
export function partColumn(name: string): string {
  return `reward_${name}`
}

/** The batch with the columns `reward` and `verdict`, and `reward_<name>` of each verifier where several make the reward. */
export async function judge(
  batch: RolloutBatch,
  pool: VerifierPool,
  options: VerifyCallOptions = {},
): Promise<RolloutBatch> {
  return appendColumns(batch, verdictColumns(await pool.verify(samplesOf(batch), options), pool))
}

/**
 * Judges rollouts while they are sampled: each group as soon as it has ended, beside the engine's work on the others. Close it in
 * any case.
 */
export class GroupJudge {
  readonly #call: Verification
  /** The prompt of each group, in the order in which the groups have come. */
  readonly #prompts: number[] = []

  constructor(pool: VerifierPool, options: VerifyCallOptions = {}) {
    this.#call = pool.open(options)
  }

  /** Throws what the verification has failed with. */
  add({ prompt, samples }: SampledGroup): void {
    this.#prompts.push(prompt)
    this.#call.add(samples)
  }

  /** A judgement for each row of all groups that have come, in the order of their prompts. */
  async finish(): Promise<Judgement[]> {
    const judgements = await this.#call.finish()
    const groupRows = judgements.length / this.#prompts.length
    const ordered = new Array<Judgement>(judgements.length)
    this.#prompts.forEach((prompt, group) => {
      for (let row = 0; row < groupRows; row++)
        ordered[prompt * groupRows + row] = judgements[group * groupRows + row]!
    })
    return ordered
  }

  /** Gives up what is not judged yet. */
  close(): void {
    this.#call.close()
  }
}

/** `reward` and `verdict`, and `reward_<name>` of each verifier where several make the reward: the verdicts stage's columns. */
export function verdictColumns(
  judgements: readonly Judgement[],
  { parts }: VerifierPool,
): Record<string, ColumnValues> {
  return {
    reward: judgements.map(({ reward }) => reward),
    verdict: judgements.map(({ verdict }) => verdict),
    ...Object.fromEntries(
      parts.map((name, part) => [
        partColumn(name),
        vectorFromArray(
          judgements.map(({ partRewards }) => partRewards?.[part] ?? null),
          new Float32(),
        ),
      ]),
    ),
  }
}

/** The columns with what the judgements say of each row; rewards as the column `reward` holds them, in fp32. */
export function judgedRollouts(columns: RolloutColumns, judgements: readonly Judgement[]): RolloutColumns {
  return {
    ...columns,
    rewards: judgements.map(({ reward }) => (reward === null ? null : Math.fround(reward))),
    verdicts: judgements.map(({ verdict }) => verdict),
  }
}

/** Judged rollouts as the rules of the objectives take them. */
export function judgedColumns(rollouts: RolloutColumns) {
  const { rewards = [], verdicts, groupIds, finishReasons, completionMask, logprobs, refLogprobs } = rollouts
  const { baselineRewards } = rollouts
  const completions = { offsets: completionMask.offsets, mask: completionMask.values }
  const values = (view: ListView<Float32Array>) => view.values.subarray(view.offsets[0], view.offsets.at(-1))
  const klLogprobs = refLogprobs && { old: values(logprobs), ref: values(refLogprobs) }
  return { rewards, verdicts, groupIds, finishReasons, baselineRewards, completions, klLogprobs }
}

/** Mean reward of each verifier, where several make the reward, over the rows that have one; before weights. */
export function partRewardMeans(batch: RolloutBatch, pool: VerifierPool): Record<string, number> {
  const means: Record<string, number> = {}
  for (const name of pool.parts) {
    // Rollouts that were judged before the run may have no more than the whole reward.
    const rewards = [...(batch.getChild(partColumn(name)) ?? [])].filter((reward) => reward !== null)
    if (rewards.length > 0) means[name] = rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length
  }
  return means
}
