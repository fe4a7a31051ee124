import { CoppiceError, invalidArgument } from '../errors.ts'
import { requireInteger } from '../options.ts'
import { type BootstrapOptions, bootstrapMeans, type PassAtKTable } from './bootstrap.ts'
import { passAtK, type RightCount } from './pass-at-k.ts'

/** The ks that a table has when none are asked for: 1, 2, 4 ... below n, and n itself. */
export function powersOfTwoUpTo(n: number): number[] {
  requireInteger(n, 'n', 1)
  const ks: number[] = []
  for (let k = 1; k < n; k *= 2) ks.push(k)
  ks.push(n)
  return ks
}

/**
 * Mean pass@k over prompts with a bootstrap interval over prompts, for each k; the content of passk.json.
 *
 * @param rightCounts one entry a prompt
 * @param ks 1 or more, none larger than any prompt's n; by default 1, 2, 4 ... and the smallest n
 * @throws CoppiceError INVALID_ARGUMENT, naming the prompt's index, for counts or ks that make no sense
 */
export function passAtKTable(
  rightCounts: readonly RightCount[],
  ks?: readonly number[],
  options: BootstrapOptions = {},
): PassAtKTable {
  return passAtKTableOverSeeds([rightCounts], ks, options)
}

/**
 * The same for a method trained with several seeds and evaluated on the same prompts: each prompt's pass@k is averaged
 * over the seeds before prompts are resampled. The interval is over prompts, given these trained policies; how far
 * apart the seeds lie is another question, which the seeds' own tables answer.
 *
 * @param seeds one list of counts a seed, all of the same prompts in the same order
 */
export function passAtKTableOverSeeds(
  seeds: readonly (readonly RightCount[])[],
  ks?: readonly number[],
  options: BootstrapOptions = {},
): PassAtKTable {
  const known = resolveKs(ks, seeds)
  return tableOf(known, bootstrapMeans(meanColumns(seeds, known), options))
}

/**
 * Paired differences in pass@k between two methods on the same prompts, `a - b`, for each k, with a bootstrap interval
 * of the mean difference over prompts. Pairing removes what the prompts' difficulty adds to both.
 *
 * @param a one list of counts a seed (several seeds are averaged prompt by prompt first)
 * @param b the same for the other method; the number of seeds may differ, the prompts and their order may not
 * @throws CoppiceError SHAPE_MISMATCH if the methods were not evaluated on equally many prompts
 */
export function pairedDifferenceTable(
  a: readonly (readonly RightCount[])[],
  b: readonly (readonly RightCount[])[],
  ks?: readonly number[],
  options: BootstrapOptions = {},
): PassAtKTable {
  const known = resolveKs(ks, [...a, ...b])
  const columnsA = meanColumns(a, known)
  const columnsB = meanColumns(b, known)
  const differences = columnsA.map((column, j) => column.map((value, i) => value - columnsB[j]![i]!))
  return tableOf(known, bootstrapMeans(differences, options))
}

function tableOf(ks: readonly number[], intervals: readonly PassAtKTable[string][]): PassAtKTable {
  return Object.fromEntries(ks.map((k, j) => [String(k), intervals[j]!]))
}

/** Checks that every seed has the same prompts and that each k can be had from every prompt; finds the default ks. */
export function resolveKs(
  ks: readonly number[] | undefined,
  seeds: readonly (readonly RightCount[])[],
): number[] {
  const prompts = seeds[0]?.length ?? 0
  if (prompts === 0)
    throw invalidArgument('right counts', 'at least one seed with at least one prompt', seeds[0])
  let smallest = Number.POSITIVE_INFINITY
  seeds.forEach((counts, seed) => {
    if (counts.length !== prompts) {
      throw new CoppiceError('SHAPE_MISMATCH', 'prompts differ', {
        where: `right counts, list ${seed}`,
        expected: `${prompts} prompts`,
        received: String(counts.length),
      })
    }
    counts.forEach(({ n, c }, prompt) => {
      const where = `right counts, list ${seed}, prompt ${prompt}`
      requireInteger(n, `${where}, n`, 1)
      requireInteger(c, `${where}, c`, 0, n)
      smallest = Math.min(smallest, n)
    })
  })
  if (ks === undefined) return powersOfTwoUpTo(smallest)
  if (ks.length === 0) throw invalidArgument('ks', 'at least one k', ks)
  for (const k of ks) requireInteger(k, 'k', 1, smallest)
  return [...new Set(ks)].sort((a, b) => a - b)
}

/** Per-prompt pass@k averaged over the seeds: one Float64Array [prompts] for each k. */
function meanColumns(seeds: readonly (readonly RightCount[])[], ks: readonly number[]): Float64Array[] {
  const prompts = seeds[0]!.length
  return ks.map((k) => {
    const column = new Float64Array(prompts)
    for (const counts of seeds) {
      for (let i = 0; i < prompts; i++) column[i]! += passAtK(counts[i]!.n, counts[i]!.c, k)
    }
    return column.map((sum) => sum / seeds.length)
  })
}
