import type { ComputeDtype, NativeEngineInfo } from './types.ts'

// The part of the addon's surface that runs and times single ops; see types.ts.

/** A backend on a thread of its own, for single ops on typed arrays. Matrices are row-major and contiguous. */
export interface NativeKernels {
  readonly info: NativeEngineInfo
  dispose(): Promise<void>
  linear(
    inp: Float32Array,
    weight: Float32Array,
    bias: Float32Array | undefined,
    rows: number,
    cols: number,
    inner: number,
  ): Promise<Float32Array>
  rmsnorm(inp: Float32Array, weight: Float32Array, rows: number, eps: number): Promise<Float32Array>
  swiglu(gateUp: Float32Array, rows: number): Promise<Float32Array>
  /** cosSin: a line of headDim / 2 cosines and as many sines for each row. */
  rope(
    inp: Float32Array,
    cosSin: Float32Array,
    rows: number,
    headDim: number,
    inverse: boolean,
  ): Promise<Float32Array>
  attention(...given: NativeAttentionInput): Promise<Float32Array>
  logprobGather(...given: NativeHeadInput): Promise<{ logprobs: Float32Array; entropies: Float32Array }>
  linearBackward(
    dout: Float32Array,
    inp: Float32Array,
    weight: Float32Array,
    rows: number,
    cols: number,
    inner: number,
  ): Promise<{ dinp: Float32Array; dweight: Float32Array; dbias: Float32Array }>
  rmsnormBackward(
    dout: Float32Array,
    inp: Float32Array,
    weight: Float32Array,
    rows: number,
    eps: number,
  ): Promise<{ dinp: Float32Array; dweight: Float32Array }>
  swigluBackward(dout: Float32Array, gateUp: Float32Array, rows: number): Promise<Float32Array>
  attentionBackward(
    dout: Float32Array,
    ...given: NativeAttentionInput
  ): Promise<{ dq: Float32Array; dk: Float32Array; dv: Float32Array }>
  logprobGatherBackward(
    dLogprobs: Float32Array,
    dEntropies: Float32Array | undefined,
    ...given: NativeHeadInput
  ): Promise<{ dhidden: Float32Array; dhead: Float32Array }>
  adamw(
    params: Float32Array,
    grad: Float32Array,
    m: Float32Array,
    v: Float32Array,
    options: NativeAdamwStep,
  ): Promise<{ params: Float32Array; m: Float32Array; v: Float32Array }>
  /** Times an op of `benchmarkOps` on random data, as TimingPlan of native/bench/time_op.h says. */
  time(
    op: string,
    shape: Record<string, number>,
    options: { dtype: ComputeDtype; warmup: number; repeats: number; seconds: number; withFloor: boolean },
  ): Promise<NativeTimedOp>
  /** MachinePeaks of native/bench/machine_peaks.h; reading memory where no size is given. */
  peaks(workingSetBytes?: number): Promise<NativePeaks>
}

export type NativeAttentionInput = readonly [
  q: Float32Array,
  k: Float32Array,
  v: Float32Array,
  offsets: Int32Array,
  shape: { numHeads: number; numKvHeads: number; headDim: number },
]

export type NativeHeadInput = readonly [
  hidden: Float32Array,
  head: Float32Array,
  targets: Int32Array,
  temperature: Float32Array | undefined,
  hiddenSize: number,
]

/** AdamwParams of native/backend/backend.h. */
export interface NativeAdamwStep {
  learningRate: number
  beta1: number
  beta2: number
  eps: number
  weightDecay: number
  step: number
  gradScale: number
}

/** TimedOp and Floor of native/bench/time_op.h: seconds of one run, a sample each, and what a run does and takes at least. */
export interface NativeTimedOp {
  seconds: Float64Array
  flops: number
  bytes: number
  /** Null where it was not asked for. */
  floor: { seconds: number; peakOf: 'f32' | 'bf16' | 'reading' | 'moving'; peak: number } | null
}

/** OpCase of native/bench/op_case.h; shapes in the order of `sizes`. */
export interface NativeOpCase {
  op: string
  sizes: string[]
  shapes: number[][]
}

export interface NativePeaks {
  gflops: number
  gflopsBf16: number
  productGflops: number
  hasBf16: boolean
  gbytes: number
  gbytesMoved: number
}
