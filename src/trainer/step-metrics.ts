import type { RowAdvantages } from '../objectives.ts'
import type { RolloutColumns, TokenColumns } from '../rollouts.ts'

/** Keys of metrics that tell of time: the only ones in which two runs with the same seed differ. */
export const TIME_PREFIX = 'seconds/'

/** Measures the phases of a step. */
export class PhaseClock {
  readonly #seconds: Record<string, number> = {}
  readonly #begin = performance.now()

  async time<T>(phase: string, work: () => Promise<T>): Promise<T> {
    const begin = performance.now()
    try {
      return await work()
    } finally {
      this.add(phase, (performance.now() - begin) / 1000)
    }
  }

  /** Seconds that something else has measured. */
  add(phase: string, seconds: number): void {
    this.#seconds[phase] = (this.#seconds[phase] ?? 0) + seconds
  }

  /** `seconds/<phase>` of every phase and `seconds/step` of all, to the tenth of a millisecond. */
  metrics(): Record<string, number> {
    const all = { ...this.#seconds, step: (performance.now() - this.#begin) / 1000 }
    return Object.fromEntries(
      Object.entries(all).map(([phase, seconds]) => [
        `${TIME_PREFIX}${phase}`,
        Math.round(seconds * 1e4) / 1e4,
      ]),
    )
  }
}

/** What rollouts say before anything is learnt from them; TRL's keys. */
export function rolloutMetrics(rollouts: RolloutColumns, advantages: RowAdvantages): Record<string, number> {
  const { rows, completionTokens, entropies, finishReasons } = rollouts
  const { offsets } = completionTokens
  let shortest = Number.POSITIVE_INFINITY
  let longest = 0
  for (let row = 0; row < rows; row++) {
    const length = offsets[row + 1]! - offsets[row]!
    shortest = Math.min(shortest, length)
    longest = Math.max(longest, length)
  }
  const metrics: Record<string, number> = {
    ...advantages.metrics,
    'completions/mean_length': spanOf(offsets) / rows,
    'completions/min_length': shortest,
    'completions/max_length': longest,
    'completions/clipped_ratio': finishReasons.filter((reason) => reason === 'length').length / rows,
  }
  if (entropies !== undefined) {
    const values = entropies.values.subarray(entropies.offsets[0], entropies.offsets.at(-1))
    metrics.entropy = values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
  }
  return metrics
}

/** How many optimiser steps the policy that learns is ahead of the one that made the rollouts. */
export function stalenessMetrics({ policyStep }: RolloutColumns, now: number): Record<string, number> {
  const ages = Array.from(policyStep, (made) => now - made)
  const sum = ages.reduce((total, age) => total + age, 0)
  return { 'staleness/mean': sum / ages.length, 'staleness/max': ages.reduce((a, b) => Math.max(a, b)) }
}

/** Prompt and completion tokens of rollouts, each row's prompt counted. */
export function tokenCount({ promptTokens, completionTokens }: TokenColumns): number {
  return spanOf(promptTokens.offsets) + spanOf(completionTokens.offsets)
}

function spanOf(offsets: Int32Array): number {
  return offsets.at(-1)! - offsets[0]!
}
