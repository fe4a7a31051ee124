import { requireInteger, requireNumber, requireOneOf } from '../options.ts'

export const LEARNING_RATE_SCHEDULES = ['constant', 'cosine', 'linear'] as const
export type LearningRateSchedule = (typeof LEARNING_RATE_SCHEDULES)[number]

export interface LearningRateOptions {
  /** The peak rate. */
  learningRate: number
  /** After the warm-up: stay (`constant`), or fall towards 0 at the last step along half a cosine or a line. */
  learningRateSchedule: LearningRateSchedule
  /** Steps in which the rate climbs from peak / warmupSteps to the peak; 0: none. */
  warmupSteps: number
  /** All steps of the run. */
  steps: number
}

/**
 * The rate of step `step` (from 1 to `steps`). A step is one rollout batch: all its optimiser updates have this rate, and
 * a step that makes no update passes all the same. No step has rate 0: the first is the warm-up's first fraction, and
 * a falling schedule would reach 0 one step after the last.
 */
export function learningRateAt(step: number, options: LearningRateOptions): number {
  const { learningRate, warmupSteps, steps } = options
  if (step <= warmupSteps) return (learningRate * step) / warmupSteps
  const passed = (step - 1 - warmupSteps) / Math.max(1, steps - warmupSteps)
  switch (options.learningRateSchedule) {
    case 'constant':
      return learningRate
    case 'linear':
      return learningRate * (1 - passed)
    case 'cosine':
      return (learningRate * (1 + Math.cos(Math.PI * passed))) / 2
  }
}

/** Refuses rates and warm-ups that make no sense together. */
export function checkLearningRate(options: LearningRateOptions): void {
  requireNumber(options.learningRate, 'learningRate', 0)
  requireOneOf(options.learningRateSchedule, 'learningRateSchedule', LEARNING_RATE_SCHEDULES)
  requireInteger(options.warmupSteps, 'warmupSteps', 0, options.steps)
}
