import type { CriticOptions } from '../objective-options.ts'
import { requireFlag, requireInteger, requireNumber } from '../options.ts'
import { contradiction } from './contradiction.ts'
import { above, choice, clipWidth, type OptionRule, type OptionRules } from './option-rules.ts'

const share: OptionRule<number> = {
  fallback: 1,
  parse: (value, where) => requireNumber(value, where, 0, 1),
}

/** Defaults and checks of a critic's options, documented at `CriticOptions`. */
export const CRITIC_OPTIONS: OptionRules<Required<CriticOptions>> = {
  valueModel: choice(['separate', 'shared'], 'separate'),
  gamma: share,
  gaeLambda: share,
  whitenAdvantages: { fallback: true, parse: requireFlag },
  valueClip: { fallback: 0.2, parse: clipWidth },
  valueCoefficient: { fallback: null, parse: above(0) },
  criticLearningRate: { fallback: null, parse: above(0) },
  criticWarmupSteps: { fallback: 0, parse: (value, where) => requireInteger(value, where, 0) },
}

/** Fills in what follows from the value model and refuses what it has no use for, with the reason. */
export function fitCritic(given: Required<CriticOptions>): Required<CriticOptions> {
  if (given.valueModel === 'separate') {
    if (given.valueCoefficient !== null) {
      const why = "valueModel 'separate' has an optimiser of its own: its loss stands beside no other"
      throw contradiction('valueCoefficient', given.valueCoefficient, why)
    }
    return { ...given, criticLearningRate: given.criticLearningRate ?? 1e-5 }
  }
  const why = "valueModel 'shared' learns with the policy, in one step"
  if (given.criticLearningRate !== null) {
    throw contradiction('criticLearningRate', given.criticLearningRate, why)
  }
  if (given.criticWarmupSteps !== 0) {
    throw contradiction('criticWarmupSteps', given.criticWarmupSteps, why)
  }
  return { ...given, valueCoefficient: given.valueCoefficient ?? 0.1 }
}
