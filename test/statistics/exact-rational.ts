// Slow, exact references in big integers for the tests of statistics.

/** n! / (n - k)! and friends: the product of low, low + 1 ... high, as a balanced tree so that large cases finish. */
export function product(low: number, high: number): bigint {
  if (low > high) return 1n
  if (high - low < 8) {
    let result = 1n
    for (let i = low; i <= high; i++) result *= BigInt(i)
    return result
  }
  const middle = Math.floor((low + high) / 2)
  return product(low, middle) * product(middle + 1, high)
}

/** C(n, k). */
export function choose(n: number, k: number): bigint {
  if (k < 0 || k > n) return 0n
  return product(n - k + 1, n) / product(1, k)
}

/** The double nearest to numerator / denominator (ties to even), for 0 <= numerator <= denominator. */
export function nearestDouble(numerator: bigint, denominator: bigint): number {
  if (numerator === 0n) return 0
  let shift = denominator.toString(2).length - numerator.toString(2).length + 54
  let quotient = (numerator << BigInt(shift)) / denominator
  while (quotient < 1n << 53n) quotient = (numerator << BigInt(++shift)) / denominator
  while (quotient >= 1n << 54n) quotient = (numerator << BigInt(--shift)) / denominator
  // 54 bits: 53 kept and one to round by; whatever is left over breaks the tie.
  const exactHalf = numerator << BigInt(shift) === quotient * denominator
  const half = quotient & 1n
  let kept = quotient >> 1n
  if (half === 1n && (!exactHalf || (kept & 1n) === 1n)) kept++
  return Number(kept) * 2 ** (1 - shift)
}

/** pass@k by its definition, 1 - C(n-c, k) / C(n, k), as the nearest double. */
export function exactPassAtK(n: number, c: number, k: number): number {
  if (n - c < k) return 1
  // C(n-c, k) / C(n, k) with the factorials of k cancelled; by symmetry the shorter of the two products.
  const [few, many] = c < k ? [c, k] : [k, c]
  const denominator = product(n - few + 1, n)
  const numerator = product(n - many - few + 1, n - many)
  return nearestDouble(denominator - numerator, denominator)
}
