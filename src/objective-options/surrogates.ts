import type { ObjectiveOptions, ResolvedOptions } from '../objective-options.ts'
import { contradiction } from './contradiction.ts'

type Surrogate = ResolvedOptions['surrogate']
type Bound = 'epsilon' | 'epsilonHigh' | 'delta'

/** What a surrogate does with the options of the ratio. Formulas stand at `ObjectiveOptions.surrogate`. */
interface SurrogateRule {
  /** Where the surrogate's defaults are other than those of the objective. */
  defaults: Partial<Pick<ResolvedOptions, 'importanceSamplingLevel' | 'epsilon' | 'epsilonHigh'>>
  levels: readonly ResolvedOptions['importanceSamplingLevel'][]
  whyLevels: string
  bounds: readonly Bound[]
  whyBounds: string
}

const SURROGATES: { readonly [S in Surrogate]: SurrogateRule } = {
  clip: {
    defaults: {},
    levels: ['token', 'sequence', 'sequence-token', 'none'],
    whyLevels: '',
    bounds: ['epsilon', 'epsilonHigh', 'delta'],
    whyBounds: '',
  },
  cispo: {
    defaults: { importanceSamplingLevel: 'token', epsilon: null, epsilonHigh: 4 },
    levels: ['token', 'sequence'],
    whyLevels: 'weighs log-probs by a ratio that is a constant',
    bounds: ['epsilon', 'epsilonHigh'],
    whyBounds: 'cuts the ratio instead of the loss',
  },
  gmpo: {
    defaults: { importanceSamplingLevel: 'sequence', epsilon: 0.4 },
    levels: ['sequence'],
    whyLevels: 'is one mean for a completion',
    bounds: ['epsilon', 'epsilonHigh'],
    whyBounds: 'clips the log-ratios before their mean',
  },
  sapo: {
    defaults: { importanceSamplingLevel: 'token' },
    levels: ['token', 'sequence', 'sequence-token'],
    whyLevels: 'is a gate of the ratio',
    bounds: [],
    whyBounds: 'has a gate in place of the clip',
  },
  topr: {
    defaults: { importanceSamplingLevel: 'token' },
    levels: ['token', 'sequence'],
    whyLevels: 'weighs log-probs by a ratio that is a constant',
    bounds: [],
    whyBounds: 'cuts the ratio at 1 and nowhere else',
  },
}

/** The defaults of an objective under a surrogate that may not be the objective's own. */
export function withSurrogate(
  defaults: Partial<ResolvedOptions>,
  surrogate: Surrogate,
): Partial<ResolvedOptions> {
  if (surrogate === 'clip') return { ...defaults, surrogate }
  // The objective's clip is one of another loss.
  const { epsilon: _, epsilonHigh: __, ...rest } = defaults
  return { ...rest, ...SURROGATES[surrogate].defaults, surrogate }
}

/** Sets the options that a surrogate does not take to null and refuses them where they were given, with the reason. */
export function fitSurrogate(options: ResolvedOptions, given: ObjectiveOptions): void {
  const { surrogate, importanceSamplingLevel } = options
  const rule = SURROGATES[surrogate]
  if (!rule.levels.includes(importanceSamplingLevel)) {
    throw contradiction(
      'importanceSamplingLevel',
      importanceSamplingLevel,
      `surrogate '${surrogate}' ${rule.whyLevels}`,
    )
  }
  const hasRatio = importanceSamplingLevel !== 'none'
  const why = hasRatio
    ? `surrogate '${surrogate}' ${rule.whyBounds}`
    : "importanceSamplingLevel 'none' has no ratio to clip"
  for (const name of ['epsilon', 'epsilonHigh', 'delta'] as const) {
    if (hasRatio && rule.bounds.includes(name)) continue
    if (given[name] != null && given[name] !== Number.POSITIVE_INFINITY)
      throw contradiction(name, given[name], why)
    options[name] = null
  }
  if (surrogate === 'sapo') {
    options.sapoTemperaturePos ??= 1
    options.sapoTemperatureNeg ??= 1.05
    return
  }
  for (const name of ['sapoTemperaturePos', 'sapoTemperatureNeg'] as const) {
    if (options[name] !== null)
      throw contradiction(name, options[name], `surrogate '${surrogate}' has no gate`)
  }
}
