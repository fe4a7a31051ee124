import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { randomRows, slowPolicy, tinyPolicy } from './tiny-policy.ts'

const HERE = dirname(fileURLToPath(import.meta.url))
const workerPath = join(HERE, 'policy-worker.mts')

/** Runs policy-worker.mts; resolves with its answer, or with undefined where it is terminated before. */
function inWorker(task: string, terminateAfterMs?: number): Promise<unknown> {
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(bootstrap(task))}`))
  return new Promise((resolve, reject) => {
    worker.on('message', resolve)
    worker.on('error', reject)
    worker.on('exit', () => resolve(undefined))
    if (terminateAfterMs !== undefined) setTimeout(() => worker.terminate(), terminateAfterMs)
  })
}

/** A worker does not inherit the TypeScript loader on every version of Node. */
function bootstrap(task: string): string {
  const tsx = import.meta.resolve('tsx/esm/api')
  const path = JSON.stringify(workerPath)
  return `import { tsImport } from ${JSON.stringify(tsx)}
    const { run } = await tsImport(${path}, 'file://${HERE}/')
    await run(${JSON.stringify(task)})`
}

describe('worker threads', () => {
  it('gives the same bits in a worker as on the main thread, at the same time', async () => {
    await using policy = await tinyPolicy()
    const rows = randomRows(6, 5, 9)
    const [here, there] = await Promise.all([policy.score(rows), inWorker('score')])
    assert.deepEqual(there, Array.from(here.logprobs))
  })

  it('ends with its worker, whatever runs: a job, a generation, an idle engine', async () => {
    for (const task of ['long-score', 'long-generate', 'idle']) {
      for (let round = 0; round < 3; round++) assert.equal(await inWorker(task, 250 + 250 * round), undefined)
    }
    await using policy = await tinyPolicy()
    assert.equal((await policy.score(randomRows(1, 2, 2))).logprobs.length, 2)
  })
})

describe('the end of the process', () => {
  const script = (body: string) => `
    import { slowPolicy, promptsOfLength, randomRows } from ${JSON.stringify(join(HERE, 'tiny-policy.ts'))}
    const policy = await slowPolicy()
    ${body}`
  const run = (body: string) =>
    spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script(body)], {
      encoding: 'utf8',
      timeout: 60_000,
    })

  it('waits for jobs that are awaited, and not for an engine that nobody disposed', () => {
    const { status, stdout, stderr } = run(
      `policy.score(randomRows(4, 8, 8, 2048)).then(({ logprobs }) => console.log(logprobs.length))`,
    )
    assert.equal(stderr, '')
    assert.deepEqual([status, stdout], [0, '32\n'])
  })

  it('comes at once when it is asked for in the middle of a job', () => {
    const { status, stderr } = run(`
      policy.score(randomRows(512, 32, 96, 2048)).catch(() => {})
      policy.generate(promptsOfLength(3), { maxCompletionLength: 400, stopTokens: [] }).next().catch(() => {})
      setTimeout(() => process.exit(7), 100)`)
    assert.equal(stderr, '')
    assert.equal(status, 7)
  })

  it('shows a rejection that nobody handles as the error that it is', () => {
    const { status, stderr } = run(`
      const rows = randomRows(1, 2, 2)
      rows.promptTokens.values[0] = 2048
      policy.score(rows)`)
    assert.equal(status, 1)
    assert.match(stderr, /CoppiceError: .*row 0, token 0/)
  })
})

describe('the event loop', () => {
  it('is no later while training runs than beside equally busy plain threads', async () => {
    await using policy = await slowPolicy()
    const rows = randomRows(24, 32, 96, 2048)
    const count = 24 * 96
    const train = async (signal: AbortSignal) => {
      while (!signal.aborted) {
        await policy.applyUpdate(rows, {
          advantages: new Float32Array(count).fill(1),
          norm: new Float32Array(count).fill(1 / count),
          oldLogprobs: null,
          lossParams: {
            importance: 'none',
            clip: false,
            clipLow: 0,
            clipHigh: 0,
            dualClip: 0,
            klKind: 'k3',
            klCoef: 0,
            entropyCoef: 0,
          },
          optimizer: { learningRate: 1e-4 },
          tokenBudget: 1024,
        })
      }
    }
    // What else runs on the machine disturbs single measurements: the two take turns, and the best turn counts.
    const ratios: string[] = []
    for (let turn = 0; turn < 4; turn++) {
      const plain = await delayBeside(spin)
      const training = await delayBeside(train)
      ratios.push(`${training.toFixed(1)} ms against ${plain.toFixed(1)} ms`)
      if (training <= 3 * Math.max(plain, 2)) return
    }
    assert.fail(`99th percentile of the delay of a timer: ${ratios.join('; ')}`)
  })
})

/** Keeps as many plain threads busy as the policy has. */
async function spin(signal: AbortSignal): Promise<void> {
  const code = 'let x = 0; for (;;) x = Math.imul(x, 31) + 1'
  const workers = [0, 1].map(() => new Worker(code, { eval: true }))
  await new Promise((resolve) => signal.addEventListener('abort', resolve))
  await Promise.all(workers.map((worker) => worker.terminate()))
}

/** 99th percentile, in milliseconds, of how much too late a timer of 2 ms comes while `load` runs. */
async function delayBeside(load: (signal: AbortSignal) => Promise<void>): Promise<number> {
  const controller = new AbortController()
  const running = load(controller.signal)
  const delays: number[] = []
  const end = performance.now() + 1500
  while (performance.now() < end) {
    const before = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 2))
    delays.push(performance.now() - before - 2)
  }
  controller.abort()
  await running
  delays.sort((a, b) => a - b)
  return delays[Math.floor(0.99 * delays.length)]!
}
