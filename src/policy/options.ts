import type { WriteModelOptions } from '../checkpoint.ts'
import type { ActivationCheckpointing, ComputeDtype } from '../native/types.ts'
import type { ObjectiveOptions, ObjectiveSpec } from '../objective-options.ts'
import type { EmptyClass } from '../objectives.ts'
import type { PolicyLossParams, PolicyLossStats } from '../policy-loss.ts'
import type { RolloutBatch, RolloutColumns } from '../rollouts.ts'
import type { Tokenizer } from '../tokenizer.ts'
import type { Sample } from '../verdicts.ts'
import type { Rows } from './native-rows.ts'

// What the methods of Policy take and give, with every default. The methods themselves are in policy.ts.

/**
 * Packed tokens of a micro-batch. Small enough for the activations of small models to stay in the CPU's cache, large
 * enough for the gradients' own traffic to be hidden.
 */
export const DEFAULT_TOKEN_BUDGET = 2048

/** Every value of `activationCheckpointing`. */
export const ACTIVATION_CHECKPOINTING = [
  'none',
  'layer',
] as const satisfies readonly ActivationCheckpointing[]

/** How work with a backward pass is cut and what it keeps: memory against time. */
export interface MicroBatchOptions {
  /** Packed tokens of a micro-batch, below 2^31. Default 2048. */
  tokenBudget?: number
  /**
   * What the forward pass keeps for the backward pass. `none` (default): what every layer computed. `layer`: each layer's
   * input, from which the backward pass computes the layer again; gradients are the same bits, a step takes up to a third
   * longer. TRL's `gradient_checkpointing`.
   */
  activationCheckpointing?: ActivationCheckpointing
}

/** Where and how the model computes. */
export interface BackendOptions {
  /** `auto` (default) takes a CUDA device when this build and this machine have one, else the CPU. */
  device?: 'auto' | 'cpu' | 'cuda' | `cuda:${number}`
  /**
   * The type of the parameters that the engine computes with. In `bf16` products round their other operand to bf16 too and
   * sum in fp32; activations, gradients and, from the first update on, the fp32 masters stay as they are. Default f32.
   */
  dtype?: ComputeDtype
  /** CPU threads, the engine's own included. Default: every core that this process may use. */
  threads?: number
  /**
   * CPU instruction set: `avx512bf16`, `avx512`, `avx2`, `neon` or `portable`. Default: COPPICE_ISA, else the best that
   * this machine has. Bits of results agree within one instruction set only.
   */
  isa?: string
  /** Key of the sampling noise where `generate` is not given its own. Default 0. */
  seed?: number | bigint
}

/** Whether a policy bears a value head of its own beside the one over tokens. */
export interface ValueHeadOptions {
  /**
   * Adds a scalar value head, zero at first, on the policy's final hidden states, as the objective ppo with `valueModel: 'shared'`
   * needs it. It is no part of what `save` writes, and of what `saveTrainingState` does. Default false.
   */
  valueHead?: boolean
}

export interface LoadOptions extends BackendOptions, ValueHeadOptions {
  /**
   * A model's folder in Hugging Face layout (config.json, *.safetensors, and tokenizer.json where texts are needed), or its id
   * on the Hugging Face hub, `org/name`. For progress, and to cancel a download, call `resolveModel` first.
   */
  model: string
  /** A branch, a tag or a commit of a model on the hub. Default: what stands behind `@` in the id, else `main`. */
  revision?: string
}

export interface InitOptions extends BackendOptions, ValueHeadOptions {
  /** The contents of a Hugging Face config.json of the Llama, Mistral, Qwen2 or Qwen3 family. Parameters are drawn from `seed`. */
  config: Record<string, unknown>
  tokenizer?: Tokenizer
}

/** How far an open generation is. */
export interface GenerateProgress {
  groups: number
  finishedGroups: number
  generatedTokens: number
  liveSequences: number
  /** How long the engine has computed token steps. */
  engineSeconds: number
}

export interface GenerateOptions {
  /** Completions of each prompt. Default 8. */
  numGenerations?: number
  /** Default 1. 0 is greedy: the largest logit, ties to the smaller id. */
  temperature?: number
  /** Default 1: off. */
  topP?: number
  /** Default 0: off. */
  topK?: number
  /** Default 0: off. */
  minP?: number
  /** Most tokens of a completion, the stop token included. Default 256. */
  maxCompletionLength?: number
  /** Tokens that end a completion. Default: the end tokens of config.json and of the tokenizer. */
  stopTokens?: readonly number[]
  /** First part of the noise's key. Default: the policy's seed. */
  seed?: number | bigint
  /** Second part of the noise's key, 0 to 2^32 - 1. Default: the policy's step. */
  step?: number
  /** The prompts' global indices: third part of the noise's key, and the column `group_id`. Default 0, 1, 2 ... */
  promptIndices?: ArrayLike<number>
  /** Also record the entropy of the distribution at each token, in the column `entropies`. Default false. */
  entropies?: boolean
  /** Sequences decoded at a time. Default 256. */
  maxLiveSequences?: number
  /** Finished groups that may wait for the consumer before generation pauses. Default 64. */
  maxWaitingGroups?: number
  signal?: AbortSignal
  /**
   * What an abort does: `throw` (default) rejects with the signal's reason; `finish` ends live completions with finish
   * reason `cancelled`, yields their groups and returns.
   */
  onAbort?: 'throw' | 'finish'
  /** Called a few times a second while the consumer waits, and with each finished group. */
  onProgress?: (progress: GenerateProgress) => void
}

/** The completions of one prompt, as soon as the last of them has ended. */
export interface SampledGroup {
  /** Index into the prompts given. */
  prompt: number
  /** The rows of the group, in their order, as verifiers take them. */
  samples: Sample[]
}

/** Completions of all prompts, rows in the order of the prompts. */
export interface SampledRollouts {
  /** What the engine wrote: numbers, without any text. */
  columns: RolloutColumns
  /** The same with prompts and texts as an Arrow batch over the same memory; made at each call. */
  toBatch: () => RolloutBatch
}

export interface GenerateAllOptions extends GenerateOptions {
  /**
   * Told of every group while the engine goes on with the others, so that they can be judged meanwhile. What it throws ends
   * the generation.
   */
  onGroup?: (group: SampledGroup) => void
}

export interface ScoreOptions {
  /** Overrides the column `temperature`; without either it is 1. */
  temperature?: number
  /** Packed tokens of a micro-batch, below 2^31. Default 2048. */
  tokenBudget?: number
  /** Whether entropies are computed. Default true. */
  entropies?: boolean
  signal?: AbortSignal
}

/** One entry a completion token, rows in order. */
export interface Scores {
  logprobs: Float32Array
  /** Of the full distribution in nats; empty when not asked for. */
  entropies: Float32Array
}

export interface ValuesOptions {
  /** Packed tokens of a micro-batch, below 2^31. Default 2048. */
  tokenBudget?: number
  signal?: AbortSignal
}

export interface TopLogprobsOptions {
  /** How many of the largest, from 0 to the size of the vocabulary. Default 5. */
  top?: number
  /** Tokens to look up as well, as many for each place, place after place. Default: none. */
  ids?: Int32Array
  /**
   * The completion tokens whose distributions are wanted, as rising indices among the completion tokens of all rows. Default:
   * all of them.
   */
  places?: Int32Array
  /** Overrides the column `temperature`; without either it is 1. */
  temperature?: number
  /** Packed tokens of a micro-batch, below 2^31. Default 2048. */
  tokenBudget?: number
  signal?: AbortSignal
}

/** Of the distributions from which the tokens at `places` were drawn, place after place. */
export interface TopLogprobs {
  /** [places x top], falling log-prob, ties by smaller id. */
  topIds: Int32Array
  /** [places x top], in nats. */
  topLogprobs: Float32Array
  /** [places x ids of a place], in nats. */
  logprobs: Float32Array
}

export interface GradOptions extends MicroBatchOptions {
  /** Overrides the column `temperature`; without either it is 1. */
  temperature?: number
  signal?: AbortSignal
}

/** AdamW (Loshchilov and Hutter, 2019) with decoupled decay; names as in TRL. */
export interface OptimizerOptions {
  learningRate: number
  /** Default 0.01, of every tensor. */
  weightDecay?: number
  /** Default 0.9. */
  adamBeta1?: number
  /** Default 0.999. */
  adamBeta2?: number
  /** Default 1e-8. */
  adamEpsilon?: number
  /** Largest norm of the whole gradient; 0 switches clipping off. Default 1. */
  maxGradNorm?: number
}

/** One optimiser step on one batch. Options of the objective may stand in `objective` or beside it. */
export interface UpdateOptions extends OptimizerOptions, ObjectiveOptions, MicroBatchOptions {
  objective: ObjectiveSpec
  /** What `clip-cov` chooses tokens by, with the number of the optimiser step. Default 0. */
  seed?: number
  /** Overrides the column `temperature`; without either it is 1. */
  temperature?: number
  signal?: AbortSignal
}

export interface UpdateResult {
  /** Why no step was made (nothing wrong for nsr, no group that `filterGroups` leaves, no active token ...): parameters are untouched. */
  skipped: EmptyClass | undefined
  /** TRL's keys: loss, grad_norm, clip_ratio/low_mean, entropy, reward ... Absent where there is nothing to say. */
  metrics: Record<string, number>
}

/** What a value head learns from; one entry a completion token. */
export interface ValueTargets {
  returns: Float32Array
  /** Values at sampling; needed by a clip. */
  oldValues?: Float32Array
  /** How far a value may move from the old one before its loss stops pulling it. null: no clip. */
  clip: number | null
  /** Weight of the loss. */
  coefficient: number
}

/** The input of one optimiser step that does not depend on an objective's name; one entry a completion token. */
export interface ApplyUpdateOptions extends MicroBatchOptions {
  advantages: Float32Array
  /** mask / denominator of the whole optimiser batch; 0 where a token takes no part. */
  norm: Float32Array
  /** Default: the batch's column `logprobs`. null: the policy's own log-probs, so that the ratio is 1. */
  oldLogprobs?: Float32Array | null
  refLogprobs?: Float32Array
  /** 1 at the tokens that `lossParams.oldKlCoef` is for, 0 elsewhere; needed when that is not 0. */
  oldKlMask?: Float32Array
  /** Of the policy's own value head, whose loss is added. */
  value?: ValueTargets
  lossParams: PolicyLossParams
  optimizer: OptimizerOptions
  /** Overrides the column `temperature`; without either it is 1. */
  temperature?: number
  signal?: AbortSignal
}

/** An optimiser step among several; see `Policy.applyUpdates`. */
export interface PreparedUpdate extends Omit<ApplyUpdateOptions, 'signal'> {
  rows: Rows
}

/** What the value head's loss did in an optimiser step; zeros without one. */
export interface ValueLossStats {
  /** With its coefficient. */
  valueLoss: number
  valueTokens: number
  /** Tokens whose gradient the clip removed. */
  valueClipped: number
}

/** What one optimiser step did. */
export interface UpdateStats extends PolicyLossStats, ValueLossStats {
  /** Of the policy, without that of a value head. */
  loss: number
  /** Norm of the whole gradient before clipping. */
  gradNorm: number
  /** Elements of the fp32 masters that moved, and those of them whose bf16 rounding did not. */
  changedElements: number
  lostInBf16: number
  /** Steps made so far, this one included. */
  optimizerStep: number
  microBatches: number
  /** Tokens that were computed, shared prompts counted once a micro-batch. */
  packedTokens: number
  /** Up to the head. */
  secondsForward: number
  /** The head, the loss, and everything backward. */
  secondsBackward: number
  secondsOptimizer: number
}

export interface SupervisedOptions extends OptimizerOptions, MicroBatchOptions {
  signal?: AbortSignal
}

/** How `save` writes a model folder; see `WriteModelOptions`. */
export type SaveOptions = Omit<WriteModelOptions, 'copyTokenizerFrom' | 'writtenConfig'>

/** Work that memory is planned or reserved for. */
export interface PlanOptions
  extends MicroBatchOptions,
    Pick<
      GenerateOptions,
      'numGenerations' | 'maxCompletionLength' | 'maxLiveSequences' | 'topP' | 'topK' | 'minP'
    > {
  /** Whether there are updates, which need masters, gradients and moments. Default true; else there is scoring alone. */
  training?: boolean
  /** Whether there is sampling. Default true. */
  generation?: boolean
  /** Prompts sampled at a time. Default: enough for `maxLiveSequences`, and their rollouts are not counted. */
  promptsPerStep?: number
  /** Tokens of the longest prompt. */
  longestPrompt: number
  /** Tokens of the longest prompt and completion together. Default: those of `longestPrompt` and `maxCompletionLength`. */
  longestRow?: number
}

/** Bytes of one class of memory: parameters, gradients, activations and scratch, key/value cache, rollouts ... */
export interface PlanRow {
  what: string
  bytes: number
}
