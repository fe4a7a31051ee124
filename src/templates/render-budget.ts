/** Limits of one rendering. They are counted, not timed: what one machine renders, every machine renders. */
export interface RenderLimits {
  /** Nodes of the template that may be evaluated, loops and macros unrolled. */
  steps: number
  /** Characters and list entries that may be made in all: the bound of memory and of the work inside one step. */
  size: number
  /** Characters, or list entries in all depths, of one value. */
  valueSize: number
  /** How deep evaluation may nest: blocks, expressions, macros that call macros. */
  depth: number
}

export const RENDER_LIMITS: Readonly<RenderLimits> = {
  steps: 2_000_000,
  size: 64_000_000,
  valueSize: 2_000_000,
  depth: 400,
}

/** A template that wants more than a rendering may use. */
export class RenderLimitError extends Error {}

/** Counts what one rendering uses. */
export class RenderBudget {
  #steps = 0
  #size = 0
  #depth = 0
  readonly #limits: RenderLimits

  constructor(limits: RenderLimits) {
    this.#limits = limits
  }

  step(count = 1): void {
    this.#steps += count
    if (this.#steps > this.#limits.steps) {
      throw new RenderLimitError(`takes more than ${this.#limits.steps} steps`)
    }
  }

  requireSize(size: number): void {
    if (size > this.#limits.valueSize) {
      throw new RenderLimitError(`makes a value of more than ${this.#limits.valueSize} characters or entries`)
    }
  }

  /** Before or after a value of this size is made. */
  make(size: number): void {
    this.requireSize(size)
    this.spend(size)
  }

  /** For what is made beside the value itself. */
  spend(size: number): void {
    this.#size += size
    if (this.#size > this.#limits.size) {
      throw new RenderLimitError(`makes more than ${this.#limits.size} characters and entries in all`)
    }
  }

  enter(): void {
    if (++this.#depth > this.#limits.depth) {
      throw new RenderLimitError(`nests deeper than ${this.#limits.depth}`)
    }
  }

  leave(): void {
    this.#depth--
  }
}
