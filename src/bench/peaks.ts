import { Kernels, type MachinePeaks } from '../kernels.ts'
import { refuseUnknownKeys } from '../options.ts'

export interface MachinePeaksOptions {
  /** CPU threads. Default: every core that this process may use. */
  threads?: number
  /** CPU instruction set. Default: COPPICE_ISA, else the best that this machine has. */
  isa?: string
  /**
   * Size of the array whose reading `gbytes` is, in bytes: what fits into a cache is read from it. Default: four times the
   * last-level cache, which is memory's own rate.
   */
  workingSetBytes?: number
}

/**
 * Measures this machine's own peaks, in about a quarter of a second: loops of nothing but multiply-adds and nothing but reads,
 * the fastest of many samples. Floors of other figures are to come from the same run, since a shared machine's peaks change.
 */
export async function machinePeaks(options: MachinePeaksOptions = {}): Promise<MachinePeaks> {
  refuseUnknownKeys(options, ['threads', 'isa', 'workingSetBytes'], 'machinePeaks')
  const { workingSetBytes, ...backend } = options
  await using kernels = await Kernels.open({ device: 'cpu', ...backend })
  return await kernels.peaks(workingSetBytes)
}
