import type { ComputeDtype } from '../native/types.ts'

/** inp weight^T + bias. Matrices are row-major. */
export interface LinearInput {
  /** [rows, inner] */
  inp: Float32Array
  /** [cols, inner] */
  weight: Float32Array
  inner: number
  /** [cols]. Default: none. */
  bias?: Float32Array
}

export interface LinearGradientInput {
  /** Gradient of the loss by the output, [rows, cols]. */
  dout: Float32Array
  /** [rows, inner] */
  inp: Float32Array
  /** [cols, inner] */
  weight: Float32Array
  inner: number
}

export interface LinearGradients {
  dinp: Float32Array
  dweight: Float32Array
  dbias: Float32Array
}

export interface RmsnormGradientInput {
  /** Gradient of the loss by the output, [rows, cols]. */
  dout: Float32Array
  /** The forward's input, [rows, cols]. */
  inp: Float32Array
  /** [cols] */
  weight: Float32Array
  /** Default 1e-6. */
  eps?: number
}

export interface RmsnormGradients {
  dinp: Float32Array
  dweight: Float32Array
}

export interface SwigluGradientInput {
  /** Gradient of the loss by the output, [rows, cols]. */
  dout: Float32Array
  /** The forward's input, [rows, 2 cols]. */
  gateUp: Float32Array
  cols: number
}

export interface RopeInput {
  /** [rows, heads * headDim] */
  inp: Float32Array
  /** Even. */
  headDim: number
  /** Position of each row, from 0. */
  positions: Int32Array
  /** Wavelengths grow up to 2 pi theta. Default 10000. */
  theta?: number
}

export interface AttentionInput {
  /** [rows, numHeads * headDim] */
  q: Float32Array
  /** [rows, numKvHeads * headDim]; query head h reads key and value head floor(h / (numHeads / numKvHeads)). */
  k: Float32Array
  /** As k. */
  v: Float32Array
  numHeads: number
  /** Default numHeads. */
  numKvHeads?: number
  headDim: number
  /** Rows of sequence i: [offsets[i], offsets[i + 1]). Default: all rows are one sequence. */
  offsets?: Int32Array
}

export interface AttentionGradientInput extends AttentionInput {
  /** Gradient of the loss by the output, [rows, numHeads * headDim]. */
  dout: Float32Array
}

export interface AttentionGradients {
  dq: Float32Array
  dk: Float32Array
  dv: Float32Array
}

export interface LogprobGradientInput {
  /** [rows, cols] */
  hidden: Float32Array
  /** [vocab, cols] */
  head: Float32Array
  /** [rows] */
  targets: Int32Array
  /** [rows]. Default: 1 everywhere. */
  temperature?: Float32Array
  /** Gradient of the loss by each log-prob, [rows]: `Float32Array.from` of `policyLoss(...).tokenGradients`, for one. */
  dLogprobs: Float32Array
  /** Gradient of the loss by each entropy, [rows]. Default: 0. */
  dEntropies?: Float32Array
}

export interface LogprobGradients {
  dhidden: Float32Array
  dhead: Float32Array
}

export interface AdamwInput {
  params: Float32Array
  /** As long as `params`, as are `m` and `v`. */
  grad: Float32Array
  /** First moment; zeros before the first step. */
  m: Float32Array
  /** Second moment; zeros before the first step. */
  v: Float32Array
  /** Counted from 1. */
  step: number
  learningRate: number
  /** Default 0.9. */
  beta1?: number
  /** Default 0.999. */
  beta2?: number
  /** Default 1e-8. */
  eps?: number
  /** Decoupled: a share of the parameter for each unit of learning rate. Default 0.01. */
  weightDecay?: number
  /** Applied to every gradient, as a clip of the global norm is. Default 1. */
  gradScale?: number
}

export interface AdamwState {
  params: Float32Array
  m: Float32Array
  v: Float32Array
}

export interface KernelBenchmarkOptions {
  /** Of parameters; activations are float32 in any case. Default f32. */
  dtype?: ComputeDtype
  /** Samples that are timed, at most. Default: as many as fit into `seconds`. */
  iterations?: number
  /** Beyond which no more samples are taken, from the third on. Default 0.2, or no bound where `iterations` is given. */
  seconds?: number
  /** Samples before those that count, one at least. Default 1. */
  warmup?: number
}

/** Times of an op and where it stands against what the machine can do at best. Rates are of the median. */
export interface OpBenchmark {
  op: string
  shape: Readonly<Record<string, number>>
  dtype: ComputeDtype
  device: string
  isa: string
  threads: number
  /** Samples. */
  iterations: number
  /** Seconds of one run in each sample. One of a short op is the mean over as many runs as take a tenth of a millisecond. */
  seconds: Float64Array
  /** Percentiles of `seconds`. */
  p20: number
  p50: number
  p80: number
  /** 10^9 floating-point operations a second; null where they are not what counts. */
  gflops: number | null
  /** 10^9 bytes of operands a second, each read or written once. */
  gbytes: number
  /** What one run does: floating-point operations, 0 where they are not what counts, and bytes of operands. */
  flops: number
  bytes: number
  /**
   * Seconds that one run takes at least on this machine: its operations at the peak of multiply-adds, or its operands at the rates
   * at which an array of their size is read and updated, whichever takes longer. All were measured in the same run. Null on a
   * device whose peaks are not measured, as are the fields below.
   */
  floor: number | null
  /** floor / p50. */
  peakShare: number | null
  /** The peak that makes the floor: multiply-adds of float32, products of bf16 pairs, reading, or reading and writing. */
  peakOf: 'f32' | 'bf16' | 'reading' | 'moving' | null
  /** That peak, in 10^9 operations or bytes a second. */
  peak: number | null
}

/** What a CPU can do at best, all threads together; 10^9 a second. */
export interface MachinePeaks {
  /** Floating-point operations in fused multiply-adds of float32, two each. */
  gflops: number
  /** The same in products of bf16 pairs. Equal to `gflops` where `hasBf16` is false. */
  gflopsBf16: number
  /**
   * `gflops` in the inner loop of a product over operands in the first-level cache: the median of the samples, where the other rates
   * are the fastest. Some 97 % of `gflops` on a core of one's own; where another guest of the host runs on the core's other
   * thread, multiply-adds alone lose nothing to it and this loop, as all real work, its share of the instructions.
   */
  productGflops: number
  /** Whether the instruction set has an instruction for products of bf16 pairs. */
  hasBf16: boolean
  /** Bytes read. */
  gbytes: number
  /** Bytes read and written in updating an array in place, both counted; never less than `gbytes`. */
  gbytesMoved: number
  isa: string
  threads: number
}
