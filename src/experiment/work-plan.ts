import type { Task } from '../tasks/task.ts'
import type { ArmSettings, ExperimentSettings } from './settings.ts'

/** How far an experiment is, in units of estimated work. */
export interface ExperimentProgress {
  done: number
  total: number
  /** What is being done, in a few words. */
  stage: string
  /** Whether the stage is over; one that was done before is told of in this way only. */
  finished: boolean
  /** Live figures of the stage. */
  figures: Readonly<Record<string, number>>
}

/**
 * Estimated cost of a token by what is done with it, relative to one of a supervised step. Only the estimate of the
 * remaining time rests on these; measured on small models on two cores.
 */
const COST = { learn: 1, sample: 0.45, verify: 0.08 }
/** What beginning and ending a stage costs on top: loading a policy, writing files. */
const STAGE_COST = 1e4

/** Adds up what an experiment has to do, so that one bar can show it all. */
export class WorkPlan {
  readonly #costs = new Map<string, number>()
  readonly #listen: (progress: ExperimentProgress) => void
  #total = 0
  #finished = 0

  constructor(listen: (progress: ExperimentProgress) => void) {
    this.#listen = listen
  }

  add(stage: string, cost: number): void {
    this.#costs.set(stage, STAGE_COST + cost)
    this.#total += STAGE_COST + cost
  }

  /** Tells that `share` of a stage is done. */
  tell(stage: string, share: number, figures: Readonly<Record<string, number>> = {}): void {
    const done = this.#finished + share * (this.#costs.get(stage) ?? 0)
    this.#listen({ done, total: this.#total, stage, finished: false, figures })
  }

  finish(stage: string): void {
    this.#finished += this.#costs.get(stage) ?? 0
    this.#costs.delete(stage)
    this.#listen({ done: this.#finished, total: this.#total, stage, finished: true, figures: {} })
  }
}

export const baseStage = 'base policy'
export const reportStage = 'report'

export function trainStage(
  arm: ArmSettings,
  method: string,
  seed: number,
  settings: ExperimentSettings,
): string {
  return `train ${runName(arm, method, seed, settings)}`
}

export function evaluateStage(run: string, set: string): string {
  return `evaluate ${run} on ${set}`
}

/** A run in a few words: the method, the arm unless it is the main one, the seed where there are several. */
export function runName(
  arm: ArmSettings,
  method: string,
  seed: number,
  settings: ExperimentSettings,
): string {
  const armName = arm === settings.arms[0] ? '' : ` (${arm.name})`
  return `${method}${armName}${settings.seeds.length > 1 ? ` seed ${seed}` : ''}`
}

/** Every stage of an experiment with its estimated cost, in order. */
export function planWork(plan: WorkPlan, settings: ExperimentSettings, task: Task): void {
  const { base, training, evaluation, methods, seeds, arms } = settings
  const rowTokens = task.maxPromptLength + task.maxCompletionLength
  const sampled = rowTokens * (COST.sample + COST.verify)
  const evaluated = (set: string) =>
    evaluation.sets.find(({ name }) => name === set)!.prompts * evaluation.n * sampled
  plan.add(baseStage, base.steps * base.batchRows * rowTokens * COST.learn)
  for (const { name } of evaluation.sets) plan.add(evaluateStage('base', name), evaluated(name))
  const rows = (training.promptsPerStep ?? 32) * (training.numGenerations ?? 8)
  for (const arm of arms) {
    for (const seed of seeds) {
      for (const { name } of methods) {
        const learned = rowTokens * COST.learn * (training.numIterations ?? 1)
        plan.add(trainStage(arm, name, seed, settings), arm.steps * rows * (sampled + learned))
        for (const set of arm.sets)
          plan.add(evaluateStage(runName(arm, name, seed, settings), set), evaluated(set))
      }
    }
  }
  // Drawing takes about as long as a few hundred thousand tokens.
  plan.add(reportStage, 3e5)
}
