// Run by resident-size.test.ts in a process of its own with --expose-gc: trains a tiny policy for as many steps as it is told and
// prints the resident bytes after each fifth of them.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { train } from '../src/index.ts'
import { promptsOfLength, tinyPolicy } from './native-addon/tiny-policy.ts'

const steps = Number(process.argv[2])
const out = await mkdtemp(join(tmpdir(), 'coppice-flat-'))
const sizes: number[] = []
let judged = 0

async function residentBytes(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    globalThis.gc!()
    await delay(10)
  }
  return process.memoryUsage.rss()
}

try {
  await using policy = await tinyPolicy({ threads: 1 })
  const run = train({
    ...{ policy, steps, out, promptsPerStep: 2, numGenerations: 4, maxCompletionLength: 6, tokenBudget: 64 },
    prompts: promptsOfLength(3, 5, 7, 9),
    verifier: () => judged++ % 2,
    objective: { kind: 'w-reinforce' },
  })
  for await (const { step, metrics } of run) {
    if (metrics.updates !== 1) throw new Error(`step ${step} made ${metrics.updates} updates`)
    if (step % (steps / 5) === 0) sizes.push(await residentBytes())
  }
} finally {
  await rm(out, { recursive: true })
}
console.log(JSON.stringify(sizes))
