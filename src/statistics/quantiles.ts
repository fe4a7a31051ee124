/** The value that `share` of the values lie below, between two values by their distances. */
export function quantileOf(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort()
  const position = share * (sorted.length - 1)
  const below = Math.floor(position)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below]! + (position - below) * (sorted[above]! - sorted[below]!)
}

export function medianOf(values: ArrayLike<number>): number {
  return quantileOf(values, 0.5)
}
