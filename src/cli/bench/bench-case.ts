import type { BenchRow } from './bench-row.ts'
import type { BenchBackend } from './model-shapes.ts'
import type { Timing } from './time-runs.ts'

/** How everything is measured in one run of the bench. */
export interface BenchSetup {
  backend: BenchBackend
  timing: Timing
  /** Sizes that take no time: for trying the bench out, never for figures. */
  isQuick: boolean
  /** Told what is left out, and why. */
  onSkipped: (line: string) => void
}

/** One thing to measure; gives one row or several, as they come. */
export interface BenchCase {
  /** What `--cases` knows it by: the kind, a slash, and what. */
  name: string
  run(setup: BenchSetup): AsyncGenerator<BenchRow, void, void>
}

/** What a `coppice bench KIND` measures. */
export interface BenchKind {
  describe: string
  /** Asked for when they are needed: some know their cases from the addon alone. */
  cases(): readonly BenchCase[]
}
