import { CoppiceError } from './errors.ts'
import { evaluateGreedily } from './evaluate.ts'
import { GroupJudge, judgedColumns, judgedRollouts, partRewardMeans, verdictColumns } from './judge.ts'
import { advantageColumn } from './objectives/token-weights.ts'
import { assignAdvantages, type RowAdvantages } from './objectives.ts'
import type { PlanOptions, Policy, SampledGroup, SampledRollouts } from './policy.ts'
import type { PromptRow } from './prompts.ts'
import {
  appendColumns,
  columnsOf,
  type RolloutBatch,
  type RolloutColumns,
  takeRows,
  writeTable,
} from './rollouts.ts'
import {
  type CriticEstimates,
  type CriticRun,
  criticFolder,
  criticOf,
  estimate,
  valuesRow,
} from './trainer/critic-run.ts'
import { learn, RefusedUpdate } from './trainer/learn.ts'
import { learningRateAt } from './trainer/learning-rate.ts'
import { openRun } from './trainer/open-run.ts'
import {
  liveSequencesOf,
  microBatchesOf,
  type ReservedPolicy,
  reserveMemory,
} from './trainer/reserve-memory.ts'
import { RowOrder } from './trainer/row-order.ts'
import type { RunFolder } from './trainer/run-folder.ts'
import { trainRecord } from './trainer/run-record.ts'
import { PhaseClock, rolloutMetrics, TIME_PREFIX, tokenCount } from './trainer/step-metrics.ts'
import {
  type ResolvedSettings,
  resolveSettings,
  type TrainOptions,
  type TrainPhase,
  type TrainStep,
} from './trainer/train-options.ts'
import type { Judgement } from './verdicts.ts'
import { createVerifierPool, type VerifierPool } from './verify.ts'

export type { LearningRateSchedule } from './trainer/learning-rate.ts'
export { LEARNING_RATE_SCHEDULES } from './trainer/learning-rate.ts'
export { readMetrics } from './trainer/run-folder.ts'
export type {
  TrainOptions,
  TrainPhase,
  TrainProgress,
  TrainSettings,
  TrainStep,
} from './trainer/train-options.ts'
export { type BatchSettings, objectiveOfRun, TRAIN_DEFAULTS } from './trainer/train-options.ts'

/**
 * Reinforcement learning with verifiable rewards: per step, sample completions of some prompts, verify them, weigh them
 * by the objective's rule, take the optimiser steps. Yields every step; the policy is changed in place. Writes
 * `run.json`, `metrics.jsonl` and `checkpoints/<step>/` under `out`.
 *
 * The same policy, prompts, settings and seed give the same bytes, at any number of threads, whether or not the run was
 * killed and resumed in between; only the metrics under `seconds/` differ. That does not hold where a verifier ran into its
 * deadline or its memory cap (`clock_verdicts` in the metrics): then run.json says `"regenerable": false`, and why.
 *
 * @throws CoppiceError INVALID_ARGUMENT for options that make no sense or, with `resume`, differ from the run's; NON_FINITE
 *   when a step was refused, naming the rollouts, which are in RUN/refused-<step>.arrow. The signal's reason when it was
 *   aborted, after the state was saved.
 */
export async function* train(options: TrainOptions): AsyncGenerator<TrainStep, void, void> {
  const settings = resolveSettings(options)
  const order = new RowOrder(
    settings.seed,
    'prompts',
    options.prompts.length,
    settings.promptsPerStep,
    'promptsPerStep',
  )
  const critic = criticOf(options, settings)
  const record = trainRecord(options, settings)
  // Before the run's folder is made: one that a misspelt verifier left behind would refuse the next try.
  await using verifier = await createVerifierPool(options.verifier, options.verify)
  const { run, state } = await openRun(
    options.out,
    record,
    options.policy,
    options.resume ?? false,
    critic?.separate,
  )
  if (state.step < settings.steps) {
    const ofValues = critic === null ? [] : [valuesRow(settings)]
    await reserveMemory(policiesOf(options, settings), options.onPlan, ofValues)
  }
  const trainer = new Trainer(options, settings, order, run, verifier, critic)
  let numTokens = state.numTokens
  let saved = state.step
  // A step's checkpoint follows its line of metrics: what it took stands in the next line.
  let saving: Record<string, number> = {}
  const save = async (step: number) => {
    if (step === saved) return
    const clock = new PhaseClock()
    await clock.time('save', () => trainer.save(step, numTokens))
    saving = { [SAVE_SECONDS]: clock.metrics()[SAVE_SECONDS]! }
    saved = step
  }
  for (let step = state.step + 1; step <= settings.steps; step++) {
    const clock = new PhaseClock()
    const clockVerdicts = verifier.clockVerdicts
    const sampled = await trainer.sample(step, clock).catch(async (error) => {
      if (options.signal?.aborted === true) await save(step - 1)
      throw error
    })
    const { metrics: learned, rollouts } = await trainer.learn(step, sampled, clock)
    numTokens += tokenCount(sampled.columns)
    const stopped = options.signal?.aborted === true
    const last = step === settings.steps
    const evaluated =
      !stopped && isDue(step, settings.evalEvery, last) ? await trainer.evaluate(step, clock) : {}
    const byClock = { clock_verdicts: verifier.clockVerdicts - clockVerdicts }
    const seconds = { ...clock.metrics(), ...saving }
    saving = {}
    const metrics = { step, ...learned, num_tokens: numTokens, ...evaluated, ...byClock, ...seconds }
    run.appendMetrics(metrics)
    if (byClock.clock_verdicts > 0) await run.writeRecord(record)
    if (stopped || last || isDue(step, options.saveEvery ?? 0, last)) {
      trainer.tell(step, 'save', 0)
      await save(step)
    }
    const checkpoint = saved === step ? run.checkpointPath(step) : undefined
    yield { step, steps: settings.steps, metrics, rollouts, checkpoint }
    if (stopped && !last) throw options.signal!.reason
  }
}

const SAVE_SECONDS = `${TIME_PREFIX}save`

/** The run's policies with all their work. */
function policiesOf(options: TrainOptions, settings: ResolvedSettings): ReservedPolicy[] {
  const { policy, reference, prompts, evalPrompts = [] } = options
  const { promptsPerStep, numGenerations, maxCompletionLength, topP, topK, minP } = settings
  const longestPrompt = longestOf(prompts)
  const training: PlanOptions = {
    ...{ promptsPerStep, numGenerations, maxCompletionLength, topP, topK, minP, longestPrompt },
    ...microBatchesOf(options),
    ...liveSequencesOf(options),
  }
  const work = [training]
  if (settings.evalEvery > 0) {
    const evaluation = { promptsPerStep: evalPrompts.length, longestPrompt: longestOf(evalPrompts) }
    work.push({ ...training, ...evaluation, numGenerations: 1 })
  }
  const policies: ReservedPolicy[] = [{ policy, work }]
  if (reference !== undefined && settings.objective.beta !== 0) {
    const scoring = { ...training, training: false, generation: false }
    policies.push({ name: 'reference policy', policy: reference, work: [scoring] })
  }
  if (options.critic !== undefined) {
    policies.push({ name: 'critic', policy: options.critic, work: [{ ...training, generation: false }] })
  }
  return policies
}

function longestOf(prompts: readonly PromptRow[]): number {
  return prompts.reduce((longest, { promptTokens }) => Math.max(longest, promptTokens.length), 1)
}

function isDue(step: number, every: number, last: boolean): boolean {
  return every > 0 && (step % every === 0 || last)
}

interface Sampled {
  /** With rewards and verdicts, and reference log-probs for a KL term. */
  columns: RolloutColumns
  advantages: RowAdvantages
  /** Of an objective with a critic. */
  estimates: CriticEstimates | null
  /** The whole of it as a batch, which nothing is learnt from: made while the engine works. */
  toBatch: () => RolloutBatch
}

/** The phases of a step, over what stays the same from step to step. */
class Trainer {
  readonly #options: TrainOptions
  readonly #settings: ResolvedSettings
  readonly #order: RowOrder
  readonly #run: RunFolder
  readonly #verifier: VerifierPool
  readonly #critic: CriticRun | null

  constructor(
    options: TrainOptions,
    settings: ResolvedSettings,
    order: RowOrder,
    run: RunFolder,
    verifier: VerifierPool,
    critic: CriticRun | null,
  ) {
    this.#options = options
    this.#settings = settings
    this.#order = order
    this.#run = run
    this.#verifier = verifier
    this.#critic = critic
  }

  tell(step: number, phase: TrainPhase, share: number): void {
    this.#options.onProgress?.({ step, steps: this.#settings.steps, phase, share })
  }

  /** Rollouts of the step with verdicts, advantages and, for a KL term, reference log-probs. Changes no parameter. */
  async sample(step: number, clock: PhaseClock): Promise<Sampled> {
    const { reference, signal } = this.#options
    const rows = this.#order.rowsOf(step)
    const judging = new GroupJudge(this.#verifier, {
      ...(signal !== undefined && { signal }),
      onProgress: (done, total) => {
        if (generated) this.tell(step, 'verify', done / total)
      },
    })
    let generated = false
    let sampled: SampledRollouts
    let judgements: Judgement[]
    try {
      sampled = await this.#generate(step, clock, rows, (group) => judging.add(group))
      generated = true
      this.tell(step, 'verify', 0)
      judgements = await clock.time('verify', () => judging.finish())
    } finally {
      judging.close()
    }
    const judged = judgedRollouts(sampled.columns, judgements)
    const { offsets } = judged.completionTokens
    const refLogprobs =
      reference === undefined || this.#settings.objective.beta === 0
        ? undefined
        : { values: await this.#score(reference, judged, clock), offsets }
    const columns = { ...judged, ...(refLogprobs && { refLogprobs }) }
    const advantages = assignAdvantages(judgedColumns(columns), this.#settings.objective)
    const estimates =
      this.#critic === null ? null : await this.#estimate(this.#critic, columns, advantages, clock)
    signal?.throwIfAborted()
    const perToken = (values: Float64Array) => ({ values: Float32Array.from(values), offsets })
    const toBatch = () =>
      appendColumns(sampled.toBatch(), {
        ...verdictColumns(judgements, this.#verifier),
        advantages: {
          ...advantageColumn(advantages.keptRows, advantages.rowAdvantages, { offsets }),
          ...(estimates && perToken(estimates.advantages)),
        },
        ...(estimates && { values: { values: estimates.values, offsets } }),
        ...(refLogprobs && { ref_logprobs: refLogprobs }),
      })
    return { columns, advantages, estimates, toBatch }
  }

  #estimate(critic: CriticRun, columns: RolloutColumns, advantages: RowAdvantages, clock: PhaseClock) {
    const { tokenBudget } = this.#options
    return clock.time('values', () =>
      estimate(critic, columns, advantages, tokenBudget === undefined ? {} : { tokenBudget }),
    )
  }

  async #score(reference: Policy, columns: RolloutColumns, clock: PhaseClock): Promise<Float32Array> {
    const { tokenBudget } = this.#options
    const { logprobs } = await clock.time('score', () =>
      reference.score(columns, { entropies: false, ...(tokenBudget !== undefined && { tokenBudget }) }),
    )
    return logprobs
  }

  async #generate(
    step: number,
    clock: PhaseClock,
    rows: readonly number[],
    onGroup: (group: SampledGroup) => void,
  ): Promise<SampledRollouts> {
    let engineSeconds = 0
    const sampled = await clock.time('generate', () =>
      this.#options.policy.generateColumns(
        rows.map((row) => this.#options.prompts[row]!),
        {
          ...this.#sampling(step),
          promptIndices: Int32Array.from(rows),
          onGroup,
          onProgress: (progress) => {
            engineSeconds = progress.engineSeconds
            this.tell(step, 'generate', progress.finishedGroups / progress.groups)
          },
        },
      ),
    )
    clock.add('generate_engine', engineSeconds)
    return sampled
  }

  /** The step's updates. Not stopped by the signal: half a step could not be resumed. */
  async learn(
    step: number,
    { columns, advantages, estimates, toBatch }: Sampled,
    clock: PhaseClock,
  ): Promise<{ metrics: Record<string, number>; rollouts: RolloutBatch }> {
    const learningRate = learningRateAt(step, this.#settings)
    this.tell(step, 'update', 0)
    try {
      const updating = clock.time('update', () =>
        learn({
          ...{ columns, advantages },
          critic: this.#critic && {
            ...this.#critic,
            estimates: estimates!,
            learnsAlone: step <= this.#critic.objective.criticWarmupSteps,
          },
          policy: this.#options.policy,
          settings: this.#settings,
          learningRate,
          microBatches: microBatchesOf(this.#options),
          onUpdate: (done, all, { secondsForward, secondsBackward, secondsOptimizer }) => {
            clock.add('update_engine', secondsForward + secondsBackward + secondsOptimizer)
            this.tell(step, 'update', done / all)
          },
        }),
      )
      // While the engine computes the first of them.
      const describing = async () => {
        const rollouts = toBatch()
        const parts = partMetrics(partRewardMeans(rollouts, this.#verifier))
        return { rollouts, described: { ...rolloutMetrics(columns, advantages), ...parts } }
      }
      const [updates, { rollouts, described }] = await Promise.all([updating, describing()])
      const ofCritic = estimates?.metrics
      return { metrics: { ...described, ...ofCritic, ...updates, learning_rate: learningRate }, rollouts }
    } catch (error) {
      throw error instanceof RefusedUpdate ? await this.#refused(step, error, toBatch()) : error
    }
  }

  async evaluate(step: number, clock: PhaseClock): Promise<Record<string, number>> {
    this.tell(step, 'evaluate', 0)
    const { accuracy } = await clock.time('evaluate', () =>
      evaluateGreedily(this.#options.policy, this.#options.evalPrompts ?? [], this.#verifier, {
        maxCompletionLength: this.#settings.maxCompletionLength,
        ...liveSequencesOf(this.#options),
        ...(this.#settings.stopTokens !== null && { stopTokens: this.#settings.stopTokens }),
      }),
    )
    return { greedy_accuracy: accuracy.mean }
  }

  async save(step: number, numTokens: number): Promise<void> {
    const keep = this.#options.keepCheckpoints ?? 2
    await this.#run.saveCheckpoint({ step, numTokens }, keep, async (directory) => {
      await this.#options.policy.saveTrainingState(directory)
      await this.#critic?.separate?.saveTrainingState(criticFolder(directory))
    })
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

  /** Keeps the rollouts of a refused step for a look, and says which they are. */
  async #refused(step: number, { rows, cause }: RefusedUpdate, sampled: RolloutBatch): Promise<CoppiceError> {
    const rollouts = takeRows(sampled, rows)
    const path = this.#run.refusedPath(step)
    await writeTable(path, [rollouts])
    const { logprobs } = await this.#options.policy.score(rollouts, { entropies: false })
    return new CoppiceError('NON_FINITE', `step ${step} was refused: ${cause.message}`, {
      where: this.#run.path,
      received: `${describeOffenders(rollouts, logprobs)}; the rollouts are in ${path}`,
      cause,
    })
  }
}

/** TRL's keys. */
function partMetrics(means: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(means).map(([name, mean]) => [`rewards/${name}/mean`, mean]))
}

/** The rows whose log-probs are not finite, as group/sample; all rows when the fault is in the gradient alone. */
function describeOffenders(rollouts: RolloutBatch, logprobs: Float32Array): string {
  const { rows, completionTokens, groupIds, sampleIndex } = columnsOf(rollouts)
  const { offsets } = completionTokens
  const names: string[] = []
  for (let row = 0; row < rows; row++) {
    const values = logprobs.subarray(offsets[row]! - offsets[0]!, offsets[row + 1]! - offsets[0]!)
    if (!values.every(Number.isFinite)) names.push(`${groupIds[row]}/${sampleIndex[row]}`)
  }
  if (names.length === 0) return `a gradient that is not finite over ${rows} rollouts with finite log-probs`
  const shown = names.slice(0, 8).join(', ')
  return `log-probs that are not finite in ${names.length} rollouts (group/sample ${shown}${names.length > 8 ? ', ...' : ''})`
}
