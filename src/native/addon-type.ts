import type { NativeKernels, NativeOpCase } from './kernel-types.ts'
import type {
  NativeBackendOptions,
  NativeEngine,
  NativeLossInputs,
  NativeLossParams,
  NativeLossResult,
  NativeMachine,
  NativeMemoryRequest,
  NativeModelConfig,
  NativeStopFlag,
} from './types.ts'

/** What the addon exports; see types.ts. */
export interface NativeAddon {
  StopFlag: new () => NativeStopFlag
  openEngine(config: NativeModelConfig, options: NativeBackendOptions): Promise<NativeEngine>
  openKernels(options: NativeBackendOptions): Promise<NativeKernels>
  benchmarkOps(): NativeOpCase[]
  policyLoss<A extends Float32Array | Float64Array>(
    inputs: NativeLossInputs<A>,
    params: NativeLossParams,
  ): NativeLossResult<A>
  /** What `plan` of such an engine would say, without its parameters. */
  planMemory(
    config: NativeModelConfig,
    options: NativeBackendOptions,
    request: NativeMemoryRequest,
  ): { what: string; bytes: number }[]
  machine(): NativeMachine
  /** False gives finished groups the copy that runtimes without external buffers get; for tests. */
  useExternalBuffers(enabled: boolean): void
  /** Address of a view's first byte, for the tests that prove that nothing is copied. */
  addressOf(view: ArrayBufferView): bigint
  version: string
}
