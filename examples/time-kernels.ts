// What this machine makes of a matrix product and of the fused log-prob head, from TypeScript.
//   node --import tsx examples/time-kernels.ts
import { Kernels } from '../src/index.ts'

await using kernels = await Kernels.open()
const { device, isa, threads } = kernels.info
console.log(`${device}, ${isa}, ${threads} threads`)

const [rows, cols, inner] = [512, 1024, 256] as const
const seconds = await kernels.time('linear', { rows, cols, inner }, { repeats: 20 })
const median = seconds.sort()[10]!
console.log(
  `linear ${rows} x ${cols} x ${inner}: ${((2 * rows * cols * inner) / median / 1e9).toFixed(0)} GFLOP/s`,
)

// The op itself on arrays of one's own: log-probs and entropies without [tokens x vocabulary].
const random = (length: number) => Float32Array.from({ length }, () => Math.random() - 0.5)
const [tokens, vocab] = [64, 4096] as const
const targets = Int32Array.from({ length: tokens }, (_, i) => (i * 37) % vocab)
const begin = performance.now()
const { logprobs, entropies } = await kernels.logprobGather(
  random(tokens * inner),
  random(vocab * inner),
  targets,
)
console.log(`log-prob head, ${tokens} tokens of ${vocab}: ${(performance.now() - begin).toFixed(1)} ms`)
console.log(`first log-prob ${logprobs[0]?.toFixed(4)}, entropy ${entropies[0]?.toFixed(4)}`)
