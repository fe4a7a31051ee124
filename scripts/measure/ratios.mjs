// What the measuring scripts reckon with.

/** The value below which `share` of the values lie, interpolated between neighbours; `values` need not be sorted. */
export function quantile(values, share) {
  if (values.length === 0) throw new RangeError('a quantile of no values')
  const sorted = Float64Array.from(values).sort()
  const place = share * (sorted.length - 1)
  const below = Math.floor(place)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below] + (place - below) * (sorted[above] - sorted[below])
}

export const median = (values) => quantile(values, 0.5)

/** By how many percent `now` is more than `before`. */
export function percentChange(now, before) {
  if (!(before > 0)) throw new RangeError(`a change from ${before} has no percentage`)
  return (100 * (now - before)) / before
}

/** `+1.23 %` */
export function signedPercent(percent) {
  return `${percent < 0 ? '' : '+'}${percent.toFixed(2)} %`
}

/** Which of two comes first, pair by pair: A B, B A, A B, ... so that a drift of the machine meets both alike. */
export function interleaved(pairs) {
  return Array.from({ length: pairs }, (_, pair) => (pair % 2 === 0 ? ['a', 'b'] : ['b', 'a']))
}

/** Median and spread of the pairs' ratios b / a. */
export function pairedRatios(a, b) {
  if (a.length !== b.length) throw new RangeError(`${a.length} values beside ${b.length}`)
  const ratios = a.map((value, i) => b[i] / value)
  return { p20: quantile(ratios, 0.2), p50: median(ratios), p80: quantile(ratios, 0.8) }
}

/**
 * What `threads` threads on `cores` cores lost beside a process that took `taken` cores: the share of their throughput, and the
 * share of their cores that was taken. Cores without a thread are taken first.
 */
export function sharedCoreLoss(alone, beside, taken, threads, cores) {
  const used = Math.min(threads, cores)
  return { lost: 1 - beside / alone, share: Math.max(0, taken - (cores - used)) / used }
}
