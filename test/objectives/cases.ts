import type { ObjectiveSpec } from '../../src/objective-options.ts'
import type { PolicyLossBatch } from '../../src/policy-loss.ts'
import type { SlowRow } from './slow-reference.ts'

/** A small seeded generator (mulberry32): uniform in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Ratios at which some objective below clips: no token may lie so near that a difference quotient straddles one. */
const CLIP_BOUNDS = [
  Math.exp(-0.4),
  0.7,
  0.8,
  Math.exp(-0.15),
  0.9,
  1,
  1.1,
  Math.exp(0.1),
  1.15,
  Math.exp(0.15),
  1.2,
  1.28,
  1.3,
  Math.exp(0.3),
  1.4,
  Math.exp(0.4),
  1.5,
  2.5,
  3,
]

function awayFromBounds(logRatio: () => number): number {
  for (;;) {
    const value = logRatio()
    if (CLIP_BOUNDS.every((bound) => Math.abs(value - Math.log(bound)) > 0.006)) return value
  }
}

interface RowShape extends Partial<Pick<SlowRow, 'verdict' | 'finish' | 'mask'>> {
  group: number
  reward: number | null
  tokens: number
}

/** `drift` is the widest log-ratio between the policy and the one that sampled; 0 is a batch's first update. */
function makeRows(shapes: RowShape[], drift: number, seed: number): SlowRow[] {
  const uniform = seeded(seed)
  const column = (tokens: number, value: () => number) => Array.from({ length: tokens }, value)
  const rows = shapes.map(({ tokens, group, reward, verdict = null, finish = 'stop', mask }) => {
    const lp = column(tokens, () => -3 * uniform() - 0.01)
    return {
      lp,
      old: lp.map((value) => value - (drift === 0 ? 0 : awayFromBounds(() => drift * (2 * uniform() - 1)))),
      sampler: [] as number[],
      values: [] as number[],
      ref: lp.map((value) => value + 1.5 * (uniform() - 0.5)),
      entropy: column(tokens, () => 2 * uniform()),
      mask: mask ?? column(tokens, () => 1),
      reward,
      verdict,
      group,
      finish,
      baseline: group % 7 === 6 ? null : (group % 3) / 2,
    }
  })
  // After all else, so that the other columns do not depend on it. Wide enough to pass every bound of a correction.
  for (const row of rows) row.sampler = row.old.map((value) => value - 1.6 * (2 * uniform() - 1))
  for (const row of rows) row.values = row.lp.map(() => 2 * uniform() - 0.5)
  return rows
}

/** Ragged groups of 4, 1, 2 and 5 whose members are not neighbours; masks with holes; every verdict; one abstention. */
const MIXED: RowShape[] = [
  { group: 0, reward: 1, tokens: 5, verdict: 'right' },
  { group: 3, reward: 0, tokens: 3, verdict: 'wrong', mask: [1, 0, 1] },
  { group: 0, reward: 0, tokens: 7, verdict: 'wrong', finish: 'length' },
  { group: 1, reward: 1, tokens: 2, verdict: 'right' },
  { group: 0, reward: 0.1, tokens: 4, verdict: 'unparsed', mask: [1, 1, 0, 0] },
  { group: 3, reward: 1, tokens: 6, verdict: 'right', finish: 'length' },
  { group: 2, reward: 0, tokens: 1, verdict: 'wrong' },
  { group: 3, reward: null, tokens: 3, verdict: 'unparsed' },
  { group: 0, reward: 1, tokens: 1, verdict: 'right' },
  { group: 3, reward: 0, tokens: 4, verdict: 'timed-out' },
  { group: 2, reward: 0, tokens: 8, verdict: 'wrong', mask: [0, 0, 1, 1, 0, 0, 1, 1] },
  { group: 3, reward: 0.5, tokens: 2, verdict: 'right', mask: [0, 0] },
  { group: 3, reward: 0, tokens: 0, verdict: 'wrong' },
]

const uniformBatch = (reward: number): RowShape[] => [
  { group: 0, reward, tokens: 3 },
  { group: 0, reward, tokens: 5, mask: [1, 0, 1, 1, 0] },
  { group: 1, reward, tokens: 2 },
]

/** Batches by name: mixed and one-sided, on a first update (old = current), a later one, and far off-policy. */
export const BATCHES: Record<string, SlowRow[]> = {
  'mixed, first update': makeRows(MIXED, 0, 11),
  'mixed, later update': makeRows(MIXED, 0.3, 12),
  'mixed, far off-policy': makeRows(MIXED, 1.6, 13),
  'rewards of -1 and +1': makeRows(
    MIXED.map((shape) => ({
      ...shape,
      reward: shape.reward === null ? null : shape.reward > 0 ? 1 : -1,
      verdict: null,
    })),
    0.4,
    14,
  ),
  'all right': makeRows(uniformBatch(1), 0.3, 15),
  'all wrong': makeRows(uniformBatch(0), 0.3, 16),
  'every row abstains': makeRows(
    uniformBatch(0).map((shape) => ({ ...shape, reward: null })),
    0.3,
    17,
  ),
  'every token masked': makeRows(
    uniformBatch(1).map((shape) => ({ ...shape, mask: Array(shape.tokens).fill(0) })),
    0.3,
    18,
  ),
  'groups of one': makeRows(
    MIXED.map((shape, i) => ({ ...shape, group: i })),
    0.3,
    19,
  ),
}

export function toBatch(rows: SlowRow[]) {
  return {
    logprobs: rows.map((row) => row.lp),
    oldLogprobs: rows.map((row) => row.old),
    samplerLogprobs: rows.map((row) => row.sampler),
    refLogprobs: rows.map((row) => row.ref),
    entropies: rows.map((row) => row.entropy),
    values: rows.map((row) => row.values),
    mask: rows.map((row) => row.mask),
    rewards: rows.map((row) => row.reward),
    verdicts: rows.map((row) => row.verdict),
    groupIds: rows.map((row) => row.group),
    finishReasons: rows.map((row) => row.finish),
    baselineRewards: rows.map((row) => row.baseline),
  } satisfies PolicyLossBatch
}

/** Objectives that every batch is tried with: each kind by default, and each option away from its default once. */
export const SPECS: ObjectiveSpec[] = [
  { kind: 'psr' },
  { kind: 'nsr' },
  { kind: 'w-reinforce' },
  { kind: 'reinforce' },
  { kind: 'grpo' },
  { kind: 'w-reinforce', lambda: 0 },
  { kind: 'w-reinforce', lambda: 1 },
  { kind: 'reinforce', rewards: 'signed' },
  { kind: 'reinforce', rewards: 'signed', importanceSamplingLevel: 'token' },
  { kind: 'grpo', std: 'population', stdEpsilon: 1e-6 },
  { kind: 'grpo', scaleRewards: 'batch' },
  { kind: 'grpo', scaleRewards: 'none', aggregation: 'constant', constant: 64 },
  { kind: 'grpo', aggregation: 'sequence-mean-token-mean', beta: 1e-3 },
  { kind: 'grpo', importanceSamplingLevel: 'sequence', epsilon: 3e-2, epsilonHigh: 4e-2 },
  { kind: 'dr-grpo', constant: 96 },
  { kind: 'dr-grpo', aggregation: 'token-mean' },
  { kind: 'dapo' },
  { kind: 'dapo', filterGroups: 'none', std: 'population' },
  { kind: 'dapo', scaleRewards: 'batch', maskTruncatedCompletions: true },
  // Not with its own clip: that is narrower than the steps of a difference quotient. The oracle's fixtures have it.
  { kind: 'gspo', epsilon: 0.03, epsilonHigh: 0.04 },
  { kind: 'gspo', epsilon: 0.1, epsilonHigh: 0.15, scaleRewards: 'none' },
  { kind: 'rloo' },
  { kind: 'rloo', importanceSamplingLevel: 'token', aggregation: 'token-mean' },
  { kind: 'rloo', filterGroups: 'constant' },
  { kind: 'reinforce', baseline: 'group' },
  { kind: 'reinforce', baseline: 'batch' },
  { kind: 'reinforce', baseline: 'group', rewards: 'signed', scaleRewards: 'group', std: 'population' },
  { kind: 'reinforce', baseline: 'group', scaleRewards: 'batch' },
  { kind: 'reinforce', baseline: 'batch', rewards: 'signed', scaleRewards: 'batch', stdEpsilon: 0.01 },
  { kind: 'reinforce++-baseline' },
  { kind: 'reinforce++-baseline', std: 'population', stdEpsilon: 1e-3, filterGroups: 'constant' },
  { kind: 'reinforce++-baseline', beta: 0.05, klKind: 'k2', maskTruncatedCompletions: true },
  { kind: 'reinforce++' },
  { kind: 'reinforce++', beta: 0.1, gamma: 0.9 },
  { kind: 'reinforce++', beta: 0.2, klKind: 'k2', std: 'population', maskTruncatedCompletions: true },
  { kind: 'reinforce++', beta: 0.1, klIn: 'loss', gamma: 0.5, filterGroups: 'constant' },
  { kind: 'reinforce++', beta: 0.1, gamma: 0, importanceSamplingLevel: 'sequence', surrogate: 'sapo' },
  { kind: 'reinforce++', beta: 0.3, importanceSamplingLevel: 'sequence-token', epsilon: null },
  { kind: 'remax' },
  { kind: 'remax', importanceSamplingLevel: 'token', aggregation: 'token-mean' },
  { kind: 'remax', beta: 0.1, klKind: 'k1', klIn: 'reward', unparsed: 'mask' },
  { kind: 'remax', filterGroups: 'constant', maskTruncatedCompletions: true },
  { kind: 'opo' },
  { kind: 'opo', unparsed: 'mask' },
  { kind: 'gpg' },
  { kind: 'gpg', scaleRewards: 'group' },
  { kind: 'gpg', filterGroups: 'constant', maskTruncatedCompletions: true },
  { kind: 'cispo' },
  { kind: 'cispo', epsilon: 0.2, epsilonHigh: 0.4 },
  { kind: 'cispo', importanceSamplingLevel: 'sequence', epsilonHigh: 0.1 },
  { kind: 'gmpo' },
  { kind: 'gmpo', epsilon: 0.15, epsilonHigh: 0.3, aggregation: 'token-mean' },
  { kind: 'gmpo', epsilonHigh: null },
  { kind: 'sapo' },
  { kind: 'sapo', sapoTemperaturePos: 2, sapoTemperatureNeg: 0.5, aggregation: 'token-mean', beta: 0.05 },
  { kind: 'sapo', importanceSamplingLevel: 'sequence' },
  { kind: 'topr' },
  { kind: 'topr', positiveWeight: 0.3, negativeWeight: 2, entropyCoefficient: 1e-2 },
  { kind: 'topr', importanceSamplingLevel: 'sequence' },
  { kind: 'gspo-token', epsilon: 0.03, epsilonHigh: 0.04 },
  { kind: 'gspo-token', epsilon: 0.1, epsilonHigh: 0.15, aggregation: 'token-mean' },
  { kind: 'rloo', beta: 0.05, klKind: 'k1', klIn: 'reward' },
  { kind: 'grpo', beta: 0.05, klIn: 'reward', filterGroups: 'constant' },
  { kind: 'reinforce', beta: 0.05, klKind: 'k2', klIn: 'reward' },
  { kind: 'opo', beta: 0.1, klIn: 'reward' },
  { kind: 'gpg', beta: 0.1, klIn: 'reward', importanceCorrection: 'token-truncate' },
  { kind: 'reinforce++-baseline', beta: 0.1, klKind: 'k1', klIn: 'reward', maskTruncatedCompletions: true },
  // Whitened advantages nearly cancel in the loss; a bonus leaves something to compare in single precision.
  { kind: 'ppo', entropyCoefficient: 0.1 },
  {
    kind: 'ppo',
    gamma: 0.9,
    gaeLambda: 0.8,
    whitenAdvantages: false,
    beta: 0.05,
    klKind: 'k1',
    klIn: 'reward',
  },
  {
    kind: 'ppo',
    entropyCoefficient: 0.1,
    gaeLambda: 0,
    maskTruncatedCompletions: true,
    aggregation: 'sequence-mean-token-mean',
  },
  {
    kind: 'ppo',
    entropyCoefficient: 0.1,
    gamma: 0.5,
    filterGroups: 'constant',
    importanceCorrection: 'token-truncate',
  },
  // A share of 1, so that chance has no part in it.
  { kind: 'clip-cov', covRatio: 1, covLow: 0 },
  { kind: 'clip-cov', covRatio: 1, covLow: 0.1, covHigh: 0.4, epsilonHigh: 0.28, beta: 0.05 },
  { kind: 'clip-cov', covRatio: 1, covLow: 0, importanceCorrection: 'token-mask' },
  { kind: 'kl-cov' },
  { kind: 'kl-cov', covRatio: 0.2, oldKlCoefficient: 0.3, epsilon: 0.2, entropyCoefficient: 1e-2 },
  { kind: 'kl-cov', covRatio: 1, importanceCorrection: 'token-truncate' },
  { kind: 'gmpo', importanceCorrection: 'sequence-mask' },
  ...(['nsr', 'grpo', 'gspo-token', 'cispo', 'sapo', 'reinforce'] as const).flatMap(
    (kind): ObjectiveSpec[] => {
      const spec: ObjectiveSpec = kind === 'gspo-token' ? { kind, epsilon: 0.1, epsilonHigh: 0.15 } : { kind }
      return [
        { ...spec, importanceCorrection: 'token-truncate' },
        {
          ...spec,
          importanceCorrection: 'token-truncate',
          importanceCorrectionMin: 0.7,
          importanceCorrectionMax: 1.2,
        },
        { ...spec, importanceCorrection: 'token-mask' },
        { ...spec, importanceCorrection: 'token-mask', importanceCorrectionMin: null, beta: 0.05 },
        { ...spec, importanceCorrection: 'sequence-truncate' },
        { ...spec, importanceCorrection: 'sequence-mask' },
        {
          ...spec,
          importanceCorrection: 'sequence-geometric-mask',
          importanceCorrectionMin: 0.8,
          importanceCorrectionMax: 1.3,
        },
      ]
    },
  ),
  ...(['psr', 'nsr', 'w-reinforce', 'dapo', 'rloo'] as const).flatMap((kind): ObjectiveSpec[] => [
    { kind, surrogate: 'cispo' },
    { kind, surrogate: 'gmpo' },
    { kind, surrogate: 'sapo' },
    { kind, surrogate: 'topr' },
    { kind, importanceSamplingLevel: 'sequence-token', epsilon: 0.1 },
  ]),
  ...(['psr', 'nsr', 'w-reinforce', 'grpo'] as const).flatMap((kind): ObjectiveSpec[] => [
    { kind, epsilon: null },
    { kind, epsilon: Number.POSITIVE_INFINITY, epsilonHigh: 0.1 },
    { kind, epsilonHigh: null },
    { kind, epsilon: 0.2, epsilonHigh: 0.28 },
    { kind, epsilon: 0.2, delta: 1.5 },
    { kind, epsilon: null, delta: 2.5 },
    { kind, importanceSamplingLevel: 'sequence' },
    { kind, importanceSamplingLevel: 'none' },
    { kind, beta: 0.05, klKind: 'k1' },
    { kind, beta: 0.05, klKind: 'k2' },
    { kind, beta: 0.05, klKind: 'k3' },
    { kind, entropyCoefficient: 1e-2 },
    { kind, aggregation: 'sequence-mean-token-mean' },
    { kind, aggregation: 'sequence-mean-token-sum' },
    { kind, aggregation: 'constant', constant: 512 },
    { kind, maskTruncatedCompletions: true },
    { kind, unparsed: 'mask' },
    { kind, timedOut: 'wrong' },
    { kind, filterGroups: 'constant' },
  ]),
]

/** Refused where a reward is below 0. */
const MAXRL_SPECS: ObjectiveSpec[] = [
  { kind: 'maxrl' },
  { kind: 'maxrl', meanEpsilon: 0.1, filterGroups: 'constant' },
]

/** Those that the rewards of a batch allow. */
export function specsFor(rows: readonly SlowRow[]): ObjectiveSpec[] {
  return rows.some(({ reward }) => reward !== null && reward < 0) ? SPECS : [...SPECS, ...MAXRL_SPECS]
}

/** Options drawn at random, some of which contradict. */
export function randomSpecs(count: number, seed: number): ObjectiveSpec[] {
  const uniform = seeded(seed)
  const pick = <T>(values: readonly T[]): T => values[Math.floor(uniform() * values.length)]!
  const options: Record<string, readonly unknown[]> = {
    epsilon: [undefined, undefined, null, 0, 0.1, 0.3],
    epsilonHigh: [undefined, undefined, null, 0.15, 0.4],
    delta: [undefined, undefined, null, 1.3, 3],
    importanceSamplingLevel: [
      ...Array<undefined>(4).fill(undefined),
      'token',
      'sequence',
      'sequence-token',
      'none',
    ],
    surrogate: [...Array<undefined>(8).fill(undefined), 'clip', 'cispo', 'gmpo', 'sapo', 'topr'],
    sapoTemperaturePos: [...Array<undefined>(12).fill(undefined), 2],
    sapoTemperatureNeg: [...Array<undefined>(12).fill(undefined), 1.5],
    beta: [undefined, 0, 0.01, 0.5],
    klKind: [undefined, 'k1', 'k2', 'k3'],
    klIn: [undefined, undefined, undefined, undefined, 'loss', 'reward'],
    entropyCoefficient: [undefined, 0, 0.02],
    scaleRewards: [undefined, undefined, 'group', 'batch', 'none'],
    aggregation: [undefined, 'token-mean', 'sequence-mean-token-mean', 'sequence-mean-token-sum', 'constant'],
    constant: [undefined, undefined, undefined, 100],
    filterGroups: [undefined, 'none', 'constant'],
    importanceCorrection: [
      ...Array<undefined>(6).fill(undefined),
      'token-truncate',
      'token-mask',
      'sequence-truncate',
      'sequence-mask',
      'sequence-geometric-mask',
    ],
    importanceCorrectionMin: [...Array<undefined>(12).fill(undefined), 0.6],
    importanceCorrectionMax: [...Array<undefined>(12).fill(undefined), 2],
    maskTruncatedCompletions: [undefined, false, true],
    unparsed: [undefined, 'wrong', 'mask'],
    timedOut: [undefined, 'wrong', 'mask'],
  }
  const division = { std: [undefined, 'sample', 'population'], stdEpsilon: [undefined, 0, 1e-2] }
  const own: Record<string, Record<string, readonly unknown[]>> = {
    psr: {},
    nsr: {},
    'w-reinforce': {
      lambda: [undefined, 0, 0.1, 2],
      lambdaSchedule: [undefined, undefined, 'constant', 'linear'],
    },
    reinforce: {
      rewards: [undefined, 'given', 'signed'],
      baseline: [undefined, 'none', 'group', 'batch'],
      ...division,
    },
    grpo: division,
    'dr-grpo': {},
    dapo: division,
    gspo: division,
    rloo: {},
    'reinforce++-baseline': division,
    'reinforce++': { ...division, gamma: [undefined, 0.9, 0] },
    remax: {},
    opo: {},
    gpg: division,
    maxrl: { meanEpsilon: [undefined, 0, 1e-2] },
    cispo: division,
    gmpo: division,
    sapo: division,
    topr: { positiveWeight: [undefined, 0, 2], negativeWeight: [undefined, 0.5] },
    'gspo-token': division,
    'clip-cov': { ...division, covRatio: [1], covLow: [undefined, 0, 0.2], covHigh: [undefined, 1] },
    'kl-cov': { ...division, covRatio: [undefined, 0.3], oldKlCoefficient: [undefined, 0.2] },
    ppo: {
      gamma: [undefined, 0, 0.9],
      gaeLambda: [undefined, 0, 0.95],
      whitenAdvantages: [undefined, false],
      valueModel: [undefined, 'separate', 'shared'],
      valueCoefficient: [undefined, undefined, 0.5],
      criticLearningRate: [undefined, undefined, 1e-4],
    },
  }
  return Array.from({ length: count }, () => {
    const kind = pick(Object.keys(own))
    const drawn = Object.entries({ ...own[kind], ...options }).map(([name, values]) => [name, pick(values)])
    return { kind, ...Object.fromEntries(drawn) } as ObjectiveSpec
  })
}
