import type { CompareCase } from '../../../src/cli/bench-compare/cases.ts'
import type { MeasuredLine } from '../../../src/cli/bench-compare/contender-line.ts'

/** A product that takes no time. */
export const SMALL_PRODUCT: CompareCase = {
  ...{ name: 'op/small', kind: 'op', op: 'linear', shape: 'rows 2, cols 16, inner 8' },
  ...{ sizes: { rows: 2, cols: 16, inner: 8 }, tokens: 0, dtype: 'f32', threads: 1, seconds: 0 },
}

export function lineOf(contender: string, seconds: readonly number[], tokens = 0): MeasuredLine {
  const { op, shape, dtype, threads } = SMALL_PRODUCT
  return {
    ...{ contender, variant: 'plain', op, shape, dtype, threads, seconds, tokens },
    ...{ peak_rss_mib: 10, versions: { [contender]: '1.2' } },
  }
}
