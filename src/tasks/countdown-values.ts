/**
 * Every value that countdown's steps can make from all of `numbers` (each used once; sums, products and differences
 * that stay between 0 and `maxValue`), in rising order.
 */
export function reachableValues(numbers: readonly number[], maxValue: number): number[] {
  const full = 2 ** numbers.length - 1
  // reachable[subset]: the values that the numbers of that subset can make; smaller subsets have smaller indices.
  const reachable: number[][] = [[]]
  for (let subset = 1; subset <= full; subset++) {
    const found = new Uint8Array(maxValue + 1)
    if ((subset & (subset - 1)) === 0) found[numbers[31 - Math.clz32(subset)]!] = 1
    // Every split into two parts, once: the part with the subset's lowest number counts as the first.
    const lowest = subset & -subset
    for (let part = (subset - 1) & subset; part > 0; part = (part - 1) & subset) {
      if ((part & lowest) === 0) continue
      for (const a of reachable[part]!) {
        for (const b of reachable[subset ^ part]!) {
          if (a + b <= maxValue) found[a + b] = 1
          if (a * b <= maxValue) found[a * b] = 1
          found[Math.abs(a - b)] = 1
        }
      }
    }
    const values: number[] = []
    for (let value = 0; value <= maxValue; value++) if (found[value] === 1) values.push(value)
    reachable.push(values)
  }
  return reachable[full]!
}
