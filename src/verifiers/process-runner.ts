import type { Sample } from '../verdicts.ts'
import type { Outcome, SampleRunner } from './outcome.ts'
import { type ProcessLimits, ProcessWorker } from './process-worker.ts'
import type { WorkerSource } from './worker-messages.ts'

/**
 * Runs a verifier in processes of its own, started when first needed and replaced when they end: a verifier that
 * hangs, exits or eats memory costs its own sample and nothing else. The first process is started at once, so that a
 * verifier that cannot be loaded is refused here.
 */
export async function processRunner(
  source: WorkerSource,
  where: string,
  concurrency: number,
  limits: ProcessLimits,
): Promise<SampleRunner> {
  const idle: ProcessWorker[] = [await ProcessWorker.start(source, limits, where)]
  const busy = new Set<ProcessWorker>()
  let isDisposed = false

  async function take(): Promise<ProcessWorker> {
    for (let worker = idle.pop(); worker !== undefined; worker = idle.pop()) {
      if (worker.isAlive) return worker
    }
    return ProcessWorker.start(source, limits, where)
  }

  async function judge(
    worker: ProcessWorker,
    sample: Sample,
    signal: AbortSignal,
  ): Promise<Outcome | undefined> {
    const stop = () => worker.kill()
    signal.addEventListener('abort', stop, { once: true })
    busy.add(worker)
    if (signal.aborted || isDisposed) stop()
    try {
      return await worker.judge(sample)
    } finally {
      busy.delete(worker)
      signal.removeEventListener('abort', stop)
      if (worker.isAlive) idle.push(worker)
    }
  }

  return {
    concurrency,
    async run(sample, signal) {
      const outcome = await judge(await take(), sample, signal)
      if (outcome !== undefined || signal.aborted) return outcome ?? { failure: 'given up' }
      // A stray timer or a leak of earlier samples may have ended the process: a sample is only blamed for what it
      // does to a fresh one.
      const again = await judge(await ProcessWorker.start(source, limits, where), sample, signal)
      return again ?? { failure: 'given up' }
    },
    async dispose() {
      isDisposed = true
      for (const worker of [...idle.splice(0), ...busy]) worker.kill()
    },
  }
}
