import type { Critic } from '../critic.ts'
import { CoppiceError } from '../errors.ts'
import { machineMemory } from '../machine.ts'
import { processRow, totalBytes } from '../plan.ts'
import type { MicroBatchOptions, PlanOptions, PlanRow, Policy } from '../policy.ts'

/** A policy of a run and every kind of work that it does there. */
export interface ReservedPolicy {
  /** What its memory is called in the plan; none for the policy that is trained. */
  name?: string
  policy: Policy | Critic
  work: readonly PlanOptions[]
}

/**
 * Takes the memory of a run before its first step, so that no later step can run out of it; `further` is what JavaScript will take. `onPlan` is told beforehand
 * what it comes to. OUT_OF_MEMORY where the machine does not have as much.
 */
export async function reserveMemory(
  reserved: readonly ReservedPolicy[],
  onPlan: ((rows: readonly PlanRow[]) => void) | undefined,
  further: readonly PlanRow[] = [],
): Promise<void> {
  const rows: PlanRow[] = []
  for (const { name, policy, work } of reserved) {
    const own = largestRows(await Promise.all(work.map((options) => policy.plan(options))))
    rows.push(...(name === undefined ? own : [{ what: name, bytes: totalBytes(own) }]))
  }
  rows.push(...further, processRow(reserved.map(({ policy }) => policy)))
  onPlan?.(rows)
  const memory = machineMemory().totalBytes
  if (totalBytes(rows) > memory) {
    const mib = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`
    throw new CoppiceError('OUT_OF_MEMORY', 'the run does not fit', {
      expected: `${mib(memory)} at most, which this machine has`,
      received: rows.map(({ what, bytes }) => `${what} ${mib(bytes)}`).join(', '),
    })
  }
  for (const { policy, work } of reserved) {
    for (const options of work) await policy.reserve(options)
  }
}

/** The part of a run's options that says how its micro-batches are made. */
export function microBatchesOf(options: MicroBatchOptions): MicroBatchOptions {
  const { tokenBudget, activationCheckpointing } = options
  return {
    ...(tokenBudget !== undefined && { tokenBudget }),
    ...(activationCheckpointing !== undefined && { activationCheckpointing }),
  }
}

/** How many sequences a run decodes at a time. */
export function liveSequencesOf({
  maxLiveSequences,
}: Pick<PlanOptions, 'maxLiveSequences'>): Pick<PlanOptions, 'maxLiveSequences'> {
  return maxLiveSequences === undefined ? {} : { maxLiveSequences }
}

/** Kinds of work follow on each other: of each class the largest counts. */
function largestRows(plans: readonly (readonly PlanRow[])[]): PlanRow[] {
  const largest = new Map<string, number>()
  for (const { what, bytes } of plans.flat()) largest.set(what, Math.max(largest.get(what) ?? 0, bytes))
  return Array.from(largest, ([what, bytes]) => ({ what, bytes }))
}
