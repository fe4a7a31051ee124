import type { Policy, TokenColumns } from '../../index.ts'
import { promptsOfLength } from './model-shapes.ts'
import { type Timing, timeRuns } from './time-runs.ts'

/** Seconds of single optimiser steps of maximum likelihood, with the defaults of `supervisedStep`. */
export function timeSteps(policy: Policy, rows: TokenColumns, timing: Timing): Promise<number[]> {
  return timeRuns(timing, () => policy.supervisedStep(rows, { learningRate: 1e-5 }))
}

export interface Sampled {
  prompts: number
  /** Completions of each prompt. */
  samples: number
  promptLength: number
  completionLength: number
}

/** Seconds of single generations, at temperature 1 and without a stop token; the noise differs from run to run. */
export function timeGenerations(policy: Policy, sampled: Sampled, timing: Timing): Promise<number[]> {
  const { prompts, samples, promptLength, completionLength } = sampled
  const rows = promptsOfLength(policy.config.vocabSize, prompts, promptLength)
  let step = 0
  return timeRuns(timing, () =>
    policy.generateAll(rows, {
      ...{ numGenerations: samples, maxCompletionLength: completionLength, stopTokens: [], step: step++ },
      maxLiveSequences: prompts * samples,
    }),
  )
}
