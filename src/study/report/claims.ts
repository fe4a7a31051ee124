import { bootstrapMeans, type MeanInterval } from '../../statistics/bootstrap.ts'
import { passAtK } from '../../statistics/pass-at-k.ts'
import { pairedDifferenceTable } from '../../statistics/pass-at-k-table.ts'
import type { StudyRecord } from '../record.ts'
import { countsOn, isReported, type StudyGroup } from './groups.ts'

/** Something that the paper, or a dispute about it, says of a difference. */
export interface Claim {
  text: string
  /** Where it is said. */
  source: string
  /** `above`: the difference is above 0. `not below`: it is not below 0, give or take MARGIN. */
  says: 'above' | 'not below'
  difference: Difference
}

/** A minus B, in pass@k or in a figure of the evaluation. */
interface Difference {
  a: Side
  b: Side
  of: { k: number } | 'entropy' | 'greedy_accuracy'
}

/** A method in an arm; `base`: the policy that it was trained from. */
interface Side {
  arm: string
  method: string
}

export type Verdict = 'reproduced' | 'partly' | 'not' | 'undecided' | 'not measured'

export interface JudgedClaim {
  claim: Claim
  /** On every task, base policy and set that has the runs of both sides. */
  findings: Finding[]
  verdict: Verdict
  /** Whether some finding rests on fewer than LEAST_SEEDS seeds. */
  soFar: boolean
}

export interface Finding {
  where: string
  seeds: number
  interval: MeanInterval
  /** What the interval is over: of a figure of the policy with fewer than LEAST_SEEDS seeds there is none. */
  over: 'prompts' | 'seeds' | 'nothing'
  holds: 'yes' | 'no' | 'open'
}

/** Fewer seeds make a verdict one so far. */
export const LEAST_SEEDS = 3

/** How far below 0 an interval may reach for "not below" still to hold. */
export const MARGIN = 0.02

/** How findings become a verdict, in words, for the report. */
export const VERDICT_RULE =
  'A finding holds where the 95 % interval of the paired difference lies on the claimed side of 0 and every seed does (for "not below": ' +
  `the interval above -${100 * MARGIN} points), fails where interval and every seed lie on the other side, and is open otherwise. Intervals of ` +
  `pass@k are over prompts, for the mean of the seeds; those of entropy and greedy accuracy over seeds, from ${LEAST_SEEDS} on. Reproduced: it holds in all ` +
  'findings, or in more than half with none failing. Not: it holds in none and fails in some. Partly: it holds in some. Undecided: all ' +
  `are open. "So far" stands where a finding has fewer than ${LEAST_SEEDS} seeds.`

const core = (method: string): Side => ({ arm: 'core', method })
const base = core('base')
const W = 'w-reinforce-0.1'

function claim(
  text: string,
  source: string,
  says: Claim['says'],
  a: Side,
  b: Side,
  of: Difference['of'],
): Claim {
  return { text, source, says, difference: { a, b, of } }
}

const PAPER = 'arXiv 2506.01347'

export const CLAIMS: readonly Claim[] = [
  claim('PSR raises pass@1 over the base policy', PAPER, 'above', core('psr'), base, { k: 1 }),
  claim('PSR falls below the base policy at k = 256', PAPER, 'above', base, core('psr'), { k: 256 }),
  claim('NSR raises pass@1 over the base policy', PAPER, 'above', core('nsr'), base, { k: 1 }),
  claim("NSR keeps the base policy's pass@256", PAPER, 'not below', core('nsr'), base, { k: 256 }),
  claim('NSR is not below PSR at k = 1', PAPER, 'not below', core('nsr'), core('psr'), { k: 1 }),
  claim('NSR is above PSR at k = 256', PAPER, 'above', core('nsr'), core('psr'), { k: 256 }),
  claim('NSR is above GRPO at k = 256', PAPER, 'above', core('nsr'), core('grpo'), { k: 256 }),
  claim('GRPO falls below the base policy at k = 256', PAPER, 'above', base, core('grpo'), { k: 256 }),
  claim('W-REINFORCE is not below GRPO at k = 1', PAPER, 'not below', core(W), core('grpo'), { k: 1 }),
  claim('W-REINFORCE is not below NSR at k = 256', PAPER, 'not below', core(W), core('nsr'), { k: 256 }),
  claim('NSR ends with more entropy than PSR', PAPER, 'above', core('nsr'), core('psr'), 'entropy'),
  claim('PSR raises greedy accuracy', PAPER, 'above', core('psr'), base, 'greedy_accuracy'),
  claim('NSR raises greedy accuracy', PAPER, 'above', core('nsr'), base, 'greedy_accuracy'),
  claim(
    'NSR degrades in long runs: pass@1 falls again',
    PAPER,
    'above',
    core('nsr'),
    { arm: 'long', method: 'nsr' },
    { k: 1 },
  ),
  claim(
    'W-REINFORCE does not degrade in long runs',
    PAPER,
    'not below',
    { arm: 'long', method: W },
    core(W),
    { k: 1 },
  ),
  claim(
    "NSR's entropy is higher with several clipped updates a batch than with one",
    "an issue of the authors' code (6)",
    'above',
    core('nsr'),
    { arm: 'one-update', method: 'nsr' },
    'entropy',
  ),
  claim(
    'With one update a batch NSR is not above PSR at k = 256',
    'expected gradients coincide on-policy',
    'not below',
    { arm: 'one-update', method: 'psr' },
    { arm: 'one-update', method: 'nsr' },
    { k: 256 },
  ),
]

/** Every claim against what is recorded. */
export function judgeClaims(groups: readonly StudyGroup[], claims = CLAIMS): JudgedClaim[] {
  return claims.map((one) => {
    const findings = findingsOf(one, groups)
    const verdict = verdictOf(findings.map(({ holds }) => holds))
    return { claim: one, findings, verdict, soFar: findings.some(({ seeds }) => seeds < LEAST_SEEDS) }
  })
}

export function verdictOf(holds: readonly Finding['holds'][]): Verdict {
  if (holds.length === 0) return 'not measured'
  const yes = holds.filter((one) => one === 'yes').length
  const no = holds.filter((one) => one === 'no').length
  if (yes === holds.length || (no === 0 && 2 * yes > holds.length)) return 'reproduced'
  if (yes > 0) return 'partly'
  return no > 0 ? 'not' : 'undecided'
}

function findingsOf({ difference, says }: Claim, groups: readonly StudyGroup[]): Finding[] {
  const { a, b, of } = difference
  const trained = a.method === 'base' ? b : a
  return groups
    .filter(({ arm }) => arm.name === trained.arm)
    .flatMap((group) => {
      const sides = sidesOf(a, b, group, groups)
      if (sides === undefined) return []
      return group.task.sets.map(({ name, label }) => {
        const { interval, bySeed } = differenceOf(sides, name, of)
        const over = typeof of === 'object' ? 'prompts' : sides.seeds < LEAST_SEEDS ? 'nothing' : 'seeds'
        return {
          where: `${group.task.label}, ${group.base.label}, ${label}`,
          ...{ seeds: sides.seeds, interval, over },
          holds: over === 'nothing' ? 'open' : holdsIn(interval, bySeed, says),
        } satisfies Finding
      })
    })
}

interface Sides {
  a: readonly StudyRecord[]
  b: readonly StudyRecord[]
  seeds: number
}

/** The records of both sides on the task and base policy of `group`, over the seeds that both have. */
function sidesOf(a: Side, b: Side, group: StudyGroup, groups: readonly StudyGroup[]): Sides | undefined {
  const found = [a, b].map((side) => {
    const at = groups.find(
      (one) => one.arm.name === side.arm && one.task === group.task && one.base === group.base,
    )
    if (at === undefined || !isReported(at)) return undefined
    if (side.method === 'base') return 'base'
    const method = at.methods.find(({ name }) => name === side.method)
    return method && new Map(at.seeds.map((seed, i) => [seed, method.records[i]!]))
  })
  const [left, right] = found
  if (left === undefined || right === undefined || (left === 'base' && right === 'base')) return undefined
  const trained = left === 'base' ? (right as Map<number, StudyRecord>) : left
  const other = right === 'base' ? trained : (right as Map<number, StudyRecord>)
  const seeds = [...trained.keys()].filter((seed) => other.has(seed))
  if (seeds.length === 0) return undefined
  const pick = (side: Map<number, StudyRecord> | 'base') =>
    side === 'base' ? [group.baseRecord!] : seeds.map((seed) => side.get(seed)!)
  return { a: pick(left), b: pick(right), seeds: seeds.length }
}

function differenceOf(
  { a, b, seeds }: Sides,
  set: string,
  of: Difference['of'],
): { interval: MeanInterval; bySeed: number[] } {
  // The base policy is one, and meets every seed of the other side.
  const at = (records: readonly StudyRecord[], seed: number) =>
    (records.length === 1 ? records[0] : records[seed])!
  const perSeed = (difference: (left: StudyRecord, right: StudyRecord) => number) =>
    Array.from({ length: seeds }, (_, seed) => difference(at(a, seed), at(b, seed)))
  if (typeof of === 'object') {
    const counts = (records: readonly StudyRecord[]) => records.map((record) => countsOn(record, set))
    const k = Math.min(of.k, countsOn(a[0]!, set)[0]!.n)
    const mean = (record: StudyRecord) =>
      countsOn(record, set).reduce((sum, { n, c }) => sum + passAtK(n, c, k), 0)
    return {
      interval: pairedDifferenceTable(counts(a), counts(b), [k])[String(k)]!,
      bySeed: perSeed((left, right) => mean(left) - mean(right)),
    }
  }
  const bySeed = perSeed((left, right) => (left.sets[set]![of] ?? 0) - (right.sets[set]![of] ?? 0))
  return { interval: bootstrapMeans([bySeed])[0]!, bySeed }
}

export function holdsIn(
  { low, high }: MeanInterval,
  bySeed: readonly number[],
  says: Claim['says'],
): Finding['holds'] {
  if (says === 'not below' && low > -MARGIN) return 'yes'
  if (says === 'above' && low > 0 && bySeed.every((one) => one > 0)) return 'yes'
  return high < 0 && bySeed.every((one) => one < 0) ? 'no' : 'open'
}
