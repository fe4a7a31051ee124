import { GroupJudge, judge, judgedRollouts, verdictColumns } from '../judge.ts'
import { hasGreedyBaseline } from '../objectives.ts'
import type { SampledGroup, SampledRollouts } from '../policy.ts'
import { appendColumns, columnsOf, concatBatches, joinColumns, type RolloutBatch } from '../rollouts.ts'
import type { Judgement } from '../verdicts.ts'
import type { VerifierPool } from '../verify.ts'
import { baselineColumn, type GreedyBaseline, greedyBaseline } from './greedy-baseline.ts'
import { groupsThatTeach, refillMetrics } from './refill.ts'
import { liveSequencesOf } from './reserve-memory.ts'
import type { JudgedRollouts, RolloutSource } from './rollout-source.ts'
import type { RowOrder } from './row-order.ts'
import { type PhaseClock, tokenCount } from './step-metrics.ts'
import type { ResolvedSettings, TrainOptions, TrainPhase } from './train-options.ts'

/** Rollouts whose verdicts may still be on their way. */
export interface PendingRollouts {
  step: number
  /** As they were sampled. */
  toBatch: () => RolloutBatch
  /** Waits for the verdicts; asked once. Changes no parameter, and needs nothing of the policy's engine. */
  finish: (clock: PhaseClock) => Promise<JudgedRollouts>
  /** Gives up the verdicts that are not there yet. */
  close: () => void
}

/** Samples completions of a step's prompts with the policy as it is, and has them judged while it does. */
export class PolicySampler implements RolloutSource {
  readonly #options: TrainOptions
  readonly #settings: ResolvedSettings
  readonly #order: RowOrder
  readonly #verifier: VerifierPool
  readonly #tell: (step: number, phase: TrainPhase, share: number) => void

  constructor(
    options: TrainOptions,
    settings: ResolvedSettings,
    order: RowOrder,
    verifier: VerifierPool,
    tell: (step: number, phase: TrainPhase, share: number) => void,
  ) {
    this.#options = options
    this.#settings = settings
    this.#order = order
    this.#verifier = verifier
    this.#tell = tell
  }

  /** The step's own prompts, then others in place of those whose groups were left out, as long as there are rounds and prompts. */
  async of(step: number, clock: PhaseClock): Promise<JudgedRollouts> {
    const { promptsPerStep, refillRounds, objective } = this.#settings
    const own = this.#order.rowsOf(step)
    const rounds = [await this.#round(step, clock, own)]
    if (refillRounds === 0) return rounds[0]!
    let teaching = groupsThatTeach(rounds[0]!.columns, objective)
    let prompts = own.length
    const further = teaching < promptsPerStep ? this.#order.furtherRowsOf(step) : []
    while (rounds.length <= refillRounds && teaching < promptsPerStep && further.length > 0) {
      const rows = further.splice(0, promptsPerStep - teaching)
      const round = await this.#round(step, clock, rows)
      rounds.push(round)
      prompts += rows.length
      teaching += groupsThatTeach(round.columns, objective)
    }
    return {
      columns: joinColumns(rounds.map(({ columns }) => columns)),
      toBatch: () => concatBatches(rounds.map((round) => round.toBatch())),
      tokens: rounds.reduce((sum, { tokens }) => sum + tokens, 0),
      metrics: refillMetrics(rounds.length - 1, prompts, teaching),
    }
  }

  async #round(step: number, clock: PhaseClock, rows: readonly number[]): Promise<JudgedRollouts> {
    const pending = await this.begin(step, clock, rows)
    try {
      const judged = await pending.finish(clock)
      if (!hasGreedyBaseline(this.#settings.objective)) return judged
      const greedy = await clock.time('generate_greedy', () => this.#greedy(rows))
      const baselineRewards = baselineColumn(greedy, judged.columns)
      return {
        ...judged,
        columns: { ...judged.columns, baselineRewards },
        toBatch: () => appendColumns(judged.toBatch(), { baseline_reward: baselineRewards }),
        tokens: judged.tokens + greedy.tokens,
      }
    } finally {
      pending.close()
    }
  }

  /** Samples; the verdicts may come later. */
  async begin(
    step: number,
    clock: PhaseClock,
    rows: readonly number[] = this.#order.rowsOf(step),
  ): Promise<PendingRollouts> {
    const { signal } = this.#options
    let isAwaited = false
    const judging = new GroupJudge(this.#verifier, {
      ...(signal !== undefined && { signal }),
      onProgress: (done, total) => {
        if (isAwaited) this.#tell(step, 'verify', done / total)
      },
    })
    try {
      const sampled = await this.#generate(step, clock, rows, (group) => judging.add(group))
      const finish = async (later: PhaseClock) => {
        isAwaited = true
        this.#tell(step, 'verify', 0)
        return this.#judged(sampled, await later.time('verify', () => judging.finish()))
      }
      return { step, toBatch: () => sampled.toBatch(), finish, close: () => judging.close() }
    } catch (error) {
      judging.close()
      throw error
    }
  }

  /** Takes rollouts that were sampled before the run was stopped. */
  restored(step: number, rollouts: RolloutBatch): PendingRollouts {
    const { signal } = this.#options
    const finish = async (clock: PhaseClock): Promise<JudgedRollouts> => {
      this.#tell(step, 'verify', 0)
      const judged = await clock.time('verify', () =>
        judge(rollouts, this.#verifier, { ...(signal !== undefined && { signal }) }),
      )
      const columns = columnsOf(judged)
      return { columns, toBatch: () => judged, tokens: tokenCount(columns), metrics: {} }
    }
    return { step, toBatch: () => rollouts, finish, close: () => {} }
  }

  #judged(sampled: SampledRollouts, judgements: readonly Judgement[]): JudgedRollouts {
    const columns = judgedRollouts(sampled.columns, judgements)
    const toBatch = () => appendColumns(sampled.toBatch(), verdictColumns(judgements, this.#verifier))
    return { columns, toBatch, tokens: tokenCount(columns), metrics: {} }
  }

  #greedy(rows: readonly number[]): Promise<GreedyBaseline> {
    const { maxCompletionLength, stopTokens, objective } = this.#settings
    const { signal } = this.#options
    const sampling = {
      ...{ maxCompletionLength, promptIndices: Int32Array.from(rows), ...liveSequencesOf(this.#options) },
      ...(stopTokens !== null && { stopTokens }),
      ...(signal !== undefined && { signal }),
    }
    return greedyBaseline(this.#options.policy, this.#prompts(rows), this.#verifier, sampling, objective)
  }

  async #generate(
    step: number,
    clock: PhaseClock,
    rows: readonly number[],
    onGroup: (group: SampledGroup) => void,
  ): Promise<SampledRollouts> {
    let engineSeconds = 0
    const sampled = await clock.time('generate', () =>
      this.#options.policy.generateColumns(this.#prompts(rows), {
        ...this.#sampling(step),
        promptIndices: Int32Array.from(rows),
        onGroup,
        onProgress: (progress) => {
          engineSeconds = progress.engineSeconds
          this.#tell(step, 'generate', progress.finishedGroups / progress.groups)
        },
      }),
    )
    clock.add('generate_engine', engineSeconds)
    return sampled
  }

  #prompts(rows: readonly number[]) {
    return rows.map((row) => this.#options.prompts![row]!)
  }

  #sampling(step: number) {
    const { numGenerations, temperature, topP, topK, minP, maxCompletionLength, stopTokens, seed } =
      this.#settings
    return {
      ...{ numGenerations, temperature, topP, topK, minP, maxCompletionLength, seed, step, entropies: true },
      ...liveSequencesOf(this.#options),
      ...(stopTokens !== null && { stopTokens }),
      ...(this.#options.signal !== undefined && { signal: this.#options.signal }),
    }
  }
}
