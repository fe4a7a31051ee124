import type { Policy, TopLogprobs } from '../policy.ts'
import { columnsOf, type RolloutBatch, type RolloutColumns, takeRows } from '../rollouts.ts'

/** The rows of a batch that are shown, and which of their tokens. */
export interface ShownTokens {
  batch: RolloutBatch
  columns: RolloutColumns
  /** Indices in the whole batch. */
  rows: readonly number[]
  /** The shown tokens among all completion tokens of `batch`, rising. */
  places: Int32Array
  /** Row i's are places[offsets[i]] .. places[offsets[i + 1] - 1]. */
  offsets: Int32Array
}

export function shownTokens(whole: RolloutBatch, rows: readonly number[], maxTokens: number): ShownTokens {
  const batch = takeRows(whole, rows)
  const columns = columnsOf(batch)
  const { offsets: spans } = columns.completionTokens
  const places: number[] = []
  const offsets = new Int32Array(rows.length + 1)
  for (let i = 0; i < rows.length; i++) {
    const length = Math.min(spans[i + 1]! - spans[i]!, maxTokens)
    for (let t = 0; t < length; t++) places.push(spans[i]! - spans[0]! + t)
    offsets[i + 1] = places.length
  }
  return { batch, columns, rows, places: Int32Array.from(places), offsets }
}

/** Of every shown token: its own log-prob and entropy, and the log-probs of the ids that are followed. */
export interface Distributions {
  logprobs: Float32Array
  entropies: Float32Array
  /** [places x top] */
  alternatives: Float32Array
}

interface Scoring {
  temperature?: number
  tokenBudget?: number
  signal?: AbortSignal
}

/** The likeliest tokens at each place, and how likely they are. */
export async function distributionsBefore(
  policy: Policy,
  shown: ShownTokens,
  top: number,
  scoring: Scoring,
): Promise<Distributions & { ids: Int32Array }> {
  const found = await policy.topLogprobs(shown.batch, { ...scoring, places: shown.places, top })
  return { ...(await own(policy, shown, scoring)), alternatives: found.topLogprobs, ids: found.topIds }
}

/** The same of given tokens, `ids` [places x top]. */
export async function distributionsAfter(
  policy: Policy,
  shown: ShownTokens,
  ids: Int32Array,
  scoring: Scoring,
): Promise<Distributions> {
  const found: TopLogprobs = await policy.topLogprobs(shown.batch, {
    ...{ ...scoring, places: shown.places, top: 0, ids },
  })
  return { ...(await own(policy, shown, scoring)), alternatives: found.logprobs }
}

async function own(policy: Policy, { batch, places }: ShownTokens, scoring: Scoring) {
  const { logprobs, entropies } = await policy.score(batch, scoring)
  const at = (values: Float32Array) => Float32Array.from(places, (place) => values[place]!)
  return { logprobs: at(logprobs), entropies: at(entropies) }
}
