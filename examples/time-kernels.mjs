// The kernel timing in plain JavaScript.
//   node examples/time-kernels.mjs
import { Kernels } from 'coppice'

const kernels = await Kernels.open()
try {
  for (const rows of [1, 32, 512]) {
    const { gflops, peakShare } = await kernels.benchmark('linear', { rows, cols: 1024, inner: 256 })
    console.log(
      `linear of ${rows} rows: ${gflops.toFixed(0)} GFLOP/s, ${(100 * peakShare).toFixed(0)} % of the peak`,
    )
  }
} finally {
  await kernels.dispose()
}
