// The surface of the addon, as native/binding exports it: engines, and what they take and give. Single ops are in kernel-types.ts, the
// addon itself is in addon-type.ts. Arrays are checked and copied while a call is made: what becomes
// of their memory afterwards is no concern of the job's. Results are views of native memory. Rejections are plain errors with
// a `code`; `call` in native.ts turns them into CoppiceError.

/** Fields of native/engine/model_config.h. */
export interface NativeModelConfig {
  vocabSize: number
  hiddenSize: number
  numLayers: number
  numHeads: number
  numKvHeads: number
  headDim: number
  intermediateSize: number
  maxPositions: number
  rmsNormEps: number
  ropeTheta: number
  ropeScaling: 'default' | 'llama3'
  ropeFactor: number
  ropeLowFreqFactor: number
  ropeHighFreqFactor: number
  ropeOriginalMaxPositions: number
  qkvBias: boolean
  qkNorm: boolean
  tieEmbeddings: boolean
  layerWindows: number[]
}

export type NativeDType = 'f32' | 'bf16' | 'f16'

/** The type of the parameters that the engine computes with. */
export type ComputeDtype = 'f32' | 'bf16'

/** What a pass keeps of the layers for its backward: everything, or each layer's input, from which it is computed again. */
export type ActivationCheckpointing = 'none' | 'layer'

/** A tensor's body inside a file; `offset` in bytes from the file's beginning. */
export interface NativeTensorInFile {
  name: string
  path: string
  offset: number
  dtype: NativeDType
}

/** A tensor of the model under its Hugging Face name. */
export interface NativeTensor {
  name: string
  shape: number[]
}

/** What reads the final hidden states: a head over the vocabulary, a value head (`score.weight`), or both. */
export type NativeHeads = 'tokens' | 'value' | 'tokens-and-value'

export interface NativeBackendOptions {
  device?: string
  /** Default `tokens`. */
  heads?: NativeHeads
  /** Of parameters: f32 (default) or bf16. */
  dtype?: ComputeDtype
  isa?: string
  threads?: number
}

/** Asks jobs to end early: they resolve with `cancelled: true`. One may serve several jobs. */
export interface NativeStopFlag {
  set(): void
}

/** Rows of prompts and completions: values and offsets [rows + 1], which need not start at 0. */
export interface NativeRows {
  promptTokens: Int32Array
  promptOffsets: Int32Array
  completionTokens: Int32Array
  completionOffsets: Int32Array
  /** One a row; absent: 1. */
  temperature?: Float32Array | undefined
}

export interface NativeScores {
  cancelled: boolean
  logprobs: Float32Array
  entropies: Float32Array
}

/** TopLogProbsOutput of native/engine/engine.h, place after place. */
export interface NativeTopLogprobs {
  cancelled: boolean
  topIds: Int32Array
  topLogprobs: Float32Array
  /** Of the given ids. */
  logprobs: Float32Array
}

export interface NativeGrad {
  cancelled: boolean
  loss: number
}

export interface NativeValues {
  cancelled: boolean
  values: Float32Array
}

/** ValueLossParams of native/engine/value_loss.h. Infinity leaves values free. */
export interface NativeValueLossParams {
  clip: number
  coef: number
}

/** PolicyLossParams of native/backend/backend.h. Infinity leaves a side of the clip open. */
export interface NativeLossParams {
  importance: 'none' | 'token' | 'sequence' | 'sequence-token'
  clip: boolean
  clipLow: number
  clipHigh: number
  dualClip: number
  klKind: 'k1' | 'k2' | 'k3'
  klCoef: number
  entropyCoef: number
  surrogate?: 'clip' | 'cispo' | 'gmpo' | 'sapo' | 'topr'
  sapoTemperaturePos?: number
  sapoTemperatureNeg?: number
  oldKlCoef?: number
}

/** PolicyLossStats of native/backend/backend.h, without the loss. */
export interface NativeLossStats {
  activeTokens: number
  clippedLow: number
  clippedHigh: number
  klSum: number
  entropySum: number
  ratioSum: number
  maxAbsLogRatio: number
}

/** Arrays of one length and one type. */
export interface NativeLossInputs<A extends Float32Array | Float64Array = Float32Array | Float64Array> {
  logprobs: A
  oldLogprobs: A
  refLogprobs: A | null
  entropies: A | null
  advantages: A
  norm: A
  /** 1 or 0 a token; needed when oldKlCoef is not 0. */
  oldKlMask?: Float32Array | null | undefined
  offsets: Int32Array
}

export interface NativeLossResult<A extends Float32Array | Float64Array = Float32Array | Float64Array> {
  loss: number
  dLogprobs: A
  dEntropies: A | null
  stats: NativeLossStats
}

export interface NativeAdamw {
  learningRate: number
  beta1: number
  beta2: number
  eps: number
  weightDecay: number
  maxGradNorm: number
}

export interface NativeUpdateInput {
  oldLogprobs?: Float32Array | undefined
  refLogprobs?: Float32Array | undefined
  oldKlMask?: Float32Array | undefined
  /** With `loss`; absent: no policy loss. */
  advantages?: Float32Array | undefined
  norm: Float32Array
  loss?: NativeLossParams | undefined
  /** With `valueLoss`; absent: no value loss. */
  returns?: Float32Array | undefined
  /** Needed by a clip. */
  oldValues?: Float32Array | undefined
  valueLoss?: NativeValueLossParams | undefined
  optimizer: NativeAdamw
  microBatches: NativeMicroBatches
}

/** MicroBatchParams of native/engine/engine.h. */
export interface NativeMicroBatches {
  tokenBudget: number
  activationCheckpointing: ActivationCheckpointing
}

export interface NativeUpdateStats extends NativeLossStats {
  cancelled: boolean
  /** Of the value head: the loss with its coefficient, active tokens, and those whose gradient the clip removed. */
  valueLoss: number
  valueTokens: number
  valueClipped: number
  loss: number
  gradNorm: number
  changedElements: number
  lostInBf16: number
  optimizerStep: number
  microBatches: number
  packedTokens: number
  secondsForward: number
  secondsBackward: number
  secondsOptimizer: number
}

export interface NativeGenerationParams {
  numGenerations: number
  temperature: number
  topK: number
  topP: number
  minP: number
  maxCompletionLength: number
  stopTokens: Int32Array
  seed: bigint
  step: number
  maxLiveSequences: number
  maxWaitingGroups: number
  entropies: boolean
}

/** MemoryRequest of native/engine/engine.h: what the engine is to have room for. */
export interface NativeMemoryRequest {
  training: boolean
  generation: boolean
  microBatches: NativeMicroBatches
  params: NativeGenerationParams
  longestPrompt: number
  longestRow: number
}

/** A finished group: typed arrays over one block of native memory, which lives as long as any of them. */
export interface NativeGroup {
  /** Index into the prompts given. */
  prompt: number
  rows: number
  promptTokens: Int32Array
  promptOffsets: Int32Array
  completionTokens: Int32Array
  completionOffsets: Int32Array
  /** All 1: the policy produced every token. */
  completionMask: Uint8Array
  logprobs: Float32Array
  samplerLogprobs?: Float32Array
  entropies?: Float32Array
  /** Index into stop, length, cancelled; one a row. */
  finishReasons: Int8Array
  /** Constant columns, one entry a row. */
  groupIds: Int32Array
  sampleIndex: Int32Array
  temperature: Float32Array
  seed: BigUint64Array
  policyStep: Int32Array
}

export interface NativeGenerationProgress {
  finishedGroups: number
  generatedTokens: number
  liveSequences: number
  engineSeconds: number
}

export interface NativeGeneration {
  /** Resolves with the next finished group, or with null when there is none left. */
  next(): Promise<NativeGroup | null>
  /** Ends live sequences; their groups still come. */
  cancel(): void
  /** Ends the generation and frees its cache; later `next` gives null. */
  close(): Promise<void>
  progress(): NativeGenerationProgress
}

export interface NativeEngineInfo {
  /** `cpu`, `cuda`. */
  device: string
  isa: string
  threads: number
}

export interface NativeEngine {
  readonly info: NativeEngineInfo
  readonly tensors: NativeTensor[]
  readonly allocatedBytes: number
  /** Grows with every change of the parameters. */
  readonly version: number
  readonly optimizerStep: number
  readonly hasOptimizerState: boolean
  /** Rejects running and waiting jobs with DISPOSED; resolves when the memory is freed. */
  dispose(): Promise<void>

  initRandom(seed: bigint): Promise<void>
  /** `withMasters`: the files' values also become the fp32 masters, as a run that goes on needs them. */
  load(tensors: NativeTensorInFile[], withMasters: boolean): Promise<void>
  save(tensors: NativeTensorInFile[]): Promise<void>
  readTensor(name: string): Promise<Float32Array>
  writeTensor(name: string, values: Float32Array): Promise<void>
  saveGradients(tensors: NativeTensorInFile[]): Promise<void>
  readGradient(name: string): Promise<Float32Array>
  saveOptimizer(path: string, mOffset: number, vOffset: number): Promise<void>
  loadOptimizer(path: string, mOffset: number, vOffset: number, step: number): Promise<void>
  /** Both moments of a tensor, one behind the other; INVALID_ARGUMENT where there are none. */
  readMoments(name: string): Promise<Float32Array>
  /** `step`: the optimiser's, which is the same with every tensor. */
  writeMoments(name: string, values: Float32Array, step: number): Promise<void>

  score(
    rows: NativeRows,
    entropies: boolean,
    tokenBudget: number,
    stop?: NativeStopFlag,
  ): Promise<NativeScores>
  /** `places`: rising indices of completion tokens; `ids`: as many for each place, or undefined for none. */
  topLogprobs(
    rows: NativeRows,
    places: Int32Array,
    top: number,
    ids: Int32Array | undefined,
    tokenBudget: number,
    stop?: NativeStopFlag,
  ): Promise<NativeTopLogprobs>
  grad(
    rows: NativeRows,
    tokenWeights: Float32Array,
    microBatches: NativeMicroBatches,
    stop?: NativeStopFlag,
  ): Promise<NativeGrad>
  /** What the value head says at the positions that predict the completion tokens. */
  values(rows: NativeRows, tokenBudget: number, stop?: NativeStopFlag): Promise<NativeValues>
  /** One that fails sets `stop`: updates queued behind it under the same flag do nothing and are cancelled. */
  update(rows: NativeRows, input: NativeUpdateInput, stop?: NativeStopFlag): Promise<NativeUpdateStats>
  /** `promptIndex`: the prompts' global indices; `policyStep` fills the column of that name. */
  generate(
    promptTokens: Int32Array,
    promptOffsets: Int32Array,
    promptIndex: Int32Array,
    params: NativeGenerationParams,
    policyStep: number,
  ): NativeGeneration
  plan(request: NativeMemoryRequest): Promise<{ what: string; bytes: number }[]>
  reserve(request: NativeMemoryRequest): Promise<void>
}

export interface NativeMachine {
  cores: number
  /** Best first. */
  instructionSets: string[]
  cuda: boolean
  /** Whether this runtime lets native memory be seen as an ArrayBuffer; else finished groups are copied. */
  externalBuffers: boolean
}
