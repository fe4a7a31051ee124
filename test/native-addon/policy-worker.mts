// Run in a worker thread by threads.test.ts.
import { parentPort } from 'node:worker_threads'
import { promptsOfLength, randomRows, slowPolicy, tinyPolicy } from './tiny-policy.ts'

const forever = () => new Promise(() => setInterval(() => {}, 1000))

export async function run(task: string): Promise<void> {
  switch (task) {
    case 'score': {
      await using policy = await tinyPolicy()
      const { logprobs } = await policy.score(randomRows(6, 5, 9))
      parentPort!.postMessage(Array.from(logprobs))
      return
    }
    case 'long-score': {
      const policy = await slowPolicy()
      await policy.score(randomRows(4096, 32, 96, 2048))
      return
    }
    case 'long-generate': {
      const policy = await slowPolicy()
      await policy.generateAll(promptsOfLength(3, 4), { maxCompletionLength: 500, stopTokens: [] })
      return forever() as Promise<void>
    }
    case 'idle': {
      await slowPolicy()
      return forever() as Promise<void>
    }
  }
}
