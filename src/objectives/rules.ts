import { CRITIC_OPTIONS, fitCritic } from '../objective-options/critic-options.ts'
import { fitLambda } from '../objective-options/lambda-options.ts'
import { atLeastZero, choice, type OptionRules, optional, share } from '../objective-options/option-rules.ts'
import type { BatchShape, Restrictions } from '../objective-options/reconcile.ts'
import type { ObjectiveKind, OptionsOf, ResolvedOf, ResolvedOptions } from '../objective-options.ts'
import {
  type AdvantageOf,
  balancedAdvantages,
  centredAdvantages,
  GROUP_MEAN,
  leaveOneOutAdvantages,
  lengthWeightedAdvantages,
  meanScaledAdvantages,
  whitenedAdvantages,
} from './group-advantages.ts'
import type { JudgedRows, RowDemands } from './judged-rows.ts'
import { greedyBaselineAdvantages, whitenedReturns } from './token-returns.ts'

/**
 * An algorithm: which completions are kept, and the advantage of each. The rest (ratio, clip, KL, entropy, aggregation)
 * is options, of which a rule may set other defaults.
 */
export interface ObjectiveRule<K extends ObjectiveKind> {
  /** Options that not every objective has. */
  own: OptionRules<Required<OptionsOf<K>>>
  /**
   * Refuses own options that contradict each other, or what is known of the run, with the reason; and fills in those whose
   * defaults follow from others.
   */
  fit?: (
    own: Required<OptionsOf<K>>,
    given: Readonly<Record<string, unknown>>,
    shape: BatchShape | undefined,
  ) => Required<OptionsOf<K>>
  defaults: Partial<ResolvedOptions>
  /** Values of common options that would make another objective of it. */
  restrictions: (own: Required<OptionsOf<K>>) => Restrictions
  /** Whether a completion is measured by the others of its prompt, so that one alone teaches nothing. */
  comparesGroup: (own: Required<OptionsOf<K>>) => boolean
  keeps: (rows: JudgedRows, row: number) => boolean
  /** What it must know of a row beside reward and verdict. */
  demands?: RowDemands
  /** Asked once a batch; its answer for kept rows only. */
  advantages: (rows: JudgedRows, objective: ResolvedOf<K>) => AdvantageOf
  /** Why there is nothing to learn from when no row is kept although some could have been. */
  emptyClass: EmptyClass
}

/**
 * Why a batch makes no optimiser step: nothing right for psr, nothing wrong for nsr, no group whose rewards differ under
 * `filterGroups`, or no row that takes part at all (every one abstained or was masked).
 */
export type EmptyClass = 'no-right-completion' | 'no-wrong-completion' | 'no-mixed-group' | 'no-completion'

const all = () => true
const never = () => false
const always = () => true

const division = { std: choice(['sample', 'population'], 'sample'), stdEpsilon: atLeastZero(1e-4) }

const unrestricted = (): Restrictions => ({})
const klOfLoss = (why: string): Restrictions => ({ klIn: { only: ['loss'], why } })
const scalesBy = (only: readonly ResolvedOptions['scaleRewards'][], why: string) => (): Restrictions => ({
  scaleRewards: { only, why },
})
const takesAdvantagesAsTheyAre = scalesBy(
  ['none'],
  'takes its advantages as they are (to whiten a constant would give 0)',
)
/** Advantages by verdict alone. */
const goesByVerdicts = (): Restrictions => ({
  ...takesAdvantagesAsTheyAre(),
  ...klOfLoss('goes by verdicts and has no reward to take it off'),
})
const dividesByNoDeviation = scalesBy(['none'], 'divides by no deviation of the rewards')

/** What `scaleRewards` may be depends on the baseline: only differences from one are divided. */
const REINFORCE_SCALES = {
  none: takesAdvantagesAsTheyAre,
  group: unrestricted,
  batch: scalesBy(
    ['none', 'batch'],
    'would divide by 0 in a group of equal rewards, its baseline being the batch',
  ),
}

/** What grpo and the objectives that differ from it in ratio, clip, surrogate or aggregation share. */
type GroupRelative =
  | 'grpo'
  | 'dapo'
  | 'gspo'
  | 'gspo-token'
  | 'cispo'
  | 'gmpo'
  | 'sapo'
  | 'clip-cov'
  | 'kl-cov'

const groupRelative = {
  own: division,
  comparesGroup: always,
  keeps: all,
  advantages: (rows: JudgedRows, objective: ResolvedOf<GroupRelative>) =>
    centredAdvantages(rows, { ...objective, rewards: 'given', baseline: 'group' }),
  emptyClass: 'no-completion',
} as const

/** The objective is its surrogate, under any other it would be one of another name. */
const isSurrogate = (surrogate: ResolvedOptions['surrogate']) => (): Restrictions => ({
  surrogate: { only: [surrogate], why: "is its surrogate; 'grpo' has others" },
})

const hasSequenceRatio = (level: ResolvedOptions['importanceSamplingLevel']) => (): Restrictions => ({
  importanceSamplingLevel: {
    only: [level],
    why: "has one ratio for a completion; 'grpo' has others",
  },
  surrogate: { only: ['clip'], why: "clips its ratio; 'grpo' has other surrogates" },
})

/** Single tokens are chosen, so that each must have a loss of its own. */
const ofTokens = (): Restrictions => ({
  importanceSamplingLevel: { only: ['token'], why: 'chooses single tokens by their own ratio' },
  surrogate: { only: ['clip'], why: 'is the ratio under a clip or none' },
})

const gspoDefaults = {
  scaleRewards: 'group',
  epsilon: 3e-4,
  epsilonHigh: 4e-4,
  aggregation: 'sequence-mean-token-mean',
} as const

export const RULES: { readonly [K in ObjectiveKind]: ObjectiveRule<K> } = {
  psr: {
    own: {},
    defaults: {},
    restrictions: goesByVerdicts,
    comparesGroup: never,
    keeps: (rows, row) => rows.right[row] === 1,
    advantages: () => () => 1,
    emptyClass: 'no-right-completion',
  },
  nsr: {
    own: {},
    defaults: {},
    restrictions: goesByVerdicts,
    comparesGroup: never,
    keeps: (rows, row) => rows.right[row] === 0,
    advantages: () => () => -1,
    emptyClass: 'no-wrong-completion',
  },
  'w-reinforce': {
    own: {
      lambda: atLeastZero(0.1),
      lambdaSchedule: choice(['constant', 'linear', 'cosine', 'adaptive'], 'constant'),
      ...{ lambdaFinal: optional, targetEntropy: optional, lambdaRate: atLeastZero(0.1) },
      ...{ lambdaMin: atLeastZero(0), lambdaMax: atLeastZero(1) },
    },
    fit: fitLambda,
    defaults: {},
    restrictions: goesByVerdicts,
    comparesGroup: never,
    keeps: all,
    advantages:
      (rows, { lambda }) =>
      (row) =>
        rows.right[row] === 1 ? lambda : -1,
    emptyClass: 'no-completion',
  },
  reinforce: {
    own: {
      rewards: choice(['given', 'signed'], 'given'),
      baseline: choice(['none', 'group', 'batch'], 'none'),
      ...division,
    },
    defaults: { importanceSamplingLevel: 'none' },
    restrictions: ({ baseline, rewards }) => ({
      ...REINFORCE_SCALES[baseline](),
      ...(rewards === 'signed' && klOfLoss("with rewards 'signed' has no reward to take it off")),
    }),
    comparesGroup: ({ baseline }) => baseline === 'group',
    keeps: all,
    advantages: centredAdvantages,
    emptyClass: 'no-completion',
  },
  grpo: { ...groupRelative, defaults: { scaleRewards: 'group' }, restrictions: unrestricted },
  'dr-grpo': {
    own: {},
    defaults: { aggregation: 'constant' },
    restrictions: scalesBy(['none'], "divides by no deviation; 'grpo' with aggregation 'constant' does"),
    comparesGroup: always,
    keeps: all,
    advantages: (rows) => centredAdvantages(rows, GROUP_MEAN),
    emptyClass: 'no-completion',
  },
  dapo: {
    ...groupRelative,
    defaults: { scaleRewards: 'group', epsilon: 0.2, epsilonHigh: 0.28, filterGroups: 'constant' },
    restrictions: unrestricted,
  },
  gspo: {
    ...groupRelative,
    defaults: { ...gspoDefaults, importanceSamplingLevel: 'sequence' },
    restrictions: hasSequenceRatio('sequence'),
  },
  rloo: {
    own: {},
    defaults: { importanceSamplingLevel: 'none', aggregation: 'sequence-mean-token-sum' },
    restrictions: dividesByNoDeviation,
    comparesGroup: always,
    keeps: all,
    advantages: leaveOneOutAdvantages,
    emptyClass: 'no-completion',
  },
  'reinforce++-baseline': {
    own: division,
    defaults: {},
    restrictions: scalesBy(['none'], 'divides by the deviation of its advantages instead'),
    comparesGroup: always,
    keeps: all,
    advantages: whitenedAdvantages,
    emptyClass: 'no-completion',
  },
  'reinforce++': {
    own: { ...division, gamma: share(1) },
    defaults: { klIn: 'reward', klKind: 'k1' },
    restrictions: () => ({
      ...scalesBy(['none'], 'divides by the deviation of its advantages instead')(),
      surrogate: {
        only: ['clip', 'cispo', 'sapo', 'topr'],
        why: 'has an advantage for each token, and a geometric mean has one for a completion',
      },
    }),
    comparesGroup: never,
    keeps: all,
    demands: { spreadsKl: true },
    advantages: whitenedReturns,
    emptyClass: 'no-completion',
  },
  remax: {
    own: {},
    defaults: { importanceSamplingLevel: 'none', aggregation: 'sequence-mean-token-sum' },
    restrictions: dividesByNoDeviation,
    comparesGroup: never,
    keeps: all,
    demands: { greedyBaseline: true },
    advantages: greedyBaselineAdvantages,
    emptyClass: 'no-completion',
  },
  opo: {
    own: {},
    defaults: {},
    restrictions: dividesByNoDeviation,
    comparesGroup: always,
    keeps: all,
    advantages: lengthWeightedAdvantages,
    emptyClass: 'no-completion',
  },
  gpg: {
    own: division,
    defaults: { importanceSamplingLevel: 'none' },
    restrictions: scalesBy(['none', 'group'], 'divides by 1 or by the deviation of the group'),
    comparesGroup: always,
    keeps: all,
    advantages: balancedAdvantages,
    emptyClass: 'no-completion',
  },
  maxrl: {
    own: { meanEpsilon: atLeastZero(1e-6) },
    defaults: {},
    restrictions: () => ({
      ...scalesBy(['none'], "divides by the group's mean instead")(),
      ...klOfLoss('divides by the mean reward, which must not come below 0'),
    }),
    comparesGroup: always,
    keeps: all,
    advantages: (rows, { meanEpsilon }) => meanScaledAdvantages(rows, meanEpsilon),
    emptyClass: 'no-completion',
  },
  cispo: {
    ...groupRelative,
    defaults: { scaleRewards: 'group', surrogate: 'cispo' },
    restrictions: isSurrogate('cispo'),
  },
  gmpo: {
    ...groupRelative,
    defaults: { scaleRewards: 'group', surrogate: 'gmpo', aggregation: 'sequence-mean-token-mean' },
    restrictions: isSurrogate('gmpo'),
  },
  sapo: {
    ...groupRelative,
    defaults: { scaleRewards: 'group', surrogate: 'sapo', aggregation: 'sequence-mean-token-mean' },
    restrictions: isSurrogate('sapo'),
  },
  topr: {
    own: { positiveWeight: atLeastZero(1), negativeWeight: atLeastZero(1) },
    defaults: { surrogate: 'topr' },
    restrictions: () => ({ ...goesByVerdicts(), ...isSurrogate('topr')() }),
    comparesGroup: never,
    keeps: all,
    advantages:
      (rows, { positiveWeight, negativeWeight }) =>
      (row) =>
        rows.right[row] === 1 ? positiveWeight : -negativeWeight,
    emptyClass: 'no-completion',
  },
  'gspo-token': {
    ...groupRelative,
    defaults: { ...gspoDefaults, importanceSamplingLevel: 'sequence-token' },
    restrictions: hasSequenceRatio('sequence-token'),
  },
  'clip-cov': {
    ...groupRelative,
    own: { ...division, covRatio: atLeastZero(2e-4), covLow: atLeastZero(1), covHigh: atLeastZero(5) },
    defaults: { scaleRewards: 'group' },
    restrictions: ofTokens,
  },
  'kl-cov': {
    ...groupRelative,
    own: { ...division, covRatio: atLeastZero(2e-4), oldKlCoefficient: atLeastZero(1) },
    defaults: { scaleRewards: 'group', epsilon: null, epsilonHigh: null },
    restrictions: ofTokens,
  },
  // The row's number is its reward, at the last token: what a critic makes of it is in critic-advantages.ts.
  ppo: {
    own: CRITIC_OPTIONS,
    fit: fitCritic,
    demands: { spreadsKl: true },
    defaults: {},
    restrictions: () => ({
      ...scalesBy(['none'], 'whitens its advantages instead (whitenAdvantages)')(),
      importanceSamplingLevel: {
        only: ['token', 'none'],
        why: 'has an advantage for each token, which one ratio for a completion would mix',
      },
    }),
    comparesGroup: never,
    keeps: all,
    advantages: (rows) => (row) => rows.rewards[row]!,
    emptyClass: 'no-completion',
  },
}
