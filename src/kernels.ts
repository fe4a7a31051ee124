import { invalidArgument } from './errors.ts'
import { columnsOf, lengthOf, misfit, rowsOf } from './kernels/arguments.ts'
import { benchmarkResult } from './kernels/benchmark-result.ts'
import type {
  AdamwInput,
  AdamwState,
  AttentionGradientInput,
  AttentionGradients,
  AttentionInput,
  KernelBenchmarkOptions,
  LinearGradientInput,
  LinearGradients,
  LinearInput,
  LogprobGradientInput,
  LogprobGradients,
  MachinePeaks,
  OpBenchmark,
  RmsnormGradientInput,
  RmsnormGradients,
  RopeInput,
  SwigluGradientInput,
} from './kernels/inputs.ts'
import { ropeTable } from './kernels/rope-table.ts'
import type { NativeKernels } from './native/kernel-types.ts'
import type { ComputeDtype, NativeEngineInfo } from './native/types.ts'
import { addon, call } from './native.ts'
import { refuseUnknownKeys, requireInteger, requireNumber, requireOneOf } from './options.ts'

export type * from './kernels/inputs.ts'

export interface KernelsOptions {
  /** Default `cpu`. */
  device?: 'auto' | 'cpu' | 'cuda' | `cuda:${number}`
  /** CPU threads. Default: every core that this process may use. */
  threads?: number
  /** CPU instruction set. Default: COPPICE_ISA, else the best that this machine has. */
  isa?: string
}

const ADAMW_DEFAULTS = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, gradScale: 1 }

/**
 * The model's ops on typed arrays, float32, matrices row-major: for pipelines and for timing. Each runs on a thread of
 * its own, never on the event loop; memory of a device is made and freed within the call, and inputs stay as they are. Formulas
 * are in native/ops/ops.h. SHAPE_MISMATCH and INVALID_ARGUMENT name the argument.
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
    return this.linear({ inp, weight, inner })
  }

  /** inp weight^T + bias, [rows, cols]. */
  linear(input: LinearInput): Promise<Float32Array> {
    return call(async () => {
      refuseUnknownKeys(input, ['inp', 'weight', 'inner', 'bias'], 'linear')
      const { inp, weight, inner, bias } = input
      const rows = rowsOf(inp, inner, 'linear.inp')
      return this.#native.linear(inp, weight, bias, rows, rowsOf(weight, inner, 'linear.weight'), inner)
    })
  }

  /** dinp = dout weight [rows, inner], dweight = dout^T inp [cols, inner], dbias = the sum of dout's rows [cols]. */
  linearBackward(input: LinearGradientInput): Promise<LinearGradients> {
    return call(async () => {
      refuseUnknownKeys(input, ['dout', 'inp', 'weight', 'inner'], 'linearBackward')
      const { dout, inp, weight, inner } = input
      const rows = rowsOf(inp, inner, 'linearBackward.inp')
      const cols = rowsOf(weight, inner, 'linearBackward.weight')
      return this.#native.linearBackward(dout, inp, weight, rows, cols, inner)
    })
  }

  /** Each row divided by the root of its mean square + eps, times weight: [rows, cols] and [cols] give [rows, cols]. */
  rmsnorm(inp: Float32Array, weight: Float32Array, eps = 1e-6): Promise<Float32Array> {
    return call(async () =>
      this.#native.rmsnorm(inp, weight, rowsOf(inp, lengthOf(weight, 'rmsnorm.weight'), 'rmsnorm.inp'), eps),
    )
  }

  /** Gradients of `rmsnorm` by its input [rows, cols] and its weight [cols]. */
  rmsnormBackward(input: RmsnormGradientInput): Promise<RmsnormGradients> {
    return call(async () => {
      refuseUnknownKeys(input, ['dout', 'inp', 'weight', 'eps'], 'rmsnormBackward')
      const { dout, inp, weight, eps = 1e-6 } = input
      const rows = rowsOf(inp, lengthOf(weight, 'rmsnormBackward.weight'), 'rmsnormBackward.inp')
      return this.#native.rmsnormBackward(dout, inp, weight, rows, eps)
    })
  }

  /** gate * sigmoid(gate) * up, with gate the first and up the second half of each row: [rows, 2 cols] give [rows, cols]. */
  swiglu(gateUp: Float32Array, cols: number): Promise<Float32Array> {
    return call(async () => this.#native.swiglu(gateUp, rowsOf(gateUp, 2 * cols, 'swiglu.gateUp')))
  }

  /** Gradient of `swiglu` by its input, [rows, 2 cols]. */
  swigluBackward(input: SwigluGradientInput): Promise<Float32Array> {
    return call(async () => {
      refuseUnknownKeys(input, ['dout', 'gateUp', 'cols'], 'swigluBackward')
      const { dout, gateUp, cols } = input
      return this.#native.swigluBackward(dout, gateUp, rowsOf(dout, cols, 'swigluBackward.dout'))
    })
  }

  /**
   * Rotary embedding in the rotate-half convention: for j < headDim / 2 the pair (x[j], x[j + headDim / 2]) of every head turns
   * by position / theta^(2 j / headDim). [rows, heads * headDim].
   */
  rope(input: RopeInput): Promise<Float32Array> {
    return call(async () => this.#rotate(input, false, 'rope'))
  }

  /** Gradient of `rope` by its input, from that by its output, `inp`: the same rotations back. */
  ropeBackward(input: RopeInput): Promise<Float32Array> {
    return call(async () => this.#rotate(input, true, 'ropeBackward'))
  }

  #rotate(input: RopeInput, inverse: boolean, where: string): Promise<Float32Array> {
    refuseUnknownKeys(input, ['inp', 'headDim', 'positions', 'theta'], where)
    const { inp, headDim, positions, theta = 10_000 } = input
    requireInteger(headDim, `${where}.headDim`, 2, 2 ** 20)
    if (headDim % 2 !== 0) throw invalidArgument(`${where}.headDim`, 'an even number', headDim)
    requireNumber(theta, `${where}.theta`, 1)
    const rows = lengthOf(positions, `${where}.positions`)
    const early = positions.findIndex((position) => !(position >= 0))
    if (early >= 0) throw invalidArgument(`${where}.positions[${early}]`, '0 or more', positions[early])
    const cols = columnsOf(inp, rows, `${where}.inp`)
    if (cols % headDim !== 0) {
      throw misfit(`${where}.inp`, `rows of whole heads of ${headDim} values`, inp.length)
    }
    return this.#native.rope(inp, ropeTable(positions, headDim, theta), rows, headDim, inverse)
  }

  /** Causal softmax attention within each sequence, scaled by 1 / sqrt(headDim): [rows, numHeads * headDim]. */
  attention(input: AttentionInput): Promise<Float32Array> {
    return call(async () => this.#native.attention(...attentionArguments(input, [], 'attention')))
  }

  /** Gradients of `attention` by q, k and v; its forward is done again. */
  attentionBackward(input: AttentionGradientInput): Promise<AttentionGradients> {
    return call(async () => {
      const given = attentionArguments(input, ['dout'], 'attentionBackward')
      return this.#native.attentionBackward(input.dout, ...given)
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
      const cols = columnsOf(hidden, lengthOf(targets, 'logprobGather.targets'), 'logprobGather.hidden')
      return this.#native.logprobGather(hidden, head, targets, temperature, cols)
    })
  }

  /**
   * Gradients of `logprobGather` by hidden states [rows, cols] and head [vocab, cols], [rows, vocab] never held; its forward is
   * done again. With the token gradients of a loss as `dLogprobs` this is the way from rewards to a model's last layer.
   */
  logprobGatherBackward(input: LogprobGradientInput): Promise<LogprobGradients> {
    return call(async () => {
      const where = 'logprobGatherBackward'
      const known = ['hidden', 'head', 'targets', 'temperature', 'dLogprobs', 'dEntropies']
      refuseUnknownKeys(input, known, where)
      const { hidden, head, targets, temperature, dLogprobs, dEntropies } = input
      const cols = columnsOf(hidden, lengthOf(targets, `${where}.targets`), `${where}.hidden`)
      const given = [hidden, head, targets, temperature, cols] as const
      return this.#native.logprobGatherBackward(dLogprobs, dEntropies, ...given)
    })
  }

  /**
   * One step of AdamW (Loshchilov and Hutter, 2019, as torch.optim.AdamW orders it). Gives new arrays; the input's stay as they
   * are.
   */
  adamw(input: AdamwInput): Promise<AdamwState> {
    return call(async () => {
      const { params, grad, m, v, ...given } = input
      refuseUnknownKeys(given, ['step', 'learningRate', ...Object.keys(ADAMW_DEFAULTS)], 'adamw')
      lengthOf(params, 'adamw.params')
      const options = { ...ADAMW_DEFAULTS, ...given }
      for (const [name, value] of Object.entries(options)) requireNumber(value, `adamw.${name}`, 0)
      return this.#native.adamw(params, grad, m, v, options)
    })
  }

  /**
   * Times an op on random data: seconds of one run in each of `repeats` samples (20) after `warmup` others (3), one at least; with
   * `seconds`, no new sample after so many once there are three. Ops and their sizes are those of `benchmarkOps()`. `dtype` is that
   * of parameters, f32 by default.
   */
  async time(
    op: string,
    shape: Readonly<Record<string, number>>,
    options: { repeats?: number; seconds?: number; warmup?: number; dtype?: ComputeDtype } = {},
  ): Promise<Float64Array> {
    refuseUnknownKeys(options, ['repeats', 'seconds', 'warmup', 'dtype'], 'Kernels.time')
    const { repeats = 20, seconds = Number.MAX_VALUE, warmup = 3 } = options
    requireInteger(repeats, 'Kernels.time.repeats', 1)
    requireNumber(seconds, 'Kernels.time.seconds', 0)
    const dtype = requireOneOf(options.dtype ?? 'f32', 'Kernels.time.dtype', ['f32', 'bf16'])
    const plan = { dtype, warmup, repeats, seconds, withFloor: false }
    return (await call(() => this.#native.time(op, { ...shape }, plan))).seconds
  }

  /**
   * Times an op of `benchmarkOps()` and says where it stands against what this instance's threads can do at best, measured at
   * the first call and kept.
   */
  async benchmark(
    op: string,
    shape: Readonly<Record<string, number>>,
    options: KernelBenchmarkOptions = {},
  ): Promise<OpBenchmark> {
    refuseUnknownKeys(options, ['dtype', 'iterations', 'seconds', 'warmup'], 'benchmark')
    const { iterations = Number.MAX_SAFE_INTEGER, warmup = 1 } = options
    const { seconds = options.iterations === undefined ? 0.2 : Number.MAX_VALUE } = options
    requireInteger(iterations, 'benchmark.iterations', 1)
    requireNumber(seconds, 'benchmark.seconds', 0)
    requireInteger(warmup, 'benchmark.warmup', 0)
    const dtype = requireOneOf(options.dtype ?? 'f32', 'benchmark.dtype', ['f32', 'bf16'])
    const withFloor = this.info.device === 'cpu'
    const plan = { dtype, warmup, repeats: iterations, seconds, withFloor }
    const timed = await call(() => this.#native.time(op, { ...shape }, plan))
    return benchmarkResult({ op, shape, dtype }, this.info, timed)
  }

  /**
   * What this instance's threads can do at best; `workingSetBytes` as in `machinePeaks`. Measured at the first call, and kept:
   * figures beside it are of the same run. DEVICE_UNAVAILABLE where the device is no CPU.
   */
  peaks(workingSetBytes?: number): Promise<MachinePeaks> {
    return call(async () => {
      if (workingSetBytes !== undefined) requireInteger(workingSetBytes, 'peaks.workingSetBytes', 1)
      const { isa, threads } = this.info
      return { ...(await this.#native.peaks(workingSetBytes)), isa, threads }
    })
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
export const kernels: Omit<Kernels, 'info' | 'dispose' | typeof Symbol.asyncDispose> = {
  matmul: (...args) => withShared((k) => k.matmul(...args)),
  linear: (input) => withShared((k) => k.linear(input)),
  linearBackward: (input) => withShared((k) => k.linearBackward(input)),
  rmsnorm: (...args) => withShared((k) => k.rmsnorm(...args)),
  rmsnormBackward: (input) => withShared((k) => k.rmsnormBackward(input)),
  swiglu: (...args) => withShared((k) => k.swiglu(...args)),
  swigluBackward: (input) => withShared((k) => k.swigluBackward(input)),
  rope: (input) => withShared((k) => k.rope(input)),
  ropeBackward: (input) => withShared((k) => k.ropeBackward(input)),
  attention: (input) => withShared((k) => k.attention(input)),
  attentionBackward: (input) => withShared((k) => k.attentionBackward(input)),
  logprobGather: (...args) => withShared((k) => k.logprobGather(...args)),
  logprobGatherBackward: (input) => withShared((k) => k.logprobGatherBackward(input)),
  adamw: (input) => withShared((k) => k.adamw(input)),
  time: (...args) => withShared((k) => k.time(...args)),
  benchmark: (...args) => withShared((k) => k.benchmark(...args)),
  peaks: (bytes) => withShared((k) => k.peaks(bytes)),
}

function attentionArguments(input: AttentionInput, more: readonly string[], where: string) {
  refuseUnknownKeys(input, ['q', 'k', 'v', 'numHeads', 'numKvHeads', 'headDim', 'offsets', ...more], where)
  const { q, k, v, numHeads, headDim, numKvHeads = numHeads } = input
  const rows = rowsOf(q, numHeads * headDim, `${where}.q`)
  const offsets = input.offsets ?? Int32Array.of(0, rows)
  return [q, k, v, offsets, { numHeads, numKvHeads, headDim }] as const
}
