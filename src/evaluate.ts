import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { invalidArgument } from './errors.ts'
import { collapsedText, type DistinctKey, type GradedPrompt, gradePrompt } from './evaluate/graded-prompt.ts'
import { GroupJudge, judge, verdictColumns } from './judge.ts'
import { refuseUnknownKeys, requireInteger } from './options.ts'
import type { GenerateOptions, Policy } from './policy.ts'
import type { PromptRow } from './prompts.ts'
import { replaceFile } from './replace-file.ts'
import { appendColumns, columnsOf, type RolloutBatch, writeTable } from './rollouts.ts'
import { distinctRightAnswers } from './statistics/answers.ts'
import {
  type BootstrapOptions,
  bootstrapMeans,
  type MeanInterval,
  type PassAtKTable,
} from './statistics/bootstrap.ts'
import { majorityAtKTable } from './statistics/majority-at-k.ts'
import type { RightCount } from './statistics/pass-at-k.ts'
import { passAtKTable } from './statistics/pass-at-k-table.ts'
import { isRight } from './verdicts.ts'
import { createVerifierPool, type VerifierPool, type VerifierSource, type VerifyOptions } from './verify.ts'

export type { DistinctKey } from './evaluate/graded-prompt.ts'

export interface EvaluateOptions
  extends Pick<
    GenerateOptions,
    'temperature' | 'topP' | 'topK' | 'minP' | 'maxCompletionLength' | 'stopTokens'
  > {
  policy: Policy
  prompts: readonly PromptRow[]
  verifier: VerifierSource
  /** Completions sampled of each prompt. Default 256. */
  n?: number
  /** Seed of the sampling noise. Default 0. */
  seed?: number
  /** The ks of pass@k. Default: 1, 2, 4 ... and n. */
  ks?: readonly number[]
  /** The ks of majority@k, which takes time in k squared between 1 and n. Default: 1, 2, 4, 8 and n. */
  majorityKs?: readonly number[]
  bootstrap?: BootstrapOptions
  /** Whether a greedy completion of each prompt is judged too. Default true. */
  greedy?: boolean
  /** Tells equal answers from different ones, for majority@k and distinct answers. Default: the text, white space aside. */
  distinctKey?: DistinctKey
  /** A folder for passk.json, evaluation.json and rollouts.arrow. Default: nothing is written. */
  out?: string
  /** Whether the rollouts are written too, where there is a folder. Default true. */
  keepRollouts?: boolean
  verify?: VerifyOptions
  signal?: AbortSignal
  /** Called with the prompts that are done, the greedy pass counted as one prompt more. */
  onProgress?: (done: number, total: number) => void
}

/** A policy on held-out prompts. Intervals are bootstrapped over prompts; rates are fractions from 0 to 1. */
export interface Evaluation {
  prompts: number
  n: number
  passAtK: PassAtKTable
  majorityAtK: PassAtKTable
  greedyAccuracy: MeanInterval | null
  /** Different right answers a prompt found among its n completions. */
  distinctRight: MeanInterval
  /** Nats a token over the full vocabulary, mean over all completion tokens. */
  entropy: number
  unparsedRate: number
  timedOutRate: number
  /** Verdicts by the deadline or the memory cap, the greedy pass included: with any, the figures are those of this once. */
  clockVerdicts: number
  /** Tokens of a completion. */
  meanLength: number
  /** One entry a prompt, in the prompts' order. */
  rightCounts: RightCount[]
}

const OPTION_NAMES = [
  ...[
    'policy',
    'prompts',
    'verifier',
    'n',
    'seed',
    'ks',
    'majorityKs',
    'bootstrap',
    'greedy',
    'distinctKey',
    'out',
  ],
  ...['keepRollouts', 'verify', 'signal', 'onProgress'],
  ...['temperature', 'topP', 'topK', 'minP', 'maxCompletionLength', 'stopTokens'],
]

/** The noise of an evaluation must not be the one that any training step drew, even with the same seed. */
const EVALUATION_STEP = 2 ** 32 - 1

/**
 * Samples n completions of each prompt, judges them and estimates pass@k (unbiased, with bootstrap intervals over
 * prompts), majority@k, greedy accuracy, token entropy and the number of distinct right answers.
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
  refuseUnknownKeys(options, OPTION_NAMES, 'evaluate')
  const { policy, prompts, n = 256, out } = options
  requireInteger(n, 'evaluate: n', 1)
  if (prompts.length === 0) throw invalidArgument('evaluate: prompts', 'at least one prompt', prompts)
  for (const name of ['ks', 'majorityKs'] as const) {
    for (const k of options[name] ?? []) requireInteger(k, `evaluate: ${name}`, 1, n)
  }
  const greedily = options.greedy ?? true
  const total = prompts.length + (greedily ? 1 : 0)
  await using pool = await createVerifierPool(options.verifier, options.verify)
  options.onProgress?.(0, total)
  const greedy = greedily ? await evaluateGreedily(policy, prompts, pool, options) : null
  const offset = greedily ? 1 : 0
  options.onProgress?.(offset, total)
  const graded: GradedPrompt[] = []
  const groups = judgedGroups(pool, options, n, (group) => {
    graded.push(gradePrompt(group, options.distinctKey ?? collapsedText))
    options.onProgress?.(graded.length + offset, total)
  })
  if (out !== undefined) await mkdir(out, { recursive: true })
  if (out !== undefined && options.keepRollouts !== false) {
    await writeTable(join(out, 'rollouts.arrow'), groups)
  } else {
    for await (const _ of groups);
  }
  const evaluation = summarise(graded, n, greedy?.accuracy ?? null, pool.clockVerdicts, options)
  if (out !== undefined) {
    await replaceFile(join(out, 'passk.json'), `${JSON.stringify(evaluation.passAtK, null, 2)}\n`)
    await replaceFile(
      join(out, 'evaluation.json'),
      `${JSON.stringify(evaluationRecord(evaluation), null, 2)}\n`,
    )
  }
  return evaluation
}

/** Judged groups in the order of the prompts, whatever order they finish in. */
async function* judgedGroups(
  pool: VerifierPool,
  options: EvaluateOptions,
  n: number,
  onGroup: (group: RolloutBatch) => void,
): AsyncGenerator<RolloutBatch> {
  const { policy, prompts, signal } = options
  const early = new Map<number, RolloutBatch>()
  let next = 0
  const generated = policy.generate(prompts, {
    ...samplingOf(options),
    numGenerations: n,
    seed: options.seed ?? 0,
    step: EVALUATION_STEP,
    entropies: true,
    ...(signal && { signal }),
  })
  for await (const group of generated) {
    const judged = await judge(group, pool, signal === undefined ? {} : { signal })
    early.set(columnsOf(judged).groupIds[0]!, judged)
    for (let ready = early.get(next); ready !== undefined; ready = early.get(next)) {
      early.delete(next++)
      onGroup(ready)
      yield ready
    }
  }
}

function samplingOf(options: EvaluateOptions): GenerateOptions {
  const names = ['temperature', 'topP', 'topK', 'minP', 'maxCompletionLength', 'stopTokens'] as const
  return Object.fromEntries(
    names.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])),
  )
}

export interface GreedyEvaluation {
  /** Share of prompts whose greedy completion is right. */
  accuracy: MeanInterval
  rollouts: RolloutBatch
}

/** Judges one greedy completion of each prompt. */
export async function evaluateGreedily(
  policy: Policy,
  prompts: readonly PromptRow[],
  pool: VerifierPool,
  options: Pick<EvaluateOptions, 'maxCompletionLength' | 'stopTokens' | 'signal' | 'bootstrap'> &
    Pick<GenerateOptions, 'maxLiveSequences'> = {},
): Promise<GreedyEvaluation> {
  const { maxCompletionLength, maxLiveSequences, stopTokens, signal } = options
  const judging = new GroupJudge(pool, signal === undefined ? {} : { signal })
  let judged: RolloutBatch
  try {
    const rollouts = await policy.generateAll(prompts, {
      numGenerations: 1,
      temperature: 0,
      ...(maxCompletionLength !== undefined && { maxCompletionLength }),
      ...(maxLiveSequences !== undefined && { maxLiveSequences }),
      ...(stopTokens !== undefined && { stopTokens }),
      ...(signal !== undefined && { signal }),
      onGroup: (group) => judging.add(group),
    })
    judged = appendColumns(rollouts, verdictColumns(await judging.finish(), pool))
  } finally {
    judging.close()
  }
  const { rewards = [], verdicts } = columnsOf(judged)
  const right = rewards.map((reward, row) => (isRight(reward, verdicts?.[row]) ? 1 : 0))
  return { accuracy: bootstrapMeans([right], options.bootstrap)[0]!, rollouts: judged }
}

function summarise(
  graded: readonly GradedPrompt[],
  n: number,
  greedyAccuracy: MeanInterval | null,
  clockVerdicts: number,
  { ks, majorityKs, bootstrap = {} }: EvaluateOptions,
): Evaluation {
  const sum = (pick: (prompt: GradedPrompt) => number) =>
    graded.reduce((total, prompt) => total + pick(prompt), 0)
  const samples = graded.length * n
  const tokens = sum((prompt) => prompt.completionTokens)
  const rightCounts = graded.map((prompt) => prompt.rightCount)
  const answers = graded.map((prompt) => prompt.answers)
  return {
    prompts: graded.length,
    n,
    passAtK: passAtKTable(rightCounts, ks, bootstrap),
    majorityAtK: majorityAtKTable(answers, majorityKs ?? [1, 2, 4, 8, n].filter((k) => k <= n), bootstrap),
    greedyAccuracy,
    distinctRight: bootstrapMeans([answers.map(distinctRightAnswers)], bootstrap)[0]!,
    entropy: sum((prompt) => prompt.entropy) / Math.max(1, tokens),
    unparsedRate: sum((prompt) => prompt.unparsed) / samples,
    timedOutRate: sum((prompt) => prompt.timedOut) / samples,
    clockVerdicts,
    meanLength: tokens / samples,
    rightCounts,
  }
}

/** An evaluation as evaluation.json holds it. */
export function evaluationRecord(evaluation: Evaluation): Record<string, unknown> {
  return {
    prompts: evaluation.prompts,
    n: evaluation.n,
    pass_at_k: evaluation.passAtK,
    majority_at_k: evaluation.majorityAtK,
    greedy_accuracy: evaluation.greedyAccuracy,
    distinct_right: evaluation.distinctRight,
    entropy: evaluation.entropy,
    unparsed_rate: evaluation.unparsedRate,
    timed_out_rate: evaluation.timedOutRate,
    clock_verdicts: evaluation.clockVerdicts,
    regenerable: evaluation.clockVerdicts === 0,
    mean_length: evaluation.meanLength,
    right_counts: evaluation.rightCounts,
  }
}
