import { Kernels } from '../../index.ts'
import type { BenchCase, BenchKind } from './bench-case.ts'
import { describeShape } from './op-kind.ts'
import { peakRssMib } from './peak-rss.ts'
import { rowWithFloor } from './peaks.ts'
import { timesOfOp } from './time-op.ts'

/**
 * Log-probs at targets with entropies, and both gradients, in chunks that are never stored. Counted are one product forward and two
 * backward; the logits that the backward pass computes again are its own affair.
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
      const halves = {
        head: { seconds: await timesOfOp(kernels, 'head', size, dtype, timing), flops: product },
        head_backward: {
          seconds: await timesOfOp(kernels, 'head_backward', size, dtype, timing),
          flops: 2 * product,
        },
      }
      const pairs = Math.min(...Object.values(halves).map(({ seconds }) => seconds.length))
      const both = Array.from(
        { length: pairs },
        (_, i) => halves.head.seconds[i]! + halves.head_backward.seconds[i]!,
      )
      const rss = peakRssMib()
      const all = { ...halves, head_forward_backward: { seconds: both, flops: 3 * product } }
      for (const [op, { seconds, flops }] of Object.entries(all)) {
        const measured = {
          op,
          shape: describeShape(size),
          seconds,
          flops,
          tokens: size.rows,
          peakRssMib: rss,
        }
        yield rowWithFloor({ ...kernels.info, dtype, case: name }, measured, [{ flops, bytes: 0 }])
      }
    },
  }
}

export const HEAD_KIND: BenchKind = {
  describe: 'log-probs and both gradients of the head, up to 2,048 x 151,936 x 896',
  cases: () => [headCase(4096, 128, 256), headCase(2048, 4096, 512), headCase(2048, 151_936, 896)],
}
