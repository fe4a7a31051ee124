import { CoppiceError, invalidArgument } from '../errors.ts'
import { refuseUnknownKeys, requireInteger, requireNumber } from '../options.ts'
import { philox4x32 } from './philox.ts'

export interface BootstrapOptions {
  /** Resamples drawn; default 10,000. */
  resamples?: number
  /** Seed of the resampling, a whole number; the same seed gives the same interval on every machine. Default 0. */
  seed?: number
  /** Confidence level, between 0 and 1; default 0.95. */
  level?: number
}

/** A mean with its bootstrap interval, in the unit of the values. */
export interface MeanInterval {
  mean: number
  low: number
  high: number
}

/** Intervals by k, as in passk.json: `{ "1": { mean, low, high }, "2": ... }`, fractions from 0 to 1. */
export type PassAtKTable = Record<string, MeanInterval>

/** Adds the defaults and refuses what is not a bootstrap option. */
export function resolveBootstrap(options: BootstrapOptions): Required<BootstrapOptions> {
  refuseUnknownKeys(options, ['resamples', 'seed', 'level'], 'bootstrap options')
  const { resamples = 10_000, seed = 0, level = 0.95 } = options
  requireInteger(resamples, 'bootstrap resamples', 1, 2 ** 31 - 1)
  requireInteger(seed, 'bootstrap seed', 0)
  requireNumber(level, 'bootstrap level', 0, 1)
  if (level === 0 || level === 1) throw invalidArgument('bootstrap level', 'a number between 0 and 1', level)
  return { resamples, seed, level }
}

/**
 * Means of several columns over the same units (prompts), each with a percentile bootstrap interval (Efron and
 * Tibshirani 1993, chapter 13): units are drawn with replacement, a whole row at a time, so that the columns'
 * intervals rest on the same resamples; the interval's ends are the (1 - level)/2 and (1 + level)/2 quantiles of the
 * resampled means, interpolated linearly.
 *
 * The interval speaks of the choice of units only. It has no width where all units agree (every prompt solved), and
 * it covers somewhat less than its level when there are few units.
 *
 * @param columns one array a column, one value a unit, all of the same length (1 or more), all finite
 * @throws CoppiceError INVALID_ARGUMENT, SHAPE_MISMATCH (columns of different lengths) or NON_FINITE
 */
export function bootstrapMeans(
  columns: readonly ArrayLike<number>[],
  options: BootstrapOptions = {},
): MeanInterval[] {
  const { level } = resolveBootstrap(options)
  const { means, resampled } = resampleMeans(columns, options)
  return means.map((mean, j) => percentileInterval(mean, resampled[j]!, level))
}

/**
 * The columns' means and the means of their resamples, [columns] and [columns][resamples] in the order drawn: for
 * figures that combine columns (a difference, an average) before the interval is taken.
 */
export function resampleMeans(
  columns: readonly ArrayLike<number>[],
  options: BootstrapOptions = {},
): { means: number[]; resampled: Float64Array[] } {
  const { resamples, seed } = resolveBootstrap(options)
  const units = columns[0]?.length ?? 0
  if (columns.length > 0) requireInteger(units, 'bootstrap units', 1, 2 ** 31 - 1)
  const rows = toRows(columns, units)
  const width = columns.length
  const resampled = Array.from(columns, () => new Float64Array(resamples))
  const draw = unitDrawer(seed, units)
  const sums = new Float64Array(width)
  for (let resample = 0; resample < resamples; resample++) {
    sums.fill(0)
    for (let i = 0; i < units; i++) {
      const row = draw(resample, i) * width
      for (let j = 0; j < width; j++) sums[j]! += rows[row + j]!
    }
    for (let j = 0; j < width; j++) resampled[j]![resample] = sums[j]! / units
  }
  sums.fill(0)
  for (let i = 0; i < rows.length; i++) sums[i % width]! += rows[i]!
  return { means: Array.from(sums, (sum) => sum / units), resampled }
}

/** The mean with the percentile interval of its resampled means, which may be in any order. */
export function percentileInterval(mean: number, resampled: Float64Array, level: number): MeanInterval {
  const sorted = resampled.slice().sort()
  return { mean, low: quantile(sorted, (1 - level) / 2), high: quantile(sorted, (1 + level) / 2) }
}

/** Columns side by side, [units x columns], so that a resampled unit is one contiguous read. */
function toRows(columns: readonly ArrayLike<number>[], units: number): Float64Array {
  const rows = new Float64Array(units * columns.length)
  columns.forEach((column, j) => {
    if (column.length !== units) {
      throw new CoppiceError('SHAPE_MISMATCH', 'columns differ in length', {
        where: `bootstrap column ${j}`,
        expected: `${units} values`,
        received: String(column.length),
      })
    }
    for (let i = 0; i < units; i++) {
      const value = column[i]
      if (typeof value !== 'number' || !Number.isFinite(value)) {
        throw new CoppiceError('NON_FINITE', 'not a finite number', {
          where: `bootstrap column ${j}, unit ${i}`,
          received: String(value),
        })
      }
      rows[i * columns.length + j] = value
    }
  })
  return rows
}

/** Draws unit numbers keyed by (seed, resample, position); positions of a resample must be asked for in order. */
function unitDrawer(seed: number, units: number): (resample: number, position: number) => number {
  const key = Uint32Array.of(seed % 2 ** 32, Math.floor(seed / 2 ** 32))
  const counter = new Uint32Array(4)
  const words = new Uint32Array(4)
  return (resample, position) => {
    if ((position & 3) === 0) {
      counter[0] = position >>> 2
      counter[1] = resample
      philox4x32(counter, key, words)
    }
    // Scaling a 32-bit word prefers some units by less than units / 2^32.
    return Math.floor((words[position & 3]! / 2 ** 32) * units)
  }
}

/** Quantile of sorted values with linear interpolation (type 7 of Hyndman and Fan 1996). */
function quantile(sorted: Float64Array, probability: number): number {
  const position = probability * (sorted.length - 1)
  const below = Math.floor(position)
  const above = Math.min(below + 1, sorted.length - 1)
  const low = sorted[below]!
  return low + (position - below) * (sorted[above]! - low)
}
