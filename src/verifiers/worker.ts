import { writeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { importDefault } from '../load-module.ts'
import type { Verifier } from '../verdicts.ts'
import { builtinVerifier } from './builtin.ts'
import {
  type FromWorker,
  MEMORY_MARK,
  type ToWorker,
  type WorkerSetup,
  type WorkerSource,
} from './worker-messages.ts'

// The program of a verifier process: loads one verifier, then judges one sample at a time for the host on the other
// end of the message channel. It may hang, run out of memory or end at any point: the host sees to all of that.

let verifier: Verifier
let timeoutMs: number

process.on('message', async (message: ToWorker) => {
  if ('setup' in message) reply(await prepare(message.setup))
  else reply(await judge(message.sample))
})
// Without a host there is nobody to work for.
process.on('disconnect', () => process.exit(0))
// What a verifier prints goes where the host's errors go; this process's own error output is for the host to read.
process.stderr.write = process.stdout.write.bind(process.stdout)
process.on('uncaughtException', (error) => {
  writeSync(2, `${error}\n`)
  process.exit(1)
})

async function prepare(setup: WorkerSetup): Promise<FromWorker> {
  startGuard(setup)
  timeoutMs = setup.timeoutMs
  try {
    verifier = await loadVerifier(setup.source)
    return { ready: true }
  } catch (error) {
    return { refused: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

async function loadVerifier(source: WorkerSource): Promise<Verifier> {
  if ('builtin' in source) return builtinVerifier(source.builtin).verify
  const exported = await importDefault(source.file)
  // A task's file serves too: it brings its verifier along.
  const candidate =
    typeof exported === 'object' && exported !== null && 'verifier' in exported ? exported.verifier : exported
  if (typeof candidate !== 'function') throw new Error('its default export is neither a function nor a task')
  return candidate as Verifier
}

async function judge(sample: Parameters<Verifier>[0]): Promise<FromWorker> {
  const controller = new AbortController()
  const deadline = performance.now() + timeoutMs
  const timer = setTimeout(() => controller.abort(new Error(`timed out after ${timeoutMs} ms`)), timeoutMs)
  let outcome: FromWorker
  try {
    outcome = { answer: await verifier(sample, { signal: controller.signal }) }
  } catch (error) {
    outcome = { failure: error instanceof Error ? error.message : String(error) }
  }
  clearTimeout(timer)
  // The timer may fire a fraction of a millisecond before the clock says so; the signal it gave counts.
  return controller.signal.aborted || performance.now() > deadline ? { late: true } : outcome
}

function reply(message: FromWorker): void {
  try {
    process.send!(message)
  } catch {
    // The answer holds something that cannot travel, a function say.
    process.send!({ failure: 'returned a value that cannot be copied' } satisfies FromWorker)
  }
}

/**
 * Watches from a thread, since the verifier may never give the main one back: ends the process when the host is gone
 * or when it holds too much memory outside the heap, whose own limit node keeps.
 */
function startGuard({ hostPid, memoryLimitMb }: WorkerSetup): void {
  const limitBytes = (memoryLimitMb + NODE_ITSELF_MB) * 2 ** 20
  const program = `
    const { writeSync } = require('node:fs')
    const end = () => process.kill(process.pid, 'SIGKILL')
    setInterval(() => {
      if (process.platform === 'win32') { try { process.kill(${hostPid}, 0) } catch { end() } }
      else if (process.ppid !== ${hostPid}) end()
      if (process.memoryUsage.rss() > ${limitBytes}) { writeSync(2, ${JSON.stringify(`${MEMORY_MARK}\n`)}); end() }
    }, 100)`
  new Worker(program, { eval: true, execArgv: [] }).unref()
}

/** What a process holds before a verifier holds anything. */
const NODE_ITSELF_MB = 192
