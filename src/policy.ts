import { stopTokensOf } from './checkpoint/stop-tokens.ts'
import {
  type Heads,
  type JsonObject,
  type ModelConfig,
  modelConfigOf,
  readModelFolder,
  readOptimizerState,
  readValueHead,
  requireInitialisable,
  requireSameShape,
  type SamplingDefaults,
  type TensorShape,
  tensorShapesOf,
  VALUE_HEAD,
  writeGradients,
  writeModelFolder,
  writeOptimizerState,
  writeValueHead,
} from './checkpoint.ts'
import { invalidArgument } from './errors.ts'
import { resolveModel } from './hub.ts'
import type { ComputeDtype, NativeEngine, NativeEngineInfo } from './native/types.ts'
import { addon, call, callCancellable } from './native.ts'
import { refuseUnknownKeys, requireFlag, requireInteger, requireOneOf } from './options.ts'
import { copyEngine } from './policy/copy-engine.ts'
import { generateGroups, requireSeed, sampledSchema } from './policy/generate.ts'
import { type FinishedGroup, groupBatch, joinedRollouts, samplesOfGroup } from './policy/group-batch.ts'
import { memoryRequest, microBatchesOf, rolloutRow, tokenBudgetOf } from './policy/memory-request.ts'
import { moveTowards } from './policy/move-towards.ts'
import { nativeRows, type Rows, requirePerToken, tokenColumns } from './policy/native-rows.ts'
import type {
  ApplyUpdateOptions,
  BackendOptions,
  GenerateAllOptions,
  GenerateOptions,
  GradOptions,
  InitOptions,
  LoadOptions,
  PlanOptions,
  PlanRow,
  PreparedUpdate,
  SampledRollouts,
  SaveOptions,
  ScoreOptions,
  Scores,
  SupervisedOptions,
  TopLogprobs,
  TopLogprobsOptions,
  UpdateOptions,
  UpdateResult,
  UpdateStats,
  ValueHeadOptions,
  ValuesOptions,
} from './policy/options.ts'
import { topLogprobs } from './policy/top-logprobs.ts'
import { applyUpdate, applyUpdates, supervisedStep, updateByObjective } from './policy/update.ts'
import { valuesOf } from './policy/values.ts'
import type { PromptRow } from './prompts.ts'
import { emptyBatch, type RolloutBatch } from './rollouts.ts'
import { Tokenizer } from './tokenizer.ts'

export type * from './policy/options.ts'
export { ACTIVATION_CHECKPOINTING, DEFAULT_TOKEN_BUDGET } from './policy/options.ts'
export { updateMetrics } from './policy/update.ts'

/** Groups that may end in one token step and are taken at once where nobody consumes them one by one. */
const GROUPS_AHEAD = 64

const BACKEND_KEYS = ['device', 'dtype', 'threads', 'isa', 'seed', 'valueHead']

interface PolicyParts {
  engine: NativeEngine
  config: ModelConfig
  rawConfig: JsonObject
  tokenizer: Tokenizer | undefined
  stopTokens: readonly number[]
  samplingDefaults: SamplingDefaults
  folder: string | undefined
  dtype: ComputeDtype
  heads: Heads
  seed: bigint
}

/**
 * A language model that samples, scores and learns, on a thread of its own. Methods may be called at any time; jobs run
 * one after the other, and between the token steps of an open generation. What changes parameters is refused with BUSY
 * while a generation is open. Errors are CoppiceError; after `dispose`, DISPOSED.
 */
export class Policy implements AsyncDisposable {
  readonly config: Readonly<ModelConfig>
  /** config.json as it is written back by `save`. */
  readonly rawConfig: Readonly<JsonObject>
  readonly tokenizer: Tokenizer | undefined
  /** Tokens that end a completion unless `generate` is told others. */
  readonly stopTokens: readonly number[]
  /** How generation_config.json would have it sampled; `generate` follows what it is told alone. */
  readonly samplingDefaults: Readonly<SamplingDefaults>
  /** Key of the sampling noise unless `generate` is told another. */
  readonly seed: bigint
  /** The type of the parameters that it computes with. */
  readonly dtype: ComputeDtype
  readonly #engine: NativeEngine
  readonly #heads: Heads
  readonly #folder: string | undefined

  private constructor(parts: PolicyParts) {
    this.config = parts.config
    this.rawConfig = parts.rawConfig
    this.tokenizer = parts.tokenizer
    this.stopTokens = parts.stopTokens
    this.samplingDefaults = parts.samplingDefaults
    this.seed = parts.seed
    this.dtype = parts.dtype
    this.#engine = parts.engine
    this.#heads = parts.heads
    this.#folder = parts.folder
  }

  /**
   * Loads a model's folder in Hugging Face layout, or a model of the hub by its id. INVALID_ARGUMENT, CHECKPOINT_CORRUPT,
   * OUT_OF_MEMORY, and those of `resolveModel`.
   */
  static async load(options: LoadOptions): Promise<Policy> {
    refuseUnknownKeys(options, ['model', 'revision', ...BACKEND_KEYS], 'Policy.load')
    const { model, revision } = options
    const path = await resolveModel(model, revision === undefined ? {} : { revision })
    const folder = readModelFolder(path)
    const tokenizer = folder.tokenizerPath === undefined ? undefined : await Tokenizer.load(path)
    const parts = { ...folder, tokenizer, folder: path, seed: seedOf(options, 'Policy.load') }
    return Policy.#open(parts, options, (engine) => engine.load(folder.tensors, false))
  }

  /** A model with random parameters, drawn from `seed`, as `coppice init` makes it. */
  static async init(options: InitOptions): Promise<Policy> {
    refuseUnknownKeys(options, ['config', 'tokenizer', ...BACKEND_KEYS], 'Policy.init')
    const rawConfig = options.config as JsonObject
    const config = modelConfigOf(rawConfig, 'Policy.init: config')
    requireInitialisable(rawConfig, 'Policy.init: config')
    const seed = seedOf(options, 'Policy.init')
    const stopTokens = stopTokensOf(rawConfig, undefined, config.vocabSize, 'Policy.init: config')
    const parts = {
      ...{ config, rawConfig, tokenizer: options.tokenizer, stopTokens, folder: undefined, seed },
      samplingDefaults: { unsupported: [] },
    }
    return Policy.#open(parts, options, (engine) => engine.initRandom(seed))
  }

  static async #open(
    parts: Omit<PolicyParts, 'engine' | 'dtype' | 'heads'>,
    options: BackendOptions & ValueHeadOptions,
    fill: (engine: NativeEngine) => Promise<void>,
  ): Promise<Policy> {
    const { device, threads, isa } = options
    const dtype = requireOneOf(options.dtype ?? 'f32', 'Policy.dtype', ['f32', 'bf16'])
    const heads: Heads = requireFlag(options.valueHead ?? false, 'Policy.valueHead')
      ? 'tokens-and-value'
      : 'tokens'
    const backend = {
      device: device ?? 'auto',
      dtype,
      heads,
      ...(isa !== undefined && { isa }),
      ...(threads !== undefined && { threads: requireInteger(threads, 'Policy.threads', 1, 4096) }),
    }
    const engine = await call(() => addon().openEngine(parts.config, backend))
    try {
      await call(() => fill(engine))
    } catch (error) {
      await engine.dispose()
      throw error
    }
    return new Policy({ ...parts, dtype, heads, engine })
  }

  /** Device, instruction set and number of threads. */
  get info(): NativeEngineInfo {
    return this.#engine.info
  }

  /** Optimiser steps that made these parameters, as far as it is known: those since `load`, or of the state resumed from. */
  get policyStep(): number {
    return this.#engine.optimizerStep
  }

  /** Whether it bears a value head beside the one over tokens. */
  get hasValueHead(): boolean {
    return this.#heads !== 'tokens'
  }

  /** Bytes that the engine holds now. */
  get allocatedBytes(): number {
    return this.#engine.allocatedBytes
  }

  /**
   * Samples completions of each prompt: one batch a prompt, in the order in which they end. The consumer sets the pace:
   * generation pauses while `maxWaitingGroups` groups wait. Leaving the loop ends the generation.
   */
  async *generate(
    prompts: readonly PromptRow[],
    options: GenerateOptions = {},
  ): AsyncGenerator<RolloutBatch, void, void> {
    for await (const group of this.#groups(prompts, options, 1)) yield groupBatch(group)
  }

  /** Samples completions of all prompts and joins them in the order of the prompts; without any, a batch of no rows. */
  async generateAll(prompts: readonly PromptRow[], options: GenerateAllOptions = {}): Promise<RolloutBatch> {
    const groups = await this.#allGroups(prompts, options)
    if (groups.length > 0) return joinedRollouts(groups).toBatch()
    const { onGroup: _, ...sampling } = options
    return emptyBatch(sampledSchema(sampling))
  }

  /**
   * As `generateAll` for at least one prompt, but gives the numbers alone, and the batch when it is asked for: what learns from
   * them need not wait for texts and Arrow.
   */
  async generateColumns(
    prompts: readonly PromptRow[],
    options: GenerateAllOptions = {},
  ): Promise<SampledRollouts> {
    if (prompts.length === 0) throw invalidArgument('generateColumns.prompts', 'at least one prompt', prompts)
    return joinedRollouts(await this.#allGroups(prompts, options))
  }

  /** Log-prob and entropy of each completion token under this policy, rows in order. */
  async score(rows: Rows, options: ScoreOptions = {}): Promise<Scores> {
    refuseUnknownKeys(options, ['temperature', 'tokenBudget', 'entropies', 'signal'], 'score')
    const native = nativeRows(tokenColumns(rows), options.temperature, 'score')
    const tokenBudget = tokenBudgetOf(options.tokenBudget, 'score')
    const { logprobs, entropies } = await callCancellable(options.signal, (stop) =>
      this.#engine.score(native, options.entropies ?? true, tokenBudget, stop),
    )
    return { logprobs, entropies }
  }

  /**
   * The largest log-probs of the distributions behind completion tokens, and those of given tokens: with the same bits that
   * `score` gives. The engine holds the logits of a few tokens at a time, 16 MiB of them. INVALID_ARGUMENT for places, ids and
   * a `top` out of range, SHAPE_MISMATCH for ids that the places do not divide, NON_FINITE where there is no distribution.
   */
  topLogprobs(rows: Rows, options: TopLogprobsOptions = {}): Promise<TopLogprobs> {
    return topLogprobs(this.#engine, this.config.vocabSize, rows, options)
  }

  /**
   * What the policy's value head expects from each completion token on, rows in order: a function of the tokens before it.
   * INVALID_ARGUMENT without such a head.
   */
  values(rows: Rows, options: ValuesOptions = {}): Promise<Float32Array> {
    return valuesOf(this.#engine, rows, options)
  }

  /**
   * The gradient of -sum tokenWeights[t] * log pi(token t), not normalised, for `saveGradients` and `gradient`. One weight
   * a completion token.
   */
  async grad(rows: Rows, tokenWeights: Float32Array, options: GradOptions = {}): Promise<{ loss: number }> {
    refuseUnknownKeys(options, ['temperature', 'tokenBudget', 'activationCheckpointing', 'signal'], 'grad')
    const columns = tokenColumns(rows)
    const weights = requirePerToken(tokenWeights, columns, 'grad.tokenWeights')
    const native = nativeRows(columns, options.temperature, 'grad')
    const microBatches = microBatchesOf(options, 'grad')
    const { loss } = await callCancellable(options.signal, (stop) =>
      this.#engine.grad(native, weights, microBatches, stop),
    )
    return { loss }
  }

  /**
   * One optimiser step by an objective's rule on a batch with the column `reward` (and `verdict`), taken as one optimiser
   * batch. A batch without anything to learn from makes no step. NON_FINITE leaves parameters and moments untouched.
   */
  update(batch: RolloutBatch, options: UpdateOptions): Promise<UpdateResult> {
    return updateByObjective(this.#engine, batch, options)
  }

  /** One optimiser step on advantages and norms from elsewhere; what `update` comes down to. */
  applyUpdate(rows: Rows, options: ApplyUpdateOptions): Promise<UpdateStats> {
    return applyUpdate(this.#engine, rows, options)
  }

  /**
   * Optimiser steps one behind the other, of which the engine is given the next before it is done with the last: it waits for
   * JavaScript at none of them. Yields what each did. `updates` is asked for one at a time, while the engine computes. Where a
   * step is refused, those behind it are not made; where the loop is left, neither is the one under way.
   */
  applyUpdates(updates: Iterable<PreparedUpdate>): AsyncGenerator<UpdateStats, void, void> {
    return applyUpdates(this.#engine, updates)
  }

  /** One optimiser step of maximum likelihood on the completions: the mean of -log pi over tokens that are not masked. */
  supervisedStep(rows: Rows, options: SupervisedOptions): Promise<UpdateResult> {
    return supervisedStep(this.#engine, rows, options)
  }

  /** A parameter by its Hugging Face name, row-major; from the fp32 masters where there are any. */
  parameter(name: string): Promise<Float32Array> {
    return call(() => this.#engine.readTensor(name))
  }

  /** Replaces a parameter, named and laid out as `parameter` gives it. BUSY while a generation is open. */
  setParameter(name: string, values: Float32Array): Promise<void> {
    return call(() => this.#engine.writeTensor(name, values))
  }

  /**
   * Moves every parameter by `share` (0 to 1) of its difference from another policy's of the same model: 1 makes them equal.
   * Moments stay as they are. Without fp32 masters a bf16 policy rounds what it gets. SHAPE_MISMATCH for another model, BUSY
   * while a generation is open.
   */
  moveTowards(policy: Policy, share = 1): Promise<void> {
    return moveTowards(this.#engine, policy.#engine, share)
  }

  /** The last gradient of a parameter, by its Hugging Face name. */
  gradient(name: string): Promise<Float32Array> {
    return call(() => this.#engine.readGradient(name))
  }

  /** Writes the last gradients as safetensors, float32, under the parameters' Hugging Face names. */
  saveGradients(path: string): Promise<void> {
    return writeGradients(path, this.#layout, (tensors) => call(() => this.#engine.saveGradients(tensors)))
  }

  /** Writes a model folder in Hugging Face layout, tokenizer files included; there in whole or not at all. */
  save(directory: string, options: SaveOptions = {}): Promise<void> {
    return writeModelFolder(
      directory,
      this.rawConfig,
      this.#modelLayout,
      (tensors) => call(() => this.#engine.save(tensors)),
      {
        ...options,
        ...(this.#folder !== undefined && { copyTokenizerFrom: this.#folder }),
        alongside: async (partial) => {
          if (this.#folder === undefined) await this.tokenizer?.save(partial)
          await options.alongside?.(partial)
        },
      },
    )
  }

  /** A model folder as `save` writes it in float32, with AdamW's moments and step count, and a value head, beside it. */
  saveTrainingState(directory: string): Promise<void> {
    return this.save(directory, {
      alongside: async (partial) => {
        await this.#saveOptimizer(partial)
        if (!this.hasValueHead) return
        await writeValueHead(partial, this.config.hiddenSize, (tensors) =>
          call(() => this.#engine.save(tensors)),
        )
      },
    })
  }

  /** Goes back to what `saveTrainingState` wrote: parameters, moments and step count. CHECKPOINT_CORRUPT. */
  async loadTrainingState(directory: string): Promise<void> {
    const folder = readModelFolder(directory)
    requireSameShape(this.#modelLayout, tensorShapesOf(folder.config), directory)
    const head = this.hasValueHead ? [readValueHead(directory, this.config.hiddenSize)] : []
    const { path, mOffset, vOffset, step } = readOptimizerState(directory, this.#layout)
    await call(() => this.#engine.load([...folder.tensors, ...head], true))
    await call(() => this.#engine.loadOptimizer(path, mOffset, vOffset, step))
  }

  /** Takes the parameters of a model folder of the same shape, such as `save` writes. CHECKPOINT_CORRUPT. */
  async loadParameters(directory: string): Promise<void> {
    const folder = readModelFolder(directory)
    requireSameShape(this.#layout, tensorShapesOf(folder.config), directory)
    await call(() => this.#engine.load(folder.tensors, false))
  }

  /** Bytes by class of memory that such work needs. */
  async plan(options: PlanOptions): Promise<PlanRow[]> {
    const request = memoryRequest(options, this.config, 'plan')
    return [...(await call(() => this.#engine.plan(request))), ...rolloutRow(options, request)]
  }

  /**
   * Takes all memory that `plan` says the engine needs for such work, and writes to it: no later call within these bounds
   * takes more. `train` and `sft` begin with it. OUT_OF_MEMORY; BUSY while a generation is open.
   */
  reserve(options: PlanOptions): Promise<void> {
    const request = memoryRequest(options, this.config, 'reserve')
    return call(() => this.#engine.reserve(request))
  }

  /**
   * A policy of its own with the same parameters, fp32 masters, moments and step count, on the same device: what happens to one
   * does not touch the other. Takes as much memory again. BUSY where the parameters change meanwhile.
   */
  async clone(): Promise<Policy> {
    const { config, rawConfig, tokenizer, stopTokens, samplingDefaults, seed, dtype } = this
    const engine = await copyEngine(this.#engine, config, dtype, this.#heads)
    return new Policy({
      ...{ engine, config, rawConfig, tokenizer, stopTokens, samplingDefaults, seed, dtype },
      heads: this.#heads,
      folder: this.#folder,
    })
  }

  /** Frees everything as soon as the running job has come to its next stop; jobs under way are rejected with DISPOSED. */
  dispose(): Promise<void> {
    return call(() => this.#engine.dispose())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  /** In the order of the prompts. */
  async #allGroups(
    prompts: readonly PromptRow[],
    { onGroup, ...sampling }: GenerateAllOptions,
  ): Promise<FinishedGroup[]> {
    const groups: FinishedGroup[] = []
    for await (const group of this.#groups(prompts, sampling, GROUPS_AHEAD)) {
      groups.push(group)
      onGroup?.({ prompt: group.native.prompt, samples: samplesOfGroup(group) })
    }
    return groups.sort((a, b) => a.native.prompt - b.native.prompt)
  }

  #groups(
    prompts: readonly PromptRow[],
    options: GenerateOptions,
    ahead: number,
  ): AsyncGenerator<FinishedGroup, void, void> {
    const { stopTokens, seed, policyStep, tokenizer } = this
    return generateGroups(
      { engine: this.#engine, tokenizer, stopTokens, seed, policyStep },
      prompts,
      options,
      ahead,
    )
  }

  get #layout(): TensorShape[] {
    return this.#engine.tensors
  }

  /** What a folder in Hugging Face layout holds of it. */
  get #modelLayout(): TensorShape[] {
    return this.#layout.filter(({ name }) => name !== VALUE_HEAD)
  }

  #saveOptimizer(directory: string): Promise<void> {
    return writeOptimizerState(directory, this.#layout, this.policyStep, (path, mOffset, vOffset) =>
      call(() => this.#engine.saveOptimizer(path, mOffset, vOffset)),
    )
  }
}

function seedOf(options: BackendOptions, where: string): bigint {
  return requireSeed(options.seed ?? 0, `${where}.seed`)
}
