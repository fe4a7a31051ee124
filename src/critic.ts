import {
  criticConfigOf,
  type JsonObject,
  type ModelConfig,
  readCriticFolder,
  readOptimizerState,
  type TensorShape,
  writeModelFolder,
  writeOptimizerState,
} from './checkpoint.ts'
import { CoppiceError } from './errors.ts'
import { resolveModel } from './hub.ts'
import type { ComputeDtype, NativeEngine, NativeEngineInfo, NativeUpdateInput } from './native/types.ts'
import { addon, call, callSite } from './native.ts'
import type { ObjectiveSpec } from './objective-options.ts'
import { refuseUnknownKeys, requireInteger, requireOneOf } from './options.ts'
import { memoryRequest, microBatchesOf } from './policy/memory-request.ts'
import { nativeRows, type Rows, requirePerToken, tokenColumns } from './policy/native-rows.ts'
import type {
  LoadOptions,
  MicroBatchOptions,
  OptimizerOptions,
  PlanOptions,
  PlanRow,
  SaveOptions,
  UpdateStats,
  ValuesOptions,
  ValueTargets,
} from './policy/options.ts'
import { adamwOf, nativeTargets, runUpdates } from './policy/update.ts'
import { valuesOf } from './policy/values.ts'

/** Where a critic comes from and how it computes. */
export type CriticLoadOptions = Omit<LoadOptions, 'seed' | 'valueHead'>

/** Where the critic of an objective is; null for an objective without one. */
export function valueModelOf(objective: ObjectiveSpec): 'separate' | 'shared' | null {
  return objective.kind === 'ppo' ? (objective.valueModel ?? 'separate') : null
}

/** One optimiser step of a critic on one optimiser batch; one entry a completion token. */
export interface CriticUpdate extends MicroBatchOptions {
  rows: Rows
  value: ValueTargets
  /** mask / denominator of the whole optimiser batch; 0 where a token takes no part. */
  norm: Float32Array
  optimizer: OptimizerOptions
}

interface CriticParts {
  engine: NativeEngine
  config: ModelConfig
  rawConfig: JsonObject
  dtype: ComputeDtype
}

/**
 * A critic: a model's transformer with a scalar head (`score.weight`, fp32, without a bias) in place of the one over tokens, on a
 * thread of its own. Made of a language model it begins with a head of zeros, so that every value is 0. Errors are CoppiceError; after
 * `dispose`, DISPOSED.
 */
export class Critic implements AsyncDisposable {
  readonly config: Readonly<ModelConfig>
  /** The type of the parameters that it computes with; the head is fp32 in any case. */
  readonly dtype: ComputeDtype
  readonly #rawConfig: JsonObject
  readonly #engine: NativeEngine

  private constructor(parts: CriticParts) {
    this.config = parts.config
    this.dtype = parts.dtype
    this.#rawConfig = parts.rawConfig
    this.#engine = parts.engine
  }

  /**
   * Loads the transformer of a language model's folder, or a critic's that `save` wrote, or either of the hub by its id.
   * INVALID_ARGUMENT, CHECKPOINT_CORRUPT, OUT_OF_MEMORY, and those of `resolveModel`.
   */
  static async load(options: CriticLoadOptions): Promise<Critic> {
    refuseUnknownKeys(options, ['model', 'revision', 'device', 'dtype', 'threads', 'isa'], 'Critic.load')
    const { model, revision, device, threads, isa } = options
    const path = await resolveModel(model, revision === undefined ? {} : { revision })
    const { config, rawConfig, tensors } = readCriticFolder(path)
    const dtype = requireOneOf(options.dtype ?? 'f32', 'Critic.dtype', ['f32', 'bf16'])
    const backend = {
      device: device ?? 'auto',
      dtype,
      heads: 'value' as const,
      ...(isa !== undefined && { isa }),
      ...(threads !== undefined && { threads: requireInteger(threads, 'Critic.threads', 1, 4096) }),
    }
    const engine = await call(() => addon().openEngine(config, backend))
    try {
      await call(() => engine.load(tensors, false))
    } catch (error) {
      await engine.dispose()
      throw error
    }
    return new Critic({ engine, config, rawConfig, dtype })
  }

  /** Device, instruction set and number of threads. */
  get info(): NativeEngineInfo {
    return this.#engine.info
  }

  /** Bytes that the engine holds now. */
  get allocatedBytes(): number {
    return this.#engine.allocatedBytes
  }

  /** Optimiser steps that made these parameters, as far as it is known. */
  get step(): number {
    return this.#engine.optimizerStep
  }

  /** What it expects from each completion token on, rows in order: a function of the tokens before it. */
  values(rows: Rows, options: ValuesOptions = {}): Promise<Float32Array> {
    return valuesOf(this.#engine, rows, options)
  }

  /** Optimiser steps one behind the other, as `Policy.applyUpdates`. NON_FINITE leaves parameters and moments untouched. */
  applyUpdates(updates: Iterable<CriticUpdate>): AsyncGenerator<UpdateStats, void, void> {
    const natives = {
      *[Symbol.iterator]() {
        for (const update of updates) yield nativeUpdate(update)
      },
    }
    return runUpdates(this.#engine, natives, callSite(this.applyUpdates))
  }

  /** A parameter by its Hugging Face name, row-major; the head is `score.weight`. */
  parameter(name: string): Promise<Float32Array> {
    return call(() => this.#engine.readTensor(name))
  }

  /** Replaces a parameter, named and laid out as `parameter` gives it. */
  setParameter(name: string, values: Float32Array): Promise<void> {
    return call(() => this.#engine.writeTensor(name, values))
  }

  /** The last gradient of a parameter, by its Hugging Face name. */
  gradient(name: string): Promise<Float32Array> {
    return call(() => this.#engine.readGradient(name))
  }

  /**
   * Writes a folder in Hugging Face layout, of a model for sequence classification with one label; there in whole or not at all.
   */
  save(directory: string, options: SaveOptions = {}): Promise<void> {
    return writeModelFolder(
      directory,
      this.#rawConfig,
      this.#layout,
      (tensors) => call(() => this.#engine.save(tensors)),
      { ...options, writtenConfig: criticConfigOf(this.#rawConfig) },
    )
  }

  /** Such a folder in float32, with AdamW's moments and step count beside it. */
  saveTrainingState(directory: string): Promise<void> {
    return this.save(directory, {
      alongside: (partial) =>
        writeOptimizerState(partial, this.#layout, this.step, (path, mOffset, vOffset) =>
          call(() => this.#engine.saveOptimizer(path, mOffset, vOffset)),
        ),
    })
  }

  /** Goes back to what `saveTrainingState` wrote. CHECKPOINT_CORRUPT. */
  async loadTrainingState(directory: string): Promise<void> {
    const { tensors } = readCriticFolder(directory)
    if (tensors.length !== this.#layout.length) {
      throw new CoppiceError('CHECKPOINT_CORRUPT', 'not the state of this critic', {
        where: directory,
        expected: `${this.#layout.length} tensors, score.weight among them`,
        received: `${tensors.length}`,
      })
    }
    const { path, mOffset, vOffset, step } = readOptimizerState(directory, this.#layout)
    await call(() => this.#engine.load(tensors, true))
    await call(() => this.#engine.loadOptimizer(path, mOffset, vOffset, step))
  }

  /** Bytes by class of memory that updates and values of such rollouts need. */
  plan(options: PlanOptions): Promise<PlanRow[]> {
    const request = memoryRequest({ ...options, generation: false }, this.config, 'plan')
    return call(() => this.#engine.plan(request))
  }

  /** Takes that memory now. OUT_OF_MEMORY. */
  reserve(options: PlanOptions): Promise<void> {
    const request = memoryRequest({ ...options, generation: false }, this.config, 'reserve')
    return call(() => this.#engine.reserve(request))
  }

  /** Frees everything; jobs under way are rejected with DISPOSED. */
  dispose(): Promise<void> {
    return call(() => this.#engine.dispose())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }

  get #layout(): TensorShape[] {
    return this.#engine.tensors
  }
}

function nativeUpdate({ rows, value, norm, optimizer, ...microBatches }: CriticUpdate) {
  refuseUnknownKeys(microBatches, ['tokenBudget', 'activationCheckpointing'], 'Critic.applyUpdates')
  const columns = tokenColumns(rows)
  const input: NativeUpdateInput = {
    norm: requirePerToken(norm, columns, 'Critic.applyUpdates.norm'),
    ...nativeTargets(value, columns, 'Critic.applyUpdates.value'),
    optimizer: adamwOf(optimizer, 'Critic.applyUpdates.optimizer'),
    microBatches: microBatchesOf(microBatches, 'Critic.applyUpdates'),
  }
  return { native: nativeRows(columns, undefined, 'Critic.applyUpdates'), input }
}
