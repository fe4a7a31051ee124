/** How a tabular policy takes a gradient. */
export type TabularOptimizer = { kind: 'adam'; learningRate: number } | { kind: 'sgd'; learningRate: number }

const BETA1 = 0.9
const BETA2 = 0.999
const EPSILON = 1e-8

/** Ascends: adds a step along the gradient. Adam as Kingma and Ba (2015) have it, without decay. */
export class GradientStep {
  readonly #optimizer: TabularOptimizer
  readonly #first: Float64Array
  readonly #second: Float64Array
  #step = 0

  constructor(optimizer: TabularOptimizer, size: number) {
    this.#optimizer = optimizer
    this.#first = new Float64Array(size)
    this.#second = new Float64Array(size)
  }

  apply(params: Float64Array, gradient: Float64Array): void {
    const { kind, learningRate } = this.#optimizer
    this.#step++
    const correction1 = 1 - BETA1 ** this.#step
    const correction2 = 1 - BETA2 ** this.#step
    for (let i = 0; i < params.length; i++) {
      const g = gradient[i]!
      if (kind === 'sgd') {
        params[i]! += learningRate * g
        continue
      }
      const first = BETA1 * this.#first[i]! + (1 - BETA1) * g
      const second = BETA2 * this.#second[i]! + (1 - BETA2) * g * g
      this.#first[i] = first
      this.#second[i] = second
      params[i]! += (learningRate * first) / correction1 / (Math.sqrt(second / correction2) + EPSILON)
    }
  }
}
