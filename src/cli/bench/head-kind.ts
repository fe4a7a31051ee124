import { Kernels } from '../../index.ts'
import type { BenchCase, BenchKind } from './bench-case.ts'
import type { Measured } from './bench-row.ts'
import { describeShape } from './op-kind.ts'
import { peakRssMib } from './peak-rss.ts'
import { PeakMeter } from './peaks.ts'
import { timesOfOp } from './time-op.ts'

/** In the order in which memory grows: a row's `peak_rss_mib` is what the process has held so far. */
const PRODUCTS = [
  ['head', 1],
  ['head_backward', 2],
  ['head_forward_backward', 3],
] as const

/**
 * Log-probs at targets with entropies; both gradients; and all of it in the one pass that training makes. Counted are one product forward and
 * two backward: the logits that `head_backward` computes again are its own affair.
 */
function headCase(rows: number, vocab: number, cols: number): BenchCase {
  const name = `head/${rows}x${vocab}x${cols}`
  return {
    name,
    async *run({ backend, timing, isQuick }) {
      const { dtype = 'f32', ...options } = backend
      await using kernels = await Kernels.open(options)
      const size = isQuick ? { rows: 8, vocab: 64, cols: 16 } : { rows, vocab, cols }
      const product = 2 * size.rows * size.vocab * size.cols
      const meter = new PeakMeter({ ...kernels.info, dtype, case: name })
      const measured: Measured[] = []
      for (const [op, products] of PRODUCTS) {
        await meter.sample()
        const seconds = await timesOfOp(kernels, op, size, dtype, timing)
        const work = { flops: products * product, tokens: size.rows, peakRssMib: peakRssMib() }
        measured.push({ op, shape: describeShape(size), seconds, ...work })
      }
      for (const { flops = 0, ...row } of measured) {
        yield meter.row({ ...row, flops }, [{ flops, bytes: 0 }])
      }
    },
  }
}

export const HEAD_KIND: BenchKind = {
  describe: 'log-probs and both gradients of the head, up to 2,048 x 151,936 x 896',
  cases: () => [headCase(4096, 128, 256), headCase(2048, 4096, 512), headCase(2048, 151_936, 896)],
}
