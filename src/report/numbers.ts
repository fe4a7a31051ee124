// How the report writes numbers: a true minus sign, fixed digits so that columns align, no unit inside tables.

const MINUS = '\u2212'

/** A fraction as a percentage with one decimal and no sign: 0.3362 is `33.6`. */
export function percent(fraction: number): string {
  return (100 * fraction).toFixed(1).replace('-', MINUS)
}

/** A difference of fractions in percentage points, always signed: `+9.5`; `0.0` has no sign. */
export function points(fraction: number): string {
  const text = (100 * Math.abs(fraction)).toFixed(1)
  if (Number(text) === 0) return text
  return (fraction < 0 ? MINUS : '+') + text
}

/** A number to about three significant digits: `0.412`, `17.3`, `8`, `1,204`, `3.1e-5`. */
export function significant(value: number): string {
  const size = Math.abs(value)
  if (Number.isInteger(value) && size < 1000) return String(value).replace('-', MINUS)
  if (size >= 999.5) return Math.round(value).toLocaleString('en-US').replace('-', MINUS)
  if (size < 0.001) return value.toExponential(1).replaceAll('-', MINUS)
  return value.toPrecision(3).replace('-', MINUS)
}

/** Seconds as `41 s`, `3 min 20 s` or `2 h 5 min`. */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}
