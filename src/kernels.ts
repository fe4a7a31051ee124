import { CoppiceError, invalidArgument } from './errors.ts'
import type { ComputeDtype, NativeEngineInfo, NativeKernels } from './native/types.ts'
import { addon, call } from './native.ts'
import { refuseUnknownKeys, requireInteger, requireOneOf } from './options.ts'

export interface KernelsOptions {
  /** Default `cpu`. */
  device?: 'auto' | 'cpu' | 'cuda' | `cuda:${number}`
  /** CPU threads. Default: every core that this process may use. */
  threads?: number
  /** CPU instruction set. Default: COPPICE_ISA, else the best that this machine has. */
  isa?: string
}

/** What a CPU can do at best, all threads together; 10^9 a second. */
export interface MachinePeaks {
  /** Floating-point operations in fused multiply-adds of float32, two each. */
  gflops: number
  /** The same in products of bf16 pairs. Equal to `gflops` where `hasBf16` is false. */
  gflopsBf16: number
  /** Whether the instruction set has an instruction for products of bf16 pairs. */
  hasBf16: boolean
  /** Bytes read. */
  gbytes: number
  isa: string
  threads: number
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

/**
 * The model's ops on typed arrays, float32, matrices row-major: for pipelines and for timing. Each runs on a thread of
 * its own, never on the event loop; memory of a device is made and freed within the call. Formulas are in native/ops/ops.h.
 */
export class Kernels implements AsyncDisposable {
  readonly #native: NativeKernels

  private constructor(native: NativeKernels) {
    this.#native = native
  }

  static async open(options: KernelsOptions = {}): Promise<Kernels> {
    refuseUnknownKeys(options, ['device', 'threads', 'isa'], 'Kernels.open')
    const { threads } = options
    if (threads !== undefined) requireInteger(threads, 'Kernels.open.threads', 1, 4096)
    return new Kernels(await call(() => addon().openKernels({ ...options })))
  }

  get info(): NativeEngineInfo {
    return this.#native.info
  }

  /** inp weight^T: [rows, inner] and [cols, inner] give [rows, cols]. */
  matmul(inp: Float32Array, weight: Float32Array, inner: number): Promise<Float32Array> {
    return call(async () => {
      const rows = rowsOf(inp, inner, 'matmul.inp')
      return this.#native.matmul(inp, weight, rows, rowsOf(weight, inner, 'matmul.weight'), inner)
    })
  }

  /** Each row divided by the root of its mean square + eps, times weight: [rows, cols] and [cols] give [rows, cols]. */
  rmsnorm(inp: Float32Array, weight: Float32Array, eps = 1e-6): Promise<Float32Array> {
    return call(async () =>
      this.#native.rmsnorm(inp, weight, rowsOf(inp, lengthOf(weight, 'rmsnorm.weight'), 'rmsnorm.inp'), eps),
    )
  }

  /** gate * sigmoid(gate) * up, with gate the first and up the second half of each row: [rows, 2 cols] give [rows, cols]. */
  swiglu(gateUp: Float32Array, cols: number): Promise<Float32Array> {
    return call(async () => this.#native.swiglu(gateUp, rowsOf(gateUp, 2 * cols, 'swiglu.gateUp')))
  }

  /** Causal softmax attention within each sequence, scaled by 1 / sqrt(headDim): [rows, numHeads * headDim]. */
  attention(input: AttentionInput): Promise<Float32Array> {
    return call(async () => {
      const { q, k, v, numHeads, headDim } = input
      const numKvHeads = input.numKvHeads ?? numHeads
      const rows = rowsOf(q, numHeads * headDim, 'attention.q')
      const offsets = input.offsets ?? Int32Array.of(0, rows)
      return this.#native.attention(q, k, v, offsets, { numHeads, numKvHeads, headDim })
    })
  }

  /**
   * log softmax(head hidden[i] / temperature[i]) at targets[i], and the entropy of that distribution in nats, without ever
   * holding [rows, vocab]: hidden [rows, cols], head [vocab, cols], targets and temperature (default 1) [rows].
   */
  logprobGather(
    hidden: Float32Array,
    head: Float32Array,
    targets: Int32Array,
    temperature?: Float32Array,
  ): Promise<{ logprobs: Float32Array; entropies: Float32Array }> {
    return call(async () => {
      const rows = lengthOf(targets, 'logprobGather.targets')
      const cols = lengthOf(hidden, 'logprobGather.hidden') / rows
      if (!Number.isInteger(cols))
        throw misfit('logprobGather.hidden', `a multiple of ${rows} values`, hidden.length)
      return this.#native.logprobGather(hidden, head, targets, temperature, cols)
    })
  }

  /**
   * Times an op on random data: seconds of each of `repeats` runs after `warmup` others. Ops and their sizes: `linear`,
   * `linear_backward_input`, `linear_backward_weight` (rows, cols, inner); `rmsnorm`, `swiglu` and their `_backward` (rows,
   * cols); `attention`, `attention_backward` (sequences, length, num_heads, num_kv_heads, head_dim); `head`,
   * `head_backward`, `sample` (rows, vocab, cols); `adamw` (elements). `dtype` is that of parameters, f32 by default.
   */
  time(
    op: string,
    shape: Readonly<Record<string, number>>,
    options: { repeats?: number; warmup?: number; dtype?: ComputeDtype } = {},
  ): Promise<Float64Array> {
    refuseUnknownKeys(options, ['repeats', 'warmup', 'dtype'], 'Kernels.time')
    const { repeats = 20, warmup = 3 } = options
    const dtype = requireOneOf(options.dtype ?? 'f32', 'Kernels.time.dtype', ['f32', 'bf16'])
    return call(() => this.#native.time(op, { ...shape }, repeats, warmup, { dtype }))
  }

  /**
   * What this instance's threads can do at best; `workingSetBytes` as in `machinePeaks`. Measured at the first call, and kept:
   * figures beside it are of the same run. DEVICE_UNAVAILABLE where the device is no CPU.
   */
  peaks(workingSetBytes?: number): Promise<MachinePeaks> {
    if (workingSetBytes !== undefined) requireInteger(workingSetBytes, 'Kernels.peaks.workingSetBytes', 1)
    const { isa, threads } = this.info
    return call(async () => ({ ...(await this.#native.peaks(workingSetBytes)), isa, threads }))
  }

  /** Frees the thread; calls under way are rejected with DISPOSED. */
  dispose(): Promise<void> {
    return call(() => this.#native.dispose())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose()
  }
}

let shared: Promise<Kernels> | undefined

function withShared<T>(work: (kernels: Kernels) => Promise<T>): Promise<T> {
  shared ??= Kernels.open().catch((error) => {
    shared = undefined
    throw error
  })
  return shared.then(work)
}

/** The same ops on a shared instance with every default; opened at the first call, and never in the process's way. */
export const kernels: Pick<
  Kernels,
  'matmul' | 'rmsnorm' | 'swiglu' | 'attention' | 'logprobGather' | 'time'
> = {
  matmul: (...args) => withShared((k) => k.matmul(...args)),
  rmsnorm: (...args) => withShared((k) => k.rmsnorm(...args)),
  swiglu: (...args) => withShared((k) => k.swiglu(...args)),
  attention: (...args) => withShared((k) => k.attention(...args)),
  logprobGather: (...args) => withShared((k) => k.logprobGather(...args)),
  time: (...args) => withShared((k) => k.time(...args)),
}

function lengthOf(array: Float32Array | Int32Array, where: string): number {
  if (!ArrayBuffer.isView(array)) throw invalidArgument(where, 'a typed array', array)
  if (array.length === 0) throw misfit(where, 'at least one value', 0)
  return array.length
}

function rowsOf(array: Float32Array, cols: number, where: string): number {
  requireInteger(cols, `${where}: columns`, 1)
  const length = lengthOf(array, where)
  if (length % cols !== 0) throw misfit(where, `rows of ${cols} values`, length)
  return length / cols
}

function misfit(where: string, expected: string, received: number): CoppiceError {
  return new CoppiceError('SHAPE_MISMATCH', 'a size that does not fit', {
    where,
    expected,
    received: `${received} values`,
  })
}
