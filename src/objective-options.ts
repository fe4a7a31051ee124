import { CoppiceError, invalidArgument } from './errors.ts'
import { requireNumber, requireOneOf } from './options.ts'

// Every option of an objective, with its meaning, default and source. Which rows an objective keeps and what advantage
// it gives them is in objectives.ts; the formula that turns advantages into a loss is policy_loss in native/ops/ops.h.

/** What is learnt from a batch of graded rollouts. "Right" is the verdict; where there is none, reward > 0. See `ObjectiveOptions.unparsed`. */
export type Objective =
  /** Positive sample reinforcement (arXiv 2506.01347): only right completions are kept, advantage +1. */
  | { kind: 'psr' }
  /**
   * Negative sample reinforcement (arXiv 2506.01347): only wrong completions are kept, advantage -1. The right ones are
   * dropped before the update, so that the token mean is over the wrong ones; that is not the same as advantage 0.
   */
  | { kind: 'nsr' }
  /** Weighted REINFORCE (arXiv 2506.01347): every completion is kept, right ones at +lambda, wrong ones at -1. */
  | {
      kind: 'w-reinforce'
      /**
       * Advantage of a right completion, >= 0. Default 0.1, the paper's. At 1 it is REINFORCE with rewards of +1 and -1
       * under a ratio clip; at 0 it is not nsr, since the right completions still count in the token mean.
       */
      lambda?: number
    }
  /** REINFORCE (Williams, 1992) without a baseline: the gradient is that of advantage * log-prob, with no ratio. */
  | {
      kind: 'reinforce'
      /**
       * The advantage: `given` (default) takes the verifier's number, `signed` +1 for a right and -1 for a wrong
       * completion. With rewards of 0 and 1, `given` leaves the wrong ones without a gradient.
       */
      rewards?: 'given' | 'signed'
    }
  /** Group relative policy optimisation (arXiv 2402.03300, eq. 3): (reward - group mean) / (std + stdEpsilon). */
  | {
      kind: 'grpo'
      /**
       * `sample` (default) divides the squared deviations by n - 1 (Bessel), as TRL's and verl's torch.std does;
       * `population` divides them by n.
       */
      std?: 'sample' | 'population'
      /** Added to the standard deviation. Default 1e-4, as in TRL; verl has 1e-6. */
      stdEpsilon?: number
    }

export type ObjectiveKind = Objective['kind']

/** Options of every objective. An objective may have another default than the one given here; its rule says so. */
export interface ObjectiveOptions {
  /**
   * Lower clip of the ratio rho = exp(log-prob - old log-prob) at 1 - epsilon (PPO, arXiv 1707.06347, eq. 7). Default 0.2.
   * null or Infinity: no lower clip.
   */
  epsilon?: number | null
  /** Upper clip at 1 + epsilonHigh ("clip-higher" of DAPO, arXiv 2503.14476, section 3.1). Default: epsilon. null: none. */
  epsilonHigh?: number | null
  /**
   * Dual clip (arXiv 1912.09729): where the advantage is negative the loss of a token is at most delta * |advantage|.
   * More than 1. Default null: off, as in the released code of arXiv 2506.01347. TRL's name.
   */
  delta?: number | null
  /**
   * `token` (default): a ratio for each token. `sequence`: one ratio for a completion, exp of the mean log-ratio
   * (GSPO, arXiv 2507.18071). `none`: no ratio, the loss is -advantage * log-prob; nothing is clipped then.
   */
  importanceSamplingLevel?: 'token' | 'sequence' | 'none'
  /** Weight of the KL divergence from the reference policy in the loss. Default 0: no reference policy is needed. */
  beta?: number
  /**
   * Estimator of that divergence from d = reference log-prob - log-prob (Schulman, 2020): `k1` = -d, `k2` = d^2 / 2,
   * `k3` = exp(d) - d - 1. Default k3, GRPO's. As a loss, k1 has an expected gradient of zero on-policy.
   */
  klKind?: 'k1' | 'k2' | 'k3'
  /** Weight of the entropy bonus, >= 0. Default 0; the paper states 1e-4, its released code has 1e-3. */
  entropyCoefficient?: number
  /**
   * What a group-relative advantage is divided by: the standard deviation of its `group` or of the whole `batch`'s
   * rewards (TRL's two), or `none` (Dr. GRPO, arXiv 2503.20783). Default `group` for grpo. The other objectives know only `none`:
   * to whiten a constant would give 0.
   */
  scaleRewards?: 'group' | 'batch' | 'none'
  /**
   * How the tokens' losses are joined, with |o_i| the active tokens of completion i and n the completions that have any,
   * all of them counted over the whole optimiser batch:
   * `token-mean` (default): sum / sum_i |o_i| (DAPO, arXiv 2503.14476, section 3.3);
   * `sequence-mean-token-mean`: (1/n) sum_i (sum_t / |o_i|) (GRPO, arXiv 2402.03300, eq. 3);
   * `sequence-mean-token-sum`: (1/n) sum_i sum_t;
   * `constant`: sum / constant (Dr. GRPO, arXiv 2503.20783).
   */
  aggregation?: 'token-mean' | 'sequence-mean-token-mean' | 'sequence-mean-token-sum' | 'constant'
  /** The divisor of aggregation `constant`, > 0: for Dr. GRPO completions per optimiser batch times maximum length. */
  constant?: number | null
  /**
   * Leave completions that did not finish (finish reason other than `stop`) out of the update, as DAPO and TRL do; their
   * rewards still count in the group's mean and standard deviation. Default false.
   */
  maskTruncatedCompletions?: boolean
  /**
   * Completions in which the verifier found no answer: `wrong` (default, as in the paper's code) whatever their reward is,
   * or `mask`: they take no part, neither in the update nor in a group's statistics.
   */
  unparsed?: 'wrong' | 'mask'
  /** The same for completions on which the verifier ran out of time. Default `mask`. A reward of null always masks. */
  timedOut?: 'wrong' | 'mask'
}

/** An objective with its options in one object, as users write it. */
export type ObjectiveSpec = Objective & ObjectiveOptions

export type OptionsOf<K extends ObjectiveKind> = Omit<Extract<Objective, { kind: K }>, 'kind'>
export type ResolvedOptions = Required<ObjectiveOptions>
/** One kind of objective with every option present. */
export type ResolvedOf<K extends ObjectiveKind> = { kind: K } & Required<OptionsOf<K>> & ResolvedOptions
/** An objective with every option present. Survives JSON, and resolves to itself. */
export type ResolvedObjective = { [K in ObjectiveKind]: ResolvedOf<K> }[ObjectiveKind]

/** The default of an option and the check that every given value passes. */
export interface OptionRule<T> {
  readonly fallback: T
  readonly parse: (value: unknown, where: string) => T
}

export type OptionRules<T> = { readonly [N in keyof T]-?: OptionRule<T[N]> }

const nonNegative = (value: unknown, where: string): number => requireNumber(value, where, 0)

/** A bound that may be switched off; Infinity means off, too, but only null survives JSON. */
function clipWidth(value: unknown, where: string): number | null {
  if (value === null || value === Number.POSITIVE_INFINITY) return null
  return requireNumber(value, where, 0)
}

function above(bound: number): (value: unknown, where: string) => number | null {
  return (value, where) => {
    if (value === null) return null
    if (typeof value !== 'number' || !Number.isFinite(value) || value <= bound) {
      throw invalidArgument(where, `a number greater than ${bound}, or null`, value)
    }
    return value
  }
}

function flag(value: unknown, where: string): boolean {
  if (typeof value !== 'boolean') throw invalidArgument(where, 'true or false', value)
  return value
}

export function choice<const T extends string>(allowed: readonly T[], fallback: NoInfer<T>): OptionRule<T> {
  return { fallback, parse: (value, where) => requireOneOf(value, where, allowed) }
}

export function atLeastZero(fallback: number): OptionRule<number> {
  return { fallback, parse: nonNegative }
}

/** The common options: defaults and checks. Documented at `ObjectiveOptions`. */
export const COMMON_OPTIONS: OptionRules<ResolvedOptions> = {
  epsilon: { fallback: 0.2, parse: clipWidth },
  epsilonHigh: { fallback: 0.2, parse: clipWidth },
  delta: { fallback: null, parse: above(1) },
  importanceSamplingLevel: choice(['token', 'sequence', 'none'], 'token'),
  beta: atLeastZero(0),
  klKind: choice(['k1', 'k2', 'k3'], 'k3'),
  entropyCoefficient: atLeastZero(0),
  scaleRewards: choice(['group', 'batch', 'none'], 'none'),
  aggregation: choice(
    ['token-mean', 'sequence-mean-token-mean', 'sequence-mean-token-sum', 'constant'],
    'token-mean',
  ),
  constant: { fallback: null, parse: above(0) },
  maskTruncatedCompletions: { fallback: false, parse: flag },
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

/**
 * Couples the options that depend on one another and refuses those that contradict, with the reason.
 * `given` is what the caller wrote, `scalesRewards` whether the objective divides advantages by a deviation.
 */
export function reconcile(
  options: ResolvedOptions,
  given: ObjectiveSpec,
  defaults: Partial<ResolvedOptions>,
  scalesRewards: boolean,
): ResolvedOptions {
  const result = { ...options }
  if (given.epsilonHigh === undefined && defaults.epsilonHigh === undefined)
    result.epsilonHigh = result.epsilon
  if (result.importanceSamplingLevel === 'none') {
    for (const name of ['epsilon', 'epsilonHigh', 'delta'] as const) {
      if (given[name] != null && given[name] !== Number.POSITIVE_INFINITY) {
        throw contradiction(name, given[name], "importanceSamplingLevel 'none' has no ratio to clip")
      }
      result[name] = null
    }
  }
  if (result.aggregation === 'constant' && result.constant === null) {
    throw contradiction('aggregation', 'constant', "the divisor is missing: give 'constant'")
  }
  if (result.aggregation !== 'constant' && result.constant !== null) {
    throw contradiction(
      'constant',
      result.constant,
      `aggregation '${result.aggregation}' does not divide by it`,
    )
  }
  if (!scalesRewards && result.scaleRewards !== 'none') {
    throw contradiction(
      'scaleRewards',
      result.scaleRewards,
      `'${given.kind}' takes its advantages as they are (to whiten a constant would give 0)`,
    )
  }
  return result
}

function contradiction(name: string, value: unknown, reason: string): CoppiceError {
  return new CoppiceError('INVALID_ARGUMENT', `${JSON.stringify(value)} cannot be: ${reason}`, {
    where: `objective.${name}`,
  })
}
