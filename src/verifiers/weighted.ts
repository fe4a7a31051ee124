import { parse } from 'node:path'
import { invalidArgument } from '../errors.ts'
import { refuseUnknownKeys } from '../options.ts'
import type { Judgement, Verifier } from '../verdicts.ts'
import { builtinNameOf } from './builtin.ts'
import type { Outcome, SampleRunner } from './outcome.ts'

/**
 * Several verifiers that make one reward, the sum of theirs by weight. The first decides the verdict: the others shape
 * the reward, which is what objectives with a baseline learn from, and never turn a wrong answer into a right one.
 */
export interface WeightedVerifiers {
  /** Functions, names of built-in verifiers or files, at most 16. The first is asked what is right. */
  verifiers: readonly (Verifier | string)[]
  /** One a verifier; TRL's name. 0 only records what that verifier says. Default 1 each. */
  rewardWeights?: readonly number[]
  /**
   * A completion is right where the weighted reward is above this number; the first verifier then only says which
   * completions are unparsed. Default null: the first verifier decides.
   */
  rewardThreshold?: number | null
}

const MAX_VERIFIERS = 16

/** The same with every option present and checked. */
export function resolveWeights(options: WeightedVerifiers): Required<WeightedVerifiers> {
  if (typeof options !== 'object' || options === null) {
    throw invalidArgument('verifier', 'a function, a name, a file, or several of these with weights', options)
  }
  refuseUnknownKeys(options, ['verifiers', 'rewardWeights', 'rewardThreshold'], 'verifier')
  const { verifiers, rewardThreshold = null } = options
  if (!Array.isArray(verifiers) || verifiers.length === 0 || verifiers.length > MAX_VERIFIERS) {
    throw invalidArgument('verifiers', `a list of 1 to ${MAX_VERIFIERS} verifiers`, verifiers)
  }
  for (const verifier of verifiers) {
    if (typeof verifier !== 'function' && typeof verifier !== 'string')
      throw invalidArgument('verifiers', 'functions, names or files', verifier)
  }
  const rewardWeights: readonly number[] = options.rewardWeights ?? verifiers.map(() => 1)
  if (!Array.isArray(rewardWeights) || rewardWeights.length !== verifiers.length) {
    throw invalidArgument(
      'rewardWeights',
      `one number a verifier, so ${verifiers.length}`,
      Array.isArray(rewardWeights) ? `${rewardWeights.length} of them` : rewardWeights,
    )
  }
  for (const weight of rewardWeights) {
    if (!Number.isFinite(weight)) throw invalidArgument('rewardWeights', 'finite numbers', weight)
  }
  if (rewardThreshold !== null && !Number.isFinite(rewardThreshold)) {
    throw invalidArgument('rewardThreshold', 'a finite number, or null', rewardThreshold)
  }
  return { verifiers, rewardWeights, rewardThreshold }
}

/** One of several verifiers, ready to run. */
export interface WeightedPart {
  /** What its column is called: `reward_<name>`. */
  name: string
  weight: number
  runner: SampleRunner
}

/** Runs all parts on a sample at once and joins what they say. */
export function weightedRunner(parts: readonly WeightedPart[], rewardThreshold: number | null): SampleRunner {
  const join = (outcomes: readonly Outcome[]) => joinOutcomes(parts, outcomes, rewardThreshold)
  return {
    concurrency: parts[0]!.runner.concurrency,
    run(sample, signal) {
      const outcomes = parts.map(({ runner }) => runner.run(sample, signal))
      return outcomes.some((outcome) => outcome instanceof Promise)
        ? Promise.all(outcomes).then(join)
        : join(outcomes as Outcome[])
    },
    async dispose() {
      await Promise.all(parts.map(({ runner }) => runner.dispose()))
    },
  }
}

/**
 * The one outcome of several. A part that fails makes the sample a failure and one that is late makes it timed-out,
 * since its reward is not known then; a part that abstains counts for nothing, and the first abstains for all.
 */
function joinOutcomes(
  parts: readonly WeightedPart[],
  outcomes: readonly Outcome[],
  rewardThreshold: number | null,
): Outcome {
  const judgements: Judgement[] = []
  for (const [i, outcome] of outcomes.entries()) {
    if ('failure' in outcome) return { failure: `${parts[i]!.name}: ${outcome.failure}` }
    judgements.push(outcome.judgement)
  }
  const isLate = ({ verdict }: Judgement) => verdict === 'timed-out'
  const partRewards = judgements.map((judgement) => (isLate(judgement) ? null : judgement.reward))
  const reasons = judgements.flatMap(({ reason }, i) =>
    reason === undefined ? [] : [`${parts[i]!.name}: ${reason}`],
  )
  const reason = reasons.length === 0 ? {} : { reason: reasons.join('; ') }
  if (judgements.some(isLate)) {
    // Whatever else the outcomes of the late ones say is true of all.
    const late: object = Object.assign({}, ...outcomes.filter((_, i) => isLate(judgements[i]!)))
    return { ...late, judgement: { verdict: 'timed-out', reward: 0, ...reason, partRewards } }
  }
  const { verdict: said, reward: first } = judgements[0]!
  if (first === null) return { judgement: { verdict: said, reward: null, ...reason, partRewards } }
  const reward = partRewards.reduce<number>((sum, part, i) => sum + parts[i]!.weight * (part ?? 0), 0)
  if (!Number.isFinite(Math.fround(reward))) {
    return { failure: `the weighted reward ${reward} is no finite float32` }
  }
  const verdict = verdictOf(said, reward, rewardThreshold)
  return { judgement: { verdict, reward, ...reason, partRewards } }
}

function verdictOf(said: Judgement['verdict'], reward: number, threshold: number | null) {
  if (threshold === null) return said
  if (reward > threshold) return 'right'
  return said === 'right' ? 'wrong' : said
}

/** A name a verifier for columns and messages: its own, in snake case, with a number where it comes again. */
export function partNames(verifiers: readonly (Verifier | string)[]): string[] {
  const taken = new Set<string>()
  return verifiers.map((verifier) => {
    const plain = snakeCase(ownName(verifier)) || 'verifier'
    let name = plain
    for (let number = 2; taken.has(name); number++) name = `${plain}_${number}`
    taken.add(name)
    return name
  })
}

function ownName(verifier: Verifier | string): string {
  if (typeof verifier === 'function') return verifier.name
  return builtinNameOf(verifier) ?? parse(verifier).name
}

function snakeCase(name: string): string {
  return name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_+|_+$/g, '')
}
