import type { Critic } from '../critic.ts'
import { CoppiceError } from '../errors.ts'
import type { Policy } from '../policy.ts'
import { criticFolder } from './critic-run.ts'
import { RunFolder, type RunState } from './run-folder.ts'
import { type RunRecord, requireSameRun } from './run-record.ts'

export interface OpenRun {
  run: RunFolder
  /** Where the run stands: step 0 for a new one. */
  state: RunState
}

/**
 * Makes a run's folder, or, to resume, goes back to its newest checkpoint: parameters, optimiser and metrics are then those
 * of that step. INVALID_ARGUMENT when the folder holds a run and is not to be resumed, or when the run was begun under
 * other settings.
 */
export async function openRun(
  path: string,
  record: RunRecord,
  policy: Policy,
  resume: boolean,
  critic: Critic | null = null,
): Promise<OpenRun> {
  const run = new RunFolder(path)
  const before = await run.readRecord()
  if (before !== undefined && !resume) {
    throw new CoppiceError('INVALID_ARGUMENT', 'holds a run already', {
      where: path,
      expected: 'another folder, or to resume the run',
    })
  }
  if (before !== undefined) requireSameRun(before, record, path)
  await run.writeRecord(record)
  const step = (await run.checkpointSteps()).at(-1)
  if (step === undefined) {
    await run.cutMetrics(0)
    if (before !== undefined) await run.writeRecord(record)
    return { run, state: { step: 0, numTokens: 0 } }
  }
  const state = await run.readRunState(step)
  await policy.loadTrainingState(run.checkpointPath(step))
  await critic?.loadTrainingState(criticFolder(run.checkpointPath(step)))
  await run.cutMetrics(step)
  await run.writeRecord(record)
  return { run, state }
}
