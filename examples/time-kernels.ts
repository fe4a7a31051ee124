// What this machine makes of a matrix product, and a gradient step of a log-prob head on arrays of one's own, from TypeScript.
//   node --import tsx examples/time-kernels.ts
import { benchmark, kernels, policyLoss } from '../src/index.ts'

const shape = { rows: 512, cols: 1024, inner: 256 }
const { isa, threads, p50, gflops, peakShare } = await benchmark({ op: 'linear', shape })
console.log(
  `linear, ${threads} threads of ${isa}: ${(1000 * p50).toFixed(2)} ms, ${gflops!.toFixed(0)} GFLOP/s, ` +
    `${(100 * peakShare!).toFixed(0)} % of this machine's peak`,
)

// Log-probs and entropies of two completions of 32 tokens each, without [tokens x vocabulary].
const random = (length: number) => Float32Array.from({ length }, () => Math.random() - 0.5)
const [tokens, vocab, inner] = [64, 4096, 256] as const
const [hidden, head] = [random(tokens * inner), random(vocab * inner)]
const targets = Int32Array.from({ length: tokens }, (_, i) => (i * 37) % vocab)
const { logprobs, entropies } = await kernels.logprobGather(hidden, head, targets)
console.log(`first log-prob ${logprobs[0]?.toFixed(4)}, entropy ${entropies[0]?.toFixed(4)}`)

// The first completion was right, the second wrong: the loss, its gradient by the head, and one step of AdamW.
const offsets = Int32Array.of(0, 32, 64)
const judged = { logprobs, offsets, rewards: [1, 0], groupIds: [0, 0] }
const { loss, tokenGradients } = policyLoss(judged, { kind: 'w-reinforce', lambda: 0.1 })
const dLogprobs = Float32Array.from(tokenGradients)
const { dhead } = await kernels.logprobGatherBackward({ hidden, head, targets, dLogprobs })
const zeros = new Float32Array(head.length)
const moments = { m: zeros, v: zeros, step: 1, learningRate: 1e-3 }
const stepped = await kernels.adamw({ params: head, grad: dhead, ...moments })
const later = await kernels.logprobGather(hidden, stepped.params, targets)
const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length
const right = (values: Float32Array) => mean(values.subarray(0, 32)).toFixed(4)
console.log(
  `loss ${loss.toFixed(4)}; mean log-prob of the right answer ${right(logprobs)}, then ${right(later.logprobs)}`,
)
