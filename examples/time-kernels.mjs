// The kernel timing in plain JavaScript.
//   node examples/time-kernels.mjs
import { Kernels } from 'coppice'

const kernels = await Kernels.open()
try {
  const [rows, cols, inner] = [512, 1024, 256]
  const seconds = await kernels.time('linear', { rows, cols, inner }, { repeats: 20 })
  const median = seconds.sort()[10]
  const rate = (2 * rows * cols * inner) / median / 1e9
  console.log(`linear ${rows} x ${cols} x ${inner}: ${rate.toFixed(0)} GFLOP/s with ${kernels.info.isa}`)
} finally {
  await kernels.dispose()
}
