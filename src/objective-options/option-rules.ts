import { invalidArgument } from '../errors.ts'
import type { ResolvedOptions } from '../objective-options.ts'
import { requireFlag, requireNumber, requireOneOf } from '../options.ts'

/** The default of an option and the check that every given value passes. */
export interface OptionRule<T> {
  readonly fallback: T
  readonly parse: (value: unknown, where: string) => T
}

export type OptionRules<T> = { readonly [N in keyof T]-?: OptionRule<T[N]> }

const nonNegative = (value: unknown, where: string): number => requireNumber(value, where, 0)

/** A bound that may be switched off; Infinity means off, too, but only null survives JSON. */
export function clipWidth(value: unknown, where: string): number | null {
  if (value === null || value === Number.POSITIVE_INFINITY) return null
  return requireNumber(value, where, 0)
}

export function above(bound: number): (value: unknown, where: string) => number | null {
  return (value, where) => {
    if (value === null) return null
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= bound) {
      throw invalidArgument(where, `a number greater than ${bound}, or null`, value)
    }
    return value
  }
}

export function choice<const T extends string>(allowed: readonly T[], fallback: NoInfer<T>): OptionRule<T> {
  return { fallback, parse: (value, where) => requireOneOf(value, where, allowed) }
}

export function atLeastZero(fallback: number): OptionRule<number> {
  return { fallback, parse: nonNegative }
}

/** A number of at least 0 that may be absent. */
export const optional: OptionRule<number | null> = {
  fallback: null,
  parse: (value, where) => (value === null ? null : nonNegative(value, where)),
}

/** From 0 to 1. */
export function share(fallback: number): OptionRule<number> {
  return { fallback, parse: (value, where) => requireNumber(value, where, 0, 1) }
}

/** The common options: defaults and checks. Documented at `ObjectiveOptions`. */
export const COMMON_OPTIONS: OptionRules<ResolvedOptions> = {
  epsilon: { fallback: 0.2, parse: clipWidth },
  epsilonHigh: { fallback: 0.2, parse: clipWidth },
  delta: { fallback: null, parse: above(1) },
  importanceSamplingLevel: choice(['token', 'sequence', 'sequence-token', 'none'], 'token'),
  surrogate: choice(['clip', 'cispo', 'gmpo', 'sapo', 'topr'], 'clip'),
  sapoTemperaturePos: { fallback: null, parse: above(0) },
  sapoTemperatureNeg: { fallback: null, parse: above(0) },
  beta: atLeastZero(0),
  klKind: choice(['k1', 'k2', 'k3'], 'k3'),
  klIn: choice(['loss', 'reward'], 'loss'),
  entropyCoefficient: atLeastZero(0),
  scaleRewards: choice(['group', 'batch', 'none'], 'none'),
  aggregation: choice(
    ['token-mean', 'sequence-mean-token-mean', 'sequence-mean-token-sum', 'constant'],
    'token-mean',
  ),
  constant: { fallback: null, parse: above(0) },
  filterGroups: choice(['none', 'constant'], 'none'),
  importanceCorrection: choice(
    ['none', 'token-truncate', 'token-mask', 'sequence-truncate', 'sequence-mask', 'sequence-geometric-mask'],
    'none',
  ),
  importanceCorrectionMin: { fallback: null, parse: clipWidth },
  importanceCorrectionMax: { fallback: null, parse: above(0) },
  maskTruncatedCompletions: { fallback: false, parse: requireFlag },
  unparsed: choice(['wrong', 'mask'], 'wrong'),
  timedOut: choice(['wrong', 'mask'], 'mask'),
}

/** Fills `rules` from what was given, then from `defaults`, then from the rules' own fallback. */
export function fillOptions<T extends object>(
  rules: OptionRules<T>,
  given: Record<string, unknown>,
  defaults: Partial<T>,
): T {
  const filled: Partial<T> = {}
  for (const name of Object.keys(rules) as (keyof T & string)[]) {
    const value = given[name]
    if (value !== undefined) filled[name] = rules[name].parse(value, `objective.${name}`)
    else filled[name] = name in defaults ? (defaults[name] as T[typeof name]) : rules[name].fallback
  }
  return filled as T
}
