import { Decimal as LibraryDecimal } from 'decimal.js'

// Elementary functions in fixed point over whole numbers: at 70 digits ten to fifty times as fast as the library's own, which build
// every series from decimals. Arguments are bounded by the caller; results are good to about 80 digits behind the point.

const BITS = 288n
const ONE = 1n << BITS
const Wide = LibraryDecimal.clone({ precision: 100, maxE: 99_999, minE: -99_999 })
type Wide = LibraryDecimal
const UNIT = new Wide(ONE.toString())
const UNIT_INVERSE = new Wide(1).div(UNIT)

const PI = toFixed(Wide.acos(-1))
const HALF_PI = PI >> 1n
const LN2 = 18n * inverseHyperbolic(26n) - 2n * inverseHyperbolic(4801n) + 8n * inverseHyperbolic(8749n)

function toFixed(value: LibraryDecimal): bigint {
  return BigInt(new Wide(value).times(UNIT).toFixed(0))
}

function fromFixed(value: bigint): Wide {
  return new Wide(value.toString()).times(UNIT_INVERSE)
}

/** artanh(1/n) = 1/n + 1/3n^3 + ... */
function inverseHyperbolic(n: bigint): bigint {
  let [sum, power] = [0n, ONE / n]
  for (let k = 1n; power > 0n; k += 2n) {
    sum += power / k
    power /= n * n
  }
  return sum
}

/** Both at once, for angles below 10^12. */
export function sinCos(angle: LibraryDecimal): [sin: Wide, cos: Wide] {
  const [sin, cos] = sinCosFixed(toFixed(angle))
  return [fromFixed(sin), fromFixed(cos)]
}

function sinCosFixed(angle: bigint): [bigint, bigint] {
  let quarter = angle / HALF_PI
  let rest = angle - quarter * HALF_PI
  // To the nearest quarter turn, so that the series starts from 0.79 at most.
  if (rest > HALF_PI >> 1n) {
    rest -= HALF_PI
    quarter++
  } else if (rest < -(HALF_PI >> 1n)) {
    rest += HALF_PI
    quarter--
  }
  const square = (rest * rest) >> BITS
  let [sin, cos] = [rest, ONE]
  let [sinTerm, cosTerm] = [rest, ONE]
  for (let k = 2n; sinTerm !== 0n || cosTerm !== 0n; k += 2n) {
    cosTerm = -((cosTerm * square) >> BITS) / (k * (k - 1n))
    sinTerm = -((sinTerm * square) >> BITS) / (k * (k + 1n))
    cos += cosTerm
    sin += sinTerm
  }
  const turn = ((quarter % 4n) + 4n) % 4n
  if (turn === 0n) return [sin, cos]
  if (turn === 1n) return [cos, -sin]
  return turn === 2n ? [-sin, -cos] : [-cos, sin]
}

/** For arguments between -20,000 and 20,000. */
export function exponential(value: LibraryDecimal): Wide {
  const argument = toFixed(value)
  const halvings = argument / LN2
  const power = new Wide(2).pow(halvings.toString())
  return fromFixed(exponentialFixed(argument - halvings * LN2)).times(power)
}

/** For arguments below 1 or so: the series of a 256th, squared eight times. */
function exponentialFixed(argument: bigint): bigint {
  const part = argument >> 8n
  let [sum, term] = [ONE, ONE]
  for (let k = 1n; term !== 0n && term !== -1n; k++) {
    term = ((term * part) >> BITS) / k
    sum += term
  }
  for (let i = 0; i < 8; i++) sum = (sum * sum) >> BITS
  return sum
}

/** Of a positive number: a double's logarithm, and the rest by a short series. */
export function logarithm(value: LibraryDecimal): Wide {
  // value = mantissa * 10^e, and 10 = 2 * 5 leaves only logarithms of numbers near 1.
  const exponent = value.e
  const mantissa = new Wide(value).times(new Wide(10).pow(-exponent))
  return fromFixed(smallLogarithm(mantissa) + BigInt(exponent) * LN10)
}

function smallLogarithm(mantissa: LibraryDecimal): bigint {
  const guess = Math.log(Number(mantissa))
  const fixedGuess = BigInt(Math.round(guess * 2 ** 50)) << (BITS - 50n)
  const ratio = (toFixed(mantissa) * exponentialFixed(-fixedGuess)) >> BITS
  const step = ratio - ONE
  let [sum, power] = [0n, step]
  for (let k = 1n; k < 9n; k++) {
    sum += k % 2n === 1n ? power / k : -power / k
    power = (power * step) >> BITS
  }
  return fixedGuess + sum
}

const LN10 = 3n * LN2 + smallLogarithm(new Wide('1.25'))

/** Of any number of moderate size: a double's arctangent, and the rest by a short series. */
export function arctangent(value: LibraryDecimal): Wide {
  if (value.abs().gt(1)) {
    const rest = arctangent(new Wide(1).div(value))
    return fromFixed(value.isNegative() ? -HALF_PI : HALF_PI).minus(rest)
  }
  const argument = toFixed(value)
  const guess = BigInt(Math.round(Math.atan(Number(value)) * 2 ** 50)) << (BITS - 50n)
  const [sin, cos] = sinCosFixed(guess)
  const step = ((((argument * cos) >> BITS) - sin) * ONE) / (cos + ((argument * sin) >> BITS))
  const square = (step * step) >> BITS
  let [sum, power] = [0n, step]
  for (let k = 1n; k < 13n; k += 2n) {
    sum += k % 4n === 1n ? power / k : -power / k
    power = (power * square) >> BITS
  }
  return fromFixed(guess + sum)
}
