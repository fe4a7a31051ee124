/** As many digits as a figure of a bench may claim. */
export function significant(value: number): number {
  return Number(value.toPrecision(4))
}
