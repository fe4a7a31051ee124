import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Policy } from '../../policy.ts'
import { makeBase, openBench, promptsOfRun, type RunPlace, trainingSteps } from '../perform-run.ts'
import { type GradientStudy, gradientRun, type RunIdentity, type StudySettings } from '../settings.ts'
import { type Agreement, gradientAgreement } from './gradient-agreement.ts'
import { oncePart, type PartRecord, readPart } from './part-record.ts'

/** What decides a cell's outcome. */
interface CellSettings extends Omit<GradientStudy, 'cells'> {
  stops: number[]
  identity: RunIdentity
}

/** At each stop, in order. */
export type GradientResult = (Agreement & { step: number })[]

export type GradientRecord = PartRecord<CellSettings, GradientResult>

const PART = 'gradients'

type Cell = GradientStudy['cells'][number]

export function readGradients(
  records: string,
  settings: StudySettings,
  cell: Cell,
): Promise<GradientRecord | undefined> {
  return readPart(records, PART, cellSettings(settings, cell))
}

/** Compares the gradients of PSR and NSR at a base policy and along the training of a method from it; done once. */
export async function gradientStudy(
  settings: StudySettings,
  cell: Cell,
  place: RunPlace,
): Promise<GradientRecord> {
  const known = cellSettings(settings, cell)
  return oncePart(place.records, PART, known, async () => {
    const run = gradientRun(settings, cell)
    const bench = await openBench(run, place)
    const folder = join(place.work, 'gradients', run.hash)
    // Stops that were passed before a kill were not kept: begin anew.
    await rm(folder, { recursive: true, force: true })
    const pool = await promptsOfRun(bench, 'train', run.identity.pool!)
    await using policy = await Policy.load({ model: await makeBase(bench), ...place.backend })
    const { numGenerations = 8 } = run.identity.training!
    const measure = async (step: number) => ({
      step,
      ...(await gradientAgreement(policy, pool, bench.task.verifier, {
        ...{ rollouts: known.rollouts, block: known.block, seed: known.seed, numGenerations },
        maxCompletionLength: bench.task.maxCompletionLength,
      })),
    })
    const result: GradientResult = known.stops.includes(0) ? [await measure(0)] : []
    if (Math.max(...known.stops) === 0) return result
    for await (const { step } of await trainingSteps(bench, policy, folder))
      if (known.stops.includes(step)) result.push(await measure(step))
    await rm(folder, { recursive: true, force: true })
    return result
  })
}

function cellSettings(settings: StudySettings, cell: Cell): CellSettings {
  const { rollouts, block, seed } = settings.gradients
  const { identity } = gradientRun(settings, cell)
  return { rollouts, block, seed, stops: cell.stops, identity }
}
