import type { ResolvedObjective } from '../objective-options.ts'

/**
 * lambda of `w-reinforce` from step to step. Of the adaptive one the current value is state: it is kept in the run's checkpoints,
 * so that a resumed run goes on with the bits that the uninterrupted one has.
 */
export class LambdaSchedule {
  readonly #objective: ResolvedObjective
  readonly #steps: number
  #adapted: number | undefined

  /** @param adapted where an adaptive lambda stands after the steps that are done; absent before the first */
  constructor(objective: ResolvedObjective, steps: number, adapted?: number) {
    this.#objective = objective
    this.#steps = steps
    if (objective.kind === 'w-reinforce' && objective.lambdaSchedule === 'adaptive') {
      this.#adapted = adapted ?? objective.lambda
    }
  }

  /** What a checkpoint keeps; undefined where lambda follows from the step. */
  get state(): number | undefined {
    return this.#adapted
  }

  /** The objective as it holds in a step (from 1), and the metric `lambda` where it is not the same in all. */
  at(step: number): { objective: ResolvedObjective; metrics: Record<string, number> } {
    const objective = this.#objective
    if (objective.kind !== 'w-reinforce' || objective.lambdaSchedule === 'constant') {
      return { objective, metrics: {} }
    }
    const lambda = this.#adapted ?? scheduledLambda(step, this.#steps, objective)
    return { objective: { ...objective, lambda }, metrics: { lambda } }
  }

  /** Takes what the step's rollouts had as entropy, in nats a token, and moves an adaptive lambda for the next step. */
  observe(entropy: number): void {
    if (this.#adapted === undefined || this.#objective.kind !== 'w-reinforce') return
    const { lambdaRate, targetEntropy, lambdaMin, lambdaMax } = this.#objective
    const moved = this.#adapted + lambdaRate * (entropy - targetEntropy!)
    this.#adapted = Math.min(Math.max(moved, lambdaMin), lambdaMax)
  }
}

/** `lambda` in the first step, `lambdaFinal` in the last. */
function scheduledLambda(
  step: number,
  steps: number,
  { lambda, lambdaFinal, lambdaSchedule }: Extract<ResolvedObjective, { kind: 'w-reinforce' }>,
): number {
  const passed = (step - 1) / Math.max(1, steps - 1)
  const share = lambdaSchedule === 'linear' ? passed : (1 - Math.cos(Math.PI * passed)) / 2
  return lambda + share * (lambdaFinal! - lambda)
}
