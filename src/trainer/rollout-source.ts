import type { RolloutBatch, RolloutColumns } from '../rollouts.ts'
import type { PhaseClock } from './step-metrics.ts'

/** A step's rollouts with rewards and verdicts. */
export interface JudgedRollouts {
  columns: RolloutColumns
  /** The whole of them, which nothing is learnt from. */
  toBatch: () => RolloutBatch
  /** Prompt and completion tokens processed, those of greedy completions too. */
  tokens: number
  /** Of how they came about. */
  metrics: Record<string, number>
}

/** Where a run's rollouts come from. */
export interface RolloutSource {
  of(step: number, clock: PhaseClock): Promise<JudgedRollouts>
}
