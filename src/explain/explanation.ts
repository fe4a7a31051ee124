import type { ResolvedObjective } from '../objective-options.ts'
import type { EmptyClass } from '../objectives.ts'
import type { FinishReason } from '../rollouts.ts'
import type { Verdict } from '../verdicts.ts'
import type { StepOptions } from './optimizer-step.ts'

/** What an optimiser step on a batch of rollouts does to the tokens of some of its rows. */
export interface Explanation {
  objective: ResolvedObjective
  optimizer: StepOptions
  /** Optimiser steps that made the moments that AdamW began with; 0: it began without any. */
  momentSteps: number
  /** Rows of the batch, all of which are the one optimiser batch. */
  batchRows: number
  /** Why no step was made (nothing wrong for nsr ...): nothing moves then, and what comes after the step is null. */
  skipped: EmptyClass | undefined
  /** Those of the update, as `Policy.update` gives them. */
  metrics: Record<string, number>
  /** Largest |log-prob - recorded log-prob| of the batch's tokens: exactly 0 where this policy sampled them itself. */
  maxRecordedGap: number
  rows: ExplainedRow[]
}

export interface ExplainedRow {
  /** Index in the batch. */
  row: number
  groupId: number
  sampleIndex: number
  reward: number | null
  /** null where the batch has no column `verdict`, too. */
  verdict: Verdict | null
  finishReason: FinishReason
  temperature: number
  /** Null where the batch has no column `prompt`. */
  prompt: string | null
  /** Whether the objective keeps the row for the update; the tokens of others weigh nothing, and move with those that do. */
  kept: boolean
  /** Null where the row is not kept. */
  advantage: number | null
  /** Tokens of the completion, of which `tokens` may hold the first alone. */
  completionLength: number
  tokens: ExplainedToken[]
}

/** Log-probs and entropies are under the row's temperature, in nats. */
export interface ExplainedToken {
  /** Index in the completion. */
  position: number
  id: number
  /** Null without a tokenizer. */
  text: string | null
  /** Whether the token takes part: its row is kept, and the policy produced it. */
  active: boolean
  logprob: number
  /** As recorded when it was sampled. */
  recordedLogprob: number
  entropy: number
  /** mask / denominator of the whole optimiser batch. */
  norm: number
  /** Minus the derivative of the loss by the token's log-prob. */
  weight: number
  /** Minus the derivative of the loss by the entropy at the token. */
  entropyWeight: number
  /** exp(logprob - recorded); with the importance level `sequence` that of the completion, exp of the mean over active tokens. */
  ratio: number
  /** The bound of the clip that took the token's gradient away. */
  clipped: 'low' | 'high' | null
  /** Minus the derivative of the loss by the token's own logit: what it would move by, were logits the parameters. */
  logitDescent: number
  /** After the step. */
  logprobAfter: number | null
  entropyAfter: number | null
  /** The likeliest tokens before the step, the one sampled among them where it is one. */
  alternatives: Alternative[]
}

export interface Alternative {
  id: number
  text: string | null
  sampled: boolean
  logprob: number
  logprobAfter: number | null
  /** As the sampled token's. */
  logitDescent: number
}
