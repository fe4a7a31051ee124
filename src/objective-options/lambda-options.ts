import type { OptionsOf } from '../objective-options.ts'
import { contradiction } from './contradiction.ts'
import type { BatchShape } from './reconcile.ts'

/** Refuses settings of lambda's schedule that are missing, or that no schedule of the kind has; gives them back as they are. */
export function fitLambda(
  options: Required<OptionsOf<'w-reinforce'>>,
  given: Readonly<Record<string, unknown>>,
  shape: BatchShape | undefined,
): Required<OptionsOf<'w-reinforce'>> {
  const { lambdaSchedule: schedule, lambda, lambdaMin, lambdaMax } = options
  const moves = schedule === 'linear' || schedule === 'cosine'
  const adapts = schedule === 'adaptive'
  if (schedule !== 'constant' && shape === undefined) {
    const why = 'it goes by the steps of a run, and there is none: give the lambda of the step'
    throw contradiction('lambdaSchedule', schedule, why)
  }
  if (moves !== (options.lambdaFinal !== null)) {
    const why = moves
      ? `schedule '${schedule}' goes from lambda to lambdaFinal`
      : `schedule '${schedule}' goes to no last value`
    throw contradiction('lambdaFinal', options.lambdaFinal, why)
  }
  if (adapts !== (options.targetEntropy !== null)) {
    const why = adapts
      ? 'the adaptive schedule needs an entropy to hold'
      : `schedule '${schedule}' holds no entropy`
    throw contradiction('targetEntropy', options.targetEntropy, why)
  }
  const defaults = { lambdaRate: 0.1, lambdaMin: 0, lambdaMax: 1 }
  for (const name of ['lambdaRate', 'lambdaMin', 'lambdaMax'] as const) {
    if (!adapts && given[name] !== undefined && options[name] !== defaults[name]) {
      throw contradiction(name, options[name], `schedule '${schedule}' does not adapt lambda`)
    }
  }
  if (adapts && !(lambdaMin <= lambda && lambda <= lambdaMax)) {
    throw contradiction(
      'lambda',
      lambda,
      `it must begin between lambdaMin ${lambdaMin} and lambdaMax ${lambdaMax}`,
    )
  }
  return options
}
