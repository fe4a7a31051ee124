import { CoppiceError } from './errors.ts'
import { evaluateGreedily } from './evaluate.ts'
import { judgedColumns, partRewardMeans } from './judge.ts'
import { advantageColumn } from './objectives/token-weights.ts'
import { assignAdvantages, type RowAdvantages } from './objectives.ts'
import type { PlanOptions, Policy } from './policy.ts'
import type { PromptRow } from './prompts.ts'
import {
  appendColumns,
  columnsOf,
  type RolloutBatch,
  type RolloutColumns,
  readTable,
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
import { LambdaSchedule } from './trainer/lambda-schedule.ts'
import { learn, RefusedUpdate } from './trainer/learn.ts'
import { learningRateAt } from './trainer/learning-rate.ts'
import { MovingReference } from './trainer/moving-reference.ts'
import { openRun } from './trainer/open-run.ts'
import { type PendingRollouts, PolicySampler } from './trainer/policy-sampler.ts'
import { RecordedRollouts, type RolloutRecord, recordOf } from './trainer/recorded-rollouts.ts'
import {
  liveSequencesOf,
  microBatchesOf,
  type ReservedPolicy,
  reserveMemory,
} from './trainer/reserve-memory.ts'
import type { JudgedRollouts, RolloutSource } from './trainer/rollout-source.ts'
import { RowOrder } from './trainer/row-order.ts'
import { pendingPathIn, type RunFolder } from './trainer/run-folder.ts'
import { trainRecord } from './trainer/run-record.ts'
import { PhaseClock, rolloutMetrics, stalenessMetrics, TIME_PREFIX } from './trainer/step-metrics.ts'
import {
  type ResolvedSettings,
  resolveSettings,
  type TrainOptions,
  type TrainPhase,
  type TrainStep,
} from './trainer/train-options.ts'
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
  const recorded = options.rollouts === undefined ? null : recordOf(options.rollouts, options.policy)
  const settings = resolveSettings(options, recorded)
  const order = new RowOrder(
    settings.seed,
    'prompts',
    recorded?.groups.length ?? options.prompts!.length,
    settings.promptsPerStep,
    'promptsPerStep',
  )
  const critic = criticOf(options, settings)
  const record = trainRecord(options, settings, recorded)
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
    await reserveMemory(policiesOf(options, settings, recorded), options.onPlan, ofValues)
  }
  const reference =
    settings.referenceUpdateEvery > 0 ? new MovingReference(options.reference!, settings) : undefined
  if (state.step > 0) await reference?.restore(run.checkpointPath(state.step))
  const lambda = new LambdaSchedule(settings.objective, settings.steps, state.lambda)
  const trainer = new Trainer(options, settings, recorded, order, run, verifier, {
    lambda,
    reference,
    critic,
  })
  let numTokens = state.numTokens
  let saved = state.step
  // A step's checkpoint follows its line of metrics: what it took stands in the next line.
  let saving: Record<string, number> = {}
  const save = async (step: number) => {
    if (step === saved) return
    const clock = new PhaseClock()
    await clock.time('save', () => trainer.save(step, numTokens, pending))
    saving = { [SAVE_SECONDS]: clock.metrics()[SAVE_SECONDS]! }
    saved = step
  }
  /** The next step's rollouts where they are sampled ahead. */
  let pending: PendingRollouts | undefined
  await using _ = { [Symbol.asyncDispose]: async () => pending?.close() }
  if (settings.asyncSteps > 0 && state.step > 0 && state.step < settings.steps)
    pending = await trainer.restore(state.step + 1)
  for (let step = state.step + 1; step <= settings.steps; step++) {
    const clock = new PhaseClock()
    const clockVerdicts = verifier.clockVerdicts
    const sampling = async () => {
      const sampled = await (pending ? trainer.finish(pending, clock) : trainer.sample(step, clock))
      if (settings.asyncSteps > 0) {
        const ahead = step < settings.steps ? await trainer.sampleAhead(step + 1, clock) : undefined
        pending?.close()
        pending = ahead
      }
      return sampled
    }
    const sampled = await sampling().catch(async (error) => {
      if (options.signal?.aborted === true) await save(step - 1)
      throw error
    })
    const { metrics: learned, rollouts } = await trainer.learn(step, sampled, clock)
    numTokens += sampled.tokens
    if (learned.entropy !== undefined) lambda.observe(learned.entropy)
    if (reference !== undefined)
      learned.reference_moved = Number(await reference.follow(step, options.policy))
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
function policiesOf(
  options: TrainOptions,
  settings: ResolvedSettings,
  recorded: RolloutRecord | null,
): ReservedPolicy[] {
  const { policy, reference, prompts = [], evalPrompts = [] } = options
  const { numGenerations, maxCompletionLength, topP, topK, minP } = settings
  const available = recorded?.groups.length ?? prompts.length
  const promptsPerStep = Math.min(available, settings.promptsPerStep * (1 + settings.refillRounds))
  const longestPrompt = recorded?.longestPrompt ?? longestOf(prompts)
  const training: PlanOptions = {
    ...{ promptsPerStep, numGenerations, maxCompletionLength, topP, topK, minP, longestPrompt },
    ...microBatchesOf(options),
    ...liveSequencesOf(options),
    ...(recorded !== null && { generation: false }),
  }
  const work = [training]
  if (settings.evalEvery > 0) {
    const evaluation = { promptsPerStep: evalPrompts.length, longestPrompt: longestOf(evalPrompts) }
    work.push({ ...training, ...evaluation, numGenerations: 1, generation: true })
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
  /** Prompt and completion tokens processed, those of greedy completions too. */
  tokens: number
  /** Of an objective with a critic. */
  estimates: CriticEstimates | null
  /** The whole of it as a batch, which nothing is learnt from: made while the engine works. */
  toBatch: () => RolloutBatch
}

/** What some objectives need beside the policy. */
interface Companions {
  lambda: LambdaSchedule
  reference: MovingReference | undefined
  critic: CriticRun | null
}

/** The phases of a step, over what stays the same from step to step. */
class Trainer {
  readonly #options: TrainOptions
  readonly #settings: ResolvedSettings
  readonly #source: RolloutSource
  readonly #sampler: PolicySampler
  readonly #run: RunFolder
  readonly #verifier: VerifierPool
  readonly #lambda: LambdaSchedule
  readonly #reference: MovingReference | undefined
  readonly #critic: CriticRun | null

  constructor(
    options: TrainOptions,
    settings: ResolvedSettings,
    recorded: RolloutRecord | null,
    order: RowOrder,
    run: RunFolder,
    verifier: VerifierPool,
    { lambda, reference, critic }: Companions,
  ) {
    this.#options = options
    this.#settings = settings
    const tell = (...where: Parameters<Trainer['tell']>) => this.tell(...where)
    this.#sampler = new PolicySampler(options, settings, order, verifier, tell)
    this.#source =
      recorded === null
        ? this.#sampler
        : new RecordedRollouts(recorded, order, options.policy, verifier, options.signal)
    this.#run = run
    this.#verifier = verifier
    this.#lambda = lambda
    this.#reference = reference
    this.#critic = critic
  }

  tell(step: number, phase: TrainPhase, share: number): void {
    this.#options.onProgress?.({ step, steps: this.#settings.steps, phase, share })
  }

  /** Rollouts of the step with verdicts, advantages and, for a KL term, reference log-probs. Changes no parameter. */
  async sample(step: number, clock: PhaseClock): Promise<Sampled> {
    return this.#advised(step, await this.#source.of(step, clock), clock)
  }

  /** Samples a step's rollouts before their time, with the policy as it is now. */
  sampleAhead(step: number, clock: PhaseClock): Promise<PendingRollouts> {
    return this.#sampler.begin(step, clock)
  }

  /** What `sample` gives, of rollouts that were sampled before. */
  async finish(pending: PendingRollouts, clock: PhaseClock): Promise<Sampled> {
    return this.#advised(pending.step, await pending.finish(clock), clock)
  }

  /** Rollouts that a checkpoint holds for the step behind it. */
  async restore(step: number): Promise<PendingRollouts> {
    return this.#sampler.restored(step, await readTable(this.#run.pendingPath(step - 1)))
  }

  async #advised(
    step: number,
    { columns: judged, toBatch: judgedBatch, tokens, metrics }: JudgedRollouts,
    clock: PhaseClock,
  ): Promise<Sampled> {
    const { reference, signal } = this.#options
    const { offsets } = judged.completionTokens
    const refLogprobs =
      reference === undefined || this.#settings.objective.beta === 0
        ? undefined
        : { values: await this.#score(reference, judged, clock), offsets }
    const columns = { ...judged, ...(refLogprobs && { refLogprobs }) }
    const { objective } = this.#lambda.at(step)
    const advised = assignAdvantages(judgedColumns(columns), objective)
    const estimates =
      this.#critic === null ? null : await this.#estimate(this.#critic, columns, advised, clock)
    const advantages = {
      ...advised,
      ...(estimates && { tokenAdvantages: estimates.advantages }),
      metrics: { ...advised.metrics, ...metrics, ...estimates?.metrics },
    }
    signal?.throwIfAborted()
    const toBatch = () =>
      appendColumns(judgedBatch(), {
        advantages: advantageColumn(advantages.keptRows, advantages, { offsets }),
        ...(estimates && { values: { values: estimates.values, offsets } }),
        ...(refLogprobs && { ref_logprobs: refLogprobs }),
      })
    return { columns, advantages, estimates, tokens, toBatch }
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

  /** The step's updates. Not stopped by the signal: half a step could not be resumed. */
  async learn(
    step: number,
    { columns, advantages, estimates, toBatch }: Sampled,
    clock: PhaseClock,
  ): Promise<{ metrics: Record<string, number>; rollouts: RolloutBatch }> {
    const learningRate = learningRateAt(step, this.#settings)
    const isOffPolicy = this.#options.rollouts !== undefined || this.#settings.asyncSteps > 0
    const staleness = isOffPolicy ? stalenessMetrics(columns, this.#options.policy.policyStep) : {}
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
      const rates = { learning_rate: learningRate, ...this.#lambda.at(step).metrics, ...staleness }
      return { metrics: { ...described, ...updates, ...rates }, rollouts }
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

  /** `pending`: rollouts of the next step that are there already, which go on with the run. */
  async save(step: number, numTokens: number, pending: PendingRollouts | undefined): Promise<void> {
    const keep = this.#options.keepCheckpoints ?? 2
    const state = { step, numTokens, lambda: this.#lambda.state }
    await this.#run.saveCheckpoint(state, keep, async (directory) => {
      await this.#options.policy.saveTrainingState(directory)
      await this.#critic?.separate?.saveTrainingState(criticFolder(directory))
      await this.#reference?.save(directory)
      if (pending !== undefined) await writeTable(pendingPathIn(directory), [pending.toBatch()])
    })
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
