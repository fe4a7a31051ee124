// Run by memory.test.ts in a process of its own with --expose-gc and the number of disposed cycles, more than 40. Prints
// megabytes of resident memory.
import { setTimeout as delay } from 'node:timers/promises'
import { defaultConfig } from '../../src/checkpoint.ts'
import { Policy } from '../../src/policy.ts'
import { promptsOfLength } from './tiny-policy.ts'

/** Large enough that a few engines are more than what V8 and the allocator keep one time and not the next. */
const config = defaultConfig({
  vocabSize: 512,
  hiddenSize: 256,
  numLayers: 4,
  numHeads: 4,
  intermediateSize: 768,
  maxPositions: 64,
})
const residentMegabytes = () => process.memoryUsage().rss / 2 ** 20

async function use(policy: Policy): Promise<void> {
  const batch = await policy.generateAll(promptsOfLength(4, 6), { numGenerations: 2, maxCompletionLength: 4 })
  await policy.score(batch)
}

async function settle(): Promise<void> {
  for (let i = 0; i < 4; i++) {
    globalThis.gc!()
    await delay(10)
  }
}

async function cycles(count: number, cycle: () => Promise<void>): Promise<number> {
  for (let i = 0; i < count; i++) await cycle()
  await settle()
  return residentMegabytes()
}

async function disposedCycle(): Promise<void> {
  const policy = await Policy.init({ config, threads: 2 })
  try {
    await use(policy)
  } finally {
    await policy.dispose()
  }
}

/** Nobody disposes, and nobody calls for a collection either: the engine's bytes must call for it. */
async function forgottenCycle(): Promise<void> {
  await use(await Policy.init({ config, threads: 2 }))
}

const disposed = [await cycles(40, disposedCycle), await cycles(Number(process.argv[2]) - 40, disposedCycle)]
const collected = [await cycles(10, forgottenCycle), await cycles(50, forgottenCycle)]

let most = 0
const before = residentMegabytes()
for (let i = 0; i < 60; i++) {
  await forgottenCycle()
  most = Math.max(most, residentMegabytes())
}
const policy = await Policy.init({ config, threads: 2 })
await use(policy)
const engine = policy.allocatedBytes / 2 ** 20
console.log(JSON.stringify({ disposed, collected, forgotten: { growth: most - before, engine } }))
