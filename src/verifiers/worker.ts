import { importDefault } from '../load-module.ts'
import { serveHost, startGuard } from '../process-guard.ts'
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

/** MiB that a process holds before a verifier holds anything. */
const NODE_ITSELF_MB = 192

let verifier: Verifier
let timeoutMs: number

process.on('message', async (message: ToWorker) => {
  if ('setup' in message) reply(await prepare(message.setup))
  else reply(await judge(message.sample))
})
serveHost()
// What a verifier prints goes where the host's errors go; this process's own error output is for the host to read.
process.stderr.write = process.stdout.write.bind(process.stdout)

async function prepare(setup: WorkerSetup): Promise<FromWorker> {
  const { hostPid, memoryLimitMb } = setup
  // The heap's own limit node keeps.
  const memory = { limitMb: memoryLimitMb + NODE_ITSELF_MB, mark: MEMORY_MARK }
  startGuard({ hostPid, memory, everyMs: 100 })
  timeoutMs = setup.timeoutMs
  try {
    verifier = await loadVerifier(setup.source)
    return { ready: true }
  } catch (error) {
    return { refused: error instanceof Error ? (error.stack ?? error.message) : String(error) }
  }
}

async function loadVerifier(source: WorkerSource): Promise<Verifier> {
  if ('builtin' in source) {
    const { verify, prepare } = builtinVerifier(source.builtin)
    await prepare?.()
    return verify
  }
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
