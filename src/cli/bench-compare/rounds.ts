import type { CompareCase } from './cases.ts'
import { isNotRun, type MeasuredLine } from './contender-line.ts'
import type { Side } from './sides.ts'

/** What both sides said in each round, or why the contender said nothing. */
export type Rounds = { own: readonly MeasuredLine[]; theirs: readonly MeasuredLine[] } | { notRun: string }

/**
 * The two sides by turns, `rounds` times each, every turn a fresh process: what else the machine does falls on both. A contender
 * that cannot go on ends it, with the reason; coppice's own failure is thrown.
 */
export async function runRounds(
  own: Side,
  contender: Side,
  asked: CompareCase,
  rounds: number,
): Promise<Rounds> {
  const ours: MeasuredLine[] = []
  const theirs: MeasuredLine[] = []
  for (let round = 0; round < rounds; round++) {
    const line = await own.run(asked)
    if (isNotRun(line)) throw new Error(`${own.name} does not run ${asked.name}: ${line.not_run}`)
    ours.push(line)
    const other = await runOrReason(contender, asked)
    if (typeof other === 'string') return { notRun: other }
    theirs.push(other)
  }
  return { own: ours, theirs }
}

export interface Probe<S> {
  setting: S
  /** The least of a short turn: what else the machine does can only add to it. */
  seconds: number
}

/** The quickest of several settings by a short turn each, and what was tried; or why none runs. */
export async function probe<S>(
  sides: readonly { setting: S; side: Side }[],
  asked: CompareCase,
): Promise<{ best: S; tried: readonly Probe<S>[] } | { notRun: string }> {
  const tried: Probe<S>[] = []
  let firstReason: string | undefined
  for (const { setting, side } of sides) {
    const line = await runOrReason(side, asked)
    if (typeof line === 'string') firstReason ??= line
    else tried.push({ setting, seconds: Math.min(...line.seconds) })
  }
  const [first, ...others] = tried
  if (first === undefined) return { notRun: firstReason ?? 'no setting to try' }
  const best = others.reduce((least, next) => (next.seconds < least.seconds ? next : least), first)
  return { best: best.setting, tried }
}

async function runOrReason(side: Side, asked: CompareCase): Promise<MeasuredLine | string> {
  try {
    const line = await side.run(asked)
    return isNotRun(line) ? line.not_run : line
  } catch (error) {
    // Told to stop: no reason of the contender's.
    if (error instanceof Error && error.name === 'AbortError') throw error
    return error instanceof Error ? error.message : String(error)
  }
}
