import type { Judgement, Sample } from '../verdicts.ts'

/** What became of one sample: a judgement, or a verifier that failed on it. */
export type Outcome =
  /** `byClock`: the deadline or the memory cap gave the verdict and not the verifier, so another run may judge otherwise. */
  { judgement: Judgement; byClock?: true } | { failure: string }

/** Runs one sample at a time; the two kinds are a function in this process and a process of its own. */
export interface SampleRunner {
  /** How many samples may run at once. */
  readonly concurrency: number
  /** Never rejects because of what a verifier does to itself; rejects when the verifier cannot be started any more. */
  run(sample: Sample, signal: AbortSignal): Promise<Outcome> | Outcome
  dispose(): Promise<void>
}

/** The judgement of a sample that took longer than it was given. */
export function timedOut(reason: string): Outcome {
  return { judgement: { verdict: 'timed-out', reward: 0, reason }, byClock: true }
}

/** The judgement of a sample on which the verifier failed: unparsed, and without a reward it takes no part in training. */
export function abstention(failure: string): Judgement {
  return { verdict: 'unparsed', reward: null, reason: failure }
}
