import { type MachinePeaks, machinePeaks, medianOf } from '../../index.ts'
import { type BenchContext, type BenchRow, benchRow, type Measured, type RowFloor } from './bench-row.ts'
import { floorSeconds, type Work } from './floors.ts'
import type { Timing } from './time-runs.ts'

export const NO_CPU = 'no CPU: peaks of other devices are not measured'

type RowContext = BenchContext & { case: string }

/** Memory's rates, measured once in a process for each size of what is read. */
const kept = new Map<string, Promise<MachinePeaks>>()

/** Small enough to add nothing to what the process has held: only the arithmetic is asked for. */
const SMALL = { workingSetBytes: 1 }

/**
 * The peak of arithmetic while something is timed, by turns with its runs: on a shared machine the peak of another moment is that of
 * another machine. A row's peak is the samples' median, as its time is the runs'.
 */
export class PeakMeter {
  readonly #context: RowContext
  readonly #gflops: number[] = []
  readonly #productGflops: number[] = []

  constructor(context: RowContext) {
    this.#context = context
  }

  async sample(): Promise<void> {
    if (this.#context.device !== 'cpu') return
    const { threads, isa, dtype } = this.#context
    const { gflops, gflopsBf16, productGflops } = await machinePeaks({ threads, isa, ...SMALL })
    this.#gflops.push(dtype === 'bf16' ? gflopsBf16 : gflops)
    this.#productGflops.push(productGflops)
  }

  /** The same timing, with a sample now and then. */
  during(timing: Timing): Timing {
    return { ...timing, between: () => this.sample() }
  }

  /**
   * A row beside the floor of its work. Where bytes count, those of the largest piece decide how quickly they can be read: what fits
   * into a cache may come from it.
   */
  async row(measured: Measured, work: readonly Work[]): Promise<BenchRow> {
    return benchRow(this.#context, measured, await this.#floor(work))
  }

  async #floor(work: readonly Work[]): Promise<RowFloor> {
    if (this.#context.device !== 'cpu') return NO_CPU
    if (this.#gflops.length === 0) await this.sample()
    const gflops = medianOf(this.#gflops)
    const largest = work.reduce((most, { bytes }) => Math.max(most, bytes), 0)
    const gbytes = largest === 0 ? Number.POSITIVE_INFINITY : await this.#gbytes(largest)
    return {
      seconds: floorSeconds(work, { gflops, gbytes }),
      ...(work.some(({ flops }) => flops > 0) && {
        gflops,
        productGflops: medianOf(this.#productGflops),
      }),
      ...(largest > 0 && { gbytes }),
    }
  }

  async #gbytes(workingSet: number): Promise<number> {
    const { threads, isa } = this.#context
    const options = { threads, isa, workingSetBytes: Math.ceil(workingSet) }
    const key = JSON.stringify(options)
    if (!kept.has(key)) kept.set(key, machinePeaks(options))
    return (await kept.get(key)!).gbytes
  }
}
