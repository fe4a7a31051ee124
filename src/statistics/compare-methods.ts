import { CoppiceError } from '../errors.ts'
import {
  type BootstrapOptions,
  type MeanInterval,
  type PassAtKTable,
  percentileInterval,
  resampleMeans,
  resolveBootstrap,
} from './bootstrap.ts'
import { passAtK, type RightCount } from './pass-at-k.ts'
import { resolveKs } from './pass-at-k-table.ts'

/** pass@k of several methods on the same prompts. */
export interface MethodComparison {
  ks: number[]
  /** One table a method, in the order given; as passAtKTableOverSeeds gives it. */
  tables: PassAtKTable[]
  /** One table a method and seed: [method][seed], intervals over prompts. */
  seedTables: PassAtKTable[][]
  /** Every pair of methods once, earlier minus later. */
  differences: MethodDifference[]
}

export interface MethodDifference {
  /** Index of the method that is subtracted from. */
  a: number
  /** Index of the method that is subtracted. */
  b: number
  /** Paired differences a - b with bootstrap intervals over prompts, by k. */
  table: PassAtKTable
}

/**
 * Compares methods prompt by prompt: every method's table, every pair's paired difference, all from one set of
 * resamples, so that the intervals belong together (and at the price of one bootstrap instead of one a pair).
 *
 * @param methods [method][seed][prompt]; the number of seeds may differ between methods, prompts and order may not
 * @param ks by default 1, 2, 4 ... and the smallest n
 */
export function compareMethods(
  methods: readonly (readonly (readonly RightCount[])[])[],
  ks?: readonly number[],
  options: BootstrapOptions = {},
): MethodComparison {
  methods.forEach((seeds, method) => {
    if (seeds.length > 0) return
    throw new CoppiceError('INVALID_ARGUMENT', 'no seeds', {
      where: `method ${method}`,
      expected: 'at least one seed',
    })
  })
  const known = resolveKs(ks, methods.flat())
  const { level } = resolveBootstrap(options)

  // One column a (method, seed, k); a method's column is the mean of its seeds' columns, in each resample too.
  const columns = methods.flatMap((seeds) =>
    seeds.flatMap((counts) => known.map((k) => Float64Array.from(counts, ({ n, c }) => passAtK(n, c, k)))),
  )
  const { means, resampled } = resampleMeans(columns, options)
  const { resamples } = resolveBootstrap(options)
  let next = 0
  const seedColumns = methods.map((seeds) =>
    seeds.map(() => known.map(() => ({ mean: means[next]!, resampled: resampled[next++]! }))),
  )
  const methodColumns = seedColumns.map((seeds) =>
    known.map((_, j) => {
      const sum: Column = { mean: 0, resampled: new Float64Array(resamples) }
      for (const seed of seeds) {
        sum.mean += seed[j]!.mean / seeds.length
        for (let r = 0; r < resamples; r++) sum.resampled[r]! += seed[j]!.resampled[r]! / seeds.length
      }
      return sum
    }),
  )

  const differences: MethodDifference[] = []
  for (let a = 0; a < methods.length; a++) {
    for (let b = a + 1; b < methods.length; b++) {
      const pair = known.map((_, j) => subtract(methodColumns[a]![j]!, methodColumns[b]![j]!))
      differences.push({ a, b, table: toTable(known, pair, level) })
    }
  }
  return {
    ks: known,
    tables: methodColumns.map((method) => toTable(known, method, level)),
    seedTables: seedColumns.map((seeds) => seeds.map((seed) => toTable(known, seed, level))),
    differences,
  }
}

/** Whether an interval of a difference leaves out 0, so that its sign can be told at the interval's level. */
export function excludesZero({ low, high }: MeanInterval): boolean {
  return low > 0 || high < 0
}

interface Column {
  mean: number
  /** Means of the resamples, in the order drawn. */
  resampled: Float64Array
}

function subtract(a: Column, b: Column): Column {
  return { mean: a.mean - b.mean, resampled: a.resampled.map((value, r) => value - b.resampled[r]!) }
}

function toTable(ks: readonly number[], columns: readonly Column[], level: number): PassAtKTable {
  return Object.fromEntries(
    ks.map((k, j) => [String(k), percentileInterval(columns[j]!.mean, columns[j]!.resampled, level)]),
  )
}
