import { readFileSync } from 'node:fs'
import type { Verdict } from '../../src/verdicts.ts'

/** A reference, a response to it, and the verdict that a person gave after docs/grading.md. */
export interface LabelledPair {
  id: string
  kind: string
  reference: string
  response: string
  verdict: Verdict
  /** Options of the verifier `math` that the label rests on. */
  policy?: Record<string, string> | string
}

export const LABELLED_SETS = ['tuning', 'held-out', 'second-held-out'] as const

export function labelledPairs(set: (typeof LABELLED_SETS)[number]): LabelledPair[] {
  return readFileSync(new URL(`./math/${set}.jsonl`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LabelledPair)
}

/** The verifier under which a pair was labelled, as `--verifier` takes it. */
export function verifierOf({ policy }: LabelledPair): string {
  if (policy === undefined) return 'math'
  const options = typeof policy === 'string' ? policy : Object.entries(policy).map((pair) => pair.join('='))
  return `math:${options}`
}
