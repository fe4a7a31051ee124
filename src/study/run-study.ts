import { setTimeout as sleep } from 'node:timers/promises'
import { CoppiceError } from '../errors.ts'
import { HostedProcess } from '../hosted-process.ts'
import type { RunPlace } from './perform-run.ts'
import { hasRecord } from './record.ts'
import type { StudyRun } from './settings.ts'
import type { FromStudyWorker, ToStudyWorker } from './worker-messages.ts'

export interface StudyProgress {
  /** Runs in units of estimated work, those with a record counted as done. */
  done: number
  total: number
  /** A run that has just begun, or ended. */
  label: string
  finished: boolean
}

export interface RunStudyOptions {
  runs: readonly StudyRun[]
  place: RunPlace
  /** Processes that do runs at the same time. */
  jobs: number
  signal: AbortSignal | undefined
  onProgress: (progress: StudyProgress) => void
}

const program = new URL('./worker', import.meta.url)
const HEAP_MB = 2048
/** As long as a timer can wait: a run has no deadline. */
const NO_LIMIT_MS = 2 ** 31 - 1

/**
 * Does every run without a record, in their order as far as base policies allow: a run waits until its base policy is made.
 * An abort kills the processes; what they were at is gone on with from its last checkpoint by the next call. A run that fails
 * holds up no other.
 *
 * @throws CoppiceError INTERNAL when all others are done, with the first failure's reason; the signal's reason after an abort
 */
export async function runStudy({ runs, place, jobs, signal, onProgress }: RunStudyOptions): Promise<void> {
  const open = new Set(runs.filter((run) => isOpen(run, runs, place.records)))
  const total = runs.reduce((sum, run) => sum + costOf(run), 0)
  let done = total - [...open].reduce((sum, run) => sum + costOf(run), 0)
  const makingBases = new Set([...open].filter(({ base }) => base === undefined).map(({ hash }) => hash))
  const isStopped = () => signal?.aborted === true
  const tell = (label: string, finished: boolean) => onProgress({ done, total, label, finished })
  const failures: CoppiceError[] = []

  const next = (): StudyRun | undefined => {
    for (const run of open) if (run.base === undefined || !makingBases.has(run.base)) return run
    return undefined
  }
  const serve = async () => {
    let worker: StudyWorker | undefined
    const kill = () => worker?.kill()
    signal?.addEventListener('abort', kill, { once: true })
    while (open.size > 0 && !isStopped()) {
      const run = next()
      if (run === undefined) {
        await sleep(IDLE_MS)
        continue
      }
      open.delete(run)
      tell(run.label, false)
      if (worker?.isAlive !== true) worker = new HostedProcess(program, HEAP_MB)
      const reply = await worker.ask({ run, place }, NO_LIMIT_MS)
      if (isStopped()) break
      makingBases.delete(run.hash)
      const reason = typeof reply === 'object' ? reply.failure : worker.ending
      if (reason !== undefined) {
        failures.push(runFailed(run, reason))
        for (const other of open) if (other.base === run.hash) open.delete(other)
      }
      done += costOf(run)
      tell(run.label, true)
    }
    signal?.removeEventListener('abort', kill)
    worker?.kill()
  }
  await Promise.all(Array.from({ length: Math.min(jobs, open.size) }, serve))
  signal?.throwIfAborted()
  if (failures.length > 0) throw failures[0]!
}

type StudyWorker = HostedProcess<ToStudyWorker, FromStudyWorker>

const IDLE_MS = 200

/** A base policy is made again where a run needs it, even when its own record stands: the policy may not be in the cache. */
function isOpen(run: StudyRun, runs: readonly StudyRun[], records: string): boolean {
  if (!hasRecord(records, run.hash)) return true
  return (
    run.base === undefined && runs.some(({ base, hash }) => base === run.hash && !hasRecord(records, hash))
  )
}

/** Tokens that are learnt or sampled, an estimate that the remaining time rests on and nothing else. */
function costOf({ identity }: StudyRun): number {
  const { training, base, sets, evaluation } = identity
  const judged = 0.5 * evaluation.n * sets.reduce((sum, { prompts }) => sum + prompts, 0)
  if (training === undefined) return base.steps * base.batchRows + judged
  const { steps, promptsPerStep = 32, numGenerations = 8, numIterations = 1 } = training
  return steps * promptsPerStep * numGenerations * (0.5 + numIterations) + judged
}

function runFailed(run: StudyRun, reason: string): CoppiceError {
  return new CoppiceError('INTERNAL', `a run of the study failed: ${reason}`, {
    where: `${run.label} (${run.hash})`,
  })
}
