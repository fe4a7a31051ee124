import { type ComputeDtype, type MachinePeaks, machinePeaks } from '../../index.ts'
import { type BenchContext, type BenchRow, benchRow, type Measured, type RowFloor } from './bench-row.ts'
import { floorSeconds, type Peaks, type Work } from './floors.ts'

export const NO_CPU = 'no CPU: peaks of other devices are not measured'

const kept = new Map<string, Promise<MachinePeaks>>()

/** The peaks of threads and instruction set of a row's context, measured once in a process for each size of what is read. */
async function peaksOf(context: BenchContext, workingSetBytes?: number): Promise<Peaks> {
  const { threads, isa } = context
  const size = workingSetBytes === undefined ? {} : { workingSetBytes: Math.ceil(workingSetBytes) }
  const key = JSON.stringify([threads, isa, size])
  if (!kept.has(key)) kept.set(key, machinePeaks({ threads, isa, ...size }))
  const { gflops, gflopsBf16, gbytes } = await kept.get(key)!
  return { gflops: (context.dtype as ComputeDtype) === 'bf16' ? gflopsBf16 : gflops, gbytes }
}

/**
 * A row beside the floor of its work. Where bytes count, those of the largest piece decide how quickly they can be read: what fits
 * into a cache may come from it.
 */
export async function rowWithFloor(
  context: BenchContext & { case: string },
  measured: Measured,
  work: readonly Work[],
): Promise<BenchRow> {
  return benchRow(context, measured, await floorOf(context, work))
}

async function floorOf(context: BenchContext, work: readonly Work[]): Promise<RowFloor> {
  if (context.device !== 'cpu') return NO_CPU
  const largest = work.reduce((most, { bytes }) => Math.max(most, bytes), 0)
  const peaks = await peaksOf(context, largest === 0 ? undefined : largest)
  return {
    seconds: floorSeconds(work, peaks),
    ...(work.some(({ flops }) => flops > 0) && { gflops: peaks.gflops }),
    ...(largest > 0 && { gbytes: peaks.gbytes }),
  }
}
