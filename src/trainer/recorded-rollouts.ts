import { createHash } from 'node:crypto'
import { invalidArgument } from '../errors.ts'
import { judge } from '../judge.ts'
import type { Policy } from '../policy.ts'
import {
  appendColumns,
  type ColumnValues,
  columnsOf,
  dropColumns,
  hasColumn,
  type RolloutBatch,
  takeRows,
  tokenColumnsOf,
} from '../rollouts.ts'
import type { VerifierPool } from '../verify.ts'
import type { JudgedRollouts, RolloutSource } from './rollout-source.ts'
import type { RowOrder } from './row-order.ts'
import { type PhaseClock, tokenCount } from './step-metrics.ts'

/** Rollouts that were made before the run, by whatever sampler, with every column that a step needs. */
export interface RolloutRecord {
  batch: RolloutBatch
  /** The rows of each prompt, prompts by their first row. */
  groups: readonly (readonly number[])[]
  /** The file had none; a step scores its rows with the policy as it then is, so that their ratio is 1. */
  lacksLogprobs: boolean
  longestPrompt: number
  longestCompletion: number
  /** A short hash of everything that is learnt from. */
  digest: string
}

/**
 * Fills in what other engines do not write: every token was the policy's, temperature 1, ended by a stop token, made by the
 * policy that training begins with. Groups are rows of one prompt (and `group_id`, where there is one).
 */
export function recordOf(rollouts: RolloutBatch, { tokenizer }: Pick<Policy, 'tokenizer'>): RolloutRecord {
  const { promptTokens, completionTokens, rows } = tokenColumnsOf(rollouts)
  if (rows === 0) throw invalidArgument('rollouts', 'at least one row', rows)
  const tokensOf = ({ values, offsets }: { values: Int32Array; offsets: Int32Array }, row: number) =>
    values.subarray(offsets[row], offsets[row + 1])
  const ids = hasColumn(rollouts, 'group_id') ? rollouts.getChild('group_id')! : undefined
  const members = new Map<string, number[]>()
  for (let row = 0; row < rows; row++) {
    const key = `${ids?.get(row) ?? ''} ${tokensOf(promptTokens, row).join(' ')}`
    const own = members.get(key)
    if (own === undefined) members.set(key, [row])
    else own.push(row)
  }
  const groups = [...members.values()]
  const groupId = new Int32Array(rows)
  const sampleIndex = new Int32Array(rows)
  for (const [group, own] of groups.entries()) {
    for (const [index, row] of own.entries()) {
      groupId[row] = group
      sampleIndex[row] = index
    }
  }
  const count = completionTokens.offsets.at(-1)! - completionTokens.offsets[0]!
  const offsets = completionTokens.offsets.map((offset) => offset - completionTokens.offsets[0]!)
  const lacksLogprobs = !hasColumn(rollouts, 'logprobs')
  const filled: Record<string, ColumnValues> = {
    completion_mask: { values: new Uint8Array(count).fill(1), offsets },
    logprobs: { values: new Float32Array(count), offsets },
    temperature: new Float32Array(rows).fill(1),
    finish_reason: new Array<string>(rows).fill('stop'),
    policy_step: new Int32Array(rows),
    ...(tokenizer && {
      completion: Array.from({ length: rows }, (_, row) =>
        tokenizer.decode(tokensOf(completionTokens, row), { skipSpecialTokens: true }),
      ),
    }),
  }
  const missing = Object.entries(filled).filter(([name]) => !hasColumn(rollouts, name))
  const batch = appendColumns(dropColumns(rollouts, present(rollouts, MADE_ANEW)), {
    group_id: groupId,
    sample_index: sampleIndex,
    ...Object.fromEntries(missing),
  })
  return {
    ...{ batch, groups, lacksLogprobs, digest: digestOf(batch) },
    longestPrompt: longest(promptTokens.offsets),
    longestCompletion: longest(completionTokens.offsets),
  }
}

/** What a run makes by its own groups, objective and reference policy. */
const MADE_ANEW = ['group_id', 'sample_index', 'advantages', 'ref_logprobs']

function present(batch: RolloutBatch, names: readonly string[]): string[] {
  return names.filter((name) => hasColumn(batch, name))
}

function longest(offsets: Int32Array): number {
  let most = 1
  for (let row = 0; row + 1 < offsets.length; row++) most = Math.max(most, offsets[row + 1]! - offsets[row]!)
  return most
}

function digestOf(batch: RolloutBatch): string {
  const {
    promptTokens,
    completionTokens,
    completionMask,
    logprobs,
    rewards = [],
    verdicts = [],
  } = columnsOf(batch)
  const hash = createHash('sha256')
  for (const { values, offsets } of [promptTokens, completionTokens, completionMask, logprobs]) {
    hash.update(JSON.stringify(Array.from(offsets, (offset) => offset - offsets[0]!)))
    hash.update(values.subarray(offsets[0], offsets.at(-1)))
  }
  return hash
    .update(JSON.stringify([rewards, verdicts]))
    .digest('hex')
    .slice(0, 16)
}

/** Learns from rollouts of a file: each step takes the completions of some of its prompts. */
export class RecordedRollouts implements RolloutSource {
  readonly #record: RolloutRecord
  readonly #order: RowOrder
  readonly #policy: Policy
  readonly #verifier: VerifierPool
  readonly #signal: AbortSignal | undefined

  constructor(
    record: RolloutRecord,
    order: RowOrder,
    policy: Policy,
    verifier: VerifierPool,
    signal: AbortSignal | undefined,
  ) {
    this.#record = record
    this.#order = order
    this.#policy = policy
    this.#verifier = verifier
    this.#signal = signal
  }

  async of(step: number, clock: PhaseClock): Promise<JudgedRollouts> {
    const { batch, groups, lacksLogprobs } = this.#record
    const rows = this.#order.rowsOf(step).flatMap((group) => groups[group]!)
    const taken = takeRows(batch, rows)
    const scored = lacksLogprobs ? await clock.time('score', () => this.#scored(taken)) : taken
    const judged = hasColumn(scored, 'reward')
      ? scored
      : await clock.time('verify', () =>
          judge(scored, this.#verifier, this.#signal ? { signal: this.#signal } : {}),
        )
    const columns = columnsOf(judged)
    const metrics = { recorded_logprobs: lacksLogprobs ? 0 : 1 }
    return { columns, toBatch: () => judged, tokens: tokenCount(columns), metrics }
  }

  async #scored(rollouts: RolloutBatch): Promise<RolloutBatch> {
    const { offsets } = columnsOf(rollouts).completionTokens
    const { logprobs, entropies } = await this.#policy.score(
      rollouts,
      this.#signal ? { signal: this.#signal } : {},
    )
    const shifted = offsets.map((offset) => offset - offsets[0]!)
    return appendColumns(dropColumns(rollouts, present(rollouts, ['logprobs', 'entropies'])), {
      logprobs: { values: logprobs, offsets: shifted },
      entropies: { values: entropies, offsets: shifted },
    })
  }
}
