import { compareMethods, type MethodComparison } from '../statistics/compare-methods.ts'
import type { ReportData, ReportSet } from './report-data.ts'

/** A held-out set with everything that the report computes from its counts. */
export interface SetAnalysis {
  set: ReportSet
  prompts: number
  /** Samples a prompt; the smallest and largest if they differ. */
  samples: [smallest: number, largest: number]
  comparison: MethodComparison
  /**
   * For each pair of `comparison.differences` and each k: whether the sign of the mean difference is the same in
   * every seed that both methods have; null where there are fewer than two such seeds.
   */
  sameSignInAllSeeds: (boolean | null)[][]
}

/** Computes tables and paired differences for every held-out set. */
export function analyseSets(data: ReportData): SetAnalysis[] {
  return data.sets.map((set) => {
    const counts = data.methods.map((method) =>
      method.runs.map((run) => run.evaluations[set.name]!.right_counts),
    )
    const all = counts.flat(2).map(({ n }) => n)
    const comparison = compareMethods(counts, undefined, data.bootstrap ?? {})
    return {
      set,
      prompts: counts[0]![0]!.length,
      samples: [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))],
      comparison,
      sameSignInAllSeeds: comparison.differences.map(({ a, b }) =>
        comparison.ks.map((k) => sameSign(seedDifferences(data, comparison, a, b, k))),
      ),
    }
  })
}

/** Mean difference a - b in each seed that both have; a policy with a single run (the base) is met in every seed. */
function seedDifferences(
  data: ReportData,
  comparison: MethodComparison,
  a: number,
  b: number,
  k: number,
): number[] {
  const runsA = data.methods[a]!.runs
  const runsB = data.methods[b]!.runs
  const meanOf = (method: number, run: number) => comparison.seedTables[method]![run]![k]!.mean
  const pairs = runsA.flatMap((runA, i) =>
    runsB.flatMap((runB, j) =>
      runA.seed === runB.seed || runsA.length === 1 || runsB.length === 1
        ? [meanOf(a, i) - meanOf(b, j)]
        : [],
    ),
  )
  return pairs
}

function sameSign(differences: readonly number[]): boolean | null {
  if (differences.length < 2) return null
  return differences.every((d) => d > 0) || differences.every((d) => d < 0)
}
