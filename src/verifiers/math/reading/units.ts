import { rational } from '../../rational.ts'
import { powerOfInteger, type WorkBudget } from '../budget.ts'
import { integer, type Node, product } from '../tree.ts'
import type { Token } from './tokens.ts'

/** What a quantity is measured in. */
export interface Unit {
  /** Base dimensions with exponents, in order: `length^1 time^-1`. Quantities convert where these are the same. */
  dimensions: string
  /** The unit in base units. */
  scale: Node
}

type Entry = readonly [scale: Node, dimensions: Readonly<Record<string, number>>]

const UNITS = new Map<string, Entry>()

/** `2.54/100`, exactly. */
function exact(text: string): Node {
  const [above, below = '1'] = text.split('/')
  const [whole, decimals = ''] = above!.split('.')
  return {
    kind: 'number',
    value: rational(BigInt(whole + decimals), BigInt(below) * 10n ** BigInt(decimals.length)),
  }
}

function define(dimensions: Readonly<Record<string, number>>, table: Readonly<Record<string, string>>): void {
  for (const [names, scale] of Object.entries(table)) {
    for (const name of names.split(' ')) UNITS.set(name, [exact(scale), dimensions])
  }
}

define(
  { length: 1 },
  {
    'm meter meters metre metres': '1',
    'cm centimeter centimeters centimetre centimetres': '0.01',
    'mm millimeter millimeters millimetre millimetres': '0.001',
    'km kilometer kilometers kilometre kilometres kms': '1000',
    'dm decimeter decimeters': '0.1',
    'nm nanometer nanometers': '0.000000001',
    'um micrometer micrometers micron microns': '0.000001',
    'in inch inches': '0.0254',
    'ft foot feet': '0.3048',
    'yd yard yards yds': '0.9144',
    'mi mile miles': '1609.344',
  },
)
define({ length: 2 }, { 'ha hectare hectares': '10000', 'acre acres': '4046.8564224' })
define(
  { length: 3 },
  {
    'L l liter liters litre litres': '0.001',
    'mL ml milliliter milliliters millilitre millilitres cc': '0.000001',
    'cL cl centiliter centiliters': '0.00001',
    'dL dl deciliter deciliters': '0.0001',
    'gal gallon gallons': '0.003785411784',
    'qt quart quarts': '0.000946352946',
    'pt pint pints': '0.000473176473',
    'cup cups': '0.0002365882365',
  },
)
define(
  { mass: 1 },
  {
    'kg kilogram kilograms kgs': '1',
    'g gram grams': '0.001',
    'mg milligram milligrams': '0.000001',
    't ton tons tonne tonnes': '1000',
    'lb lbs pound pounds': '0.45359237',
    'oz ounce ounces': '0.028349523125',
  },
)
define(
  { time: 1 },
  {
    's sec secs second seconds': '1',
    'ms millisecond milliseconds': '0.001',
    'min mins minute minutes': '60',
    'h hr hrs hour hours': '3600',
    'day days': '86400',
    'week weeks': '604800',
  },
)
define(
  { month: 1 },
  { 'month months': '1', 'yr yrs year years': '12', 'decade decades': '120', 'century centuries': '1200' },
)
define({ angle: 1 }, { 'degree degrees deg °': '1', arcminute: '1/60', 'revolution revolutions rev': '360' })
define({ dollar: 1 }, { 'dollar dollars USD usd $': '1', 'cent cents ¢': '0.01' })
define({ euro: 1 }, { 'euro euros EUR €': '1' })
define({ sterling: 1 }, { '£ GBP': '1', pence: '0.01' })
define({ yen: 1 }, { '¥ yen JPY': '1' })
define({ time: -1 }, { 'Hz hertz': '1', kHz: '1000', MHz: '1000000' })
define({ mass: 1, length: 1, time: -2 }, { 'N newton newtons': '1', kN: '1000' })
define(
  { mass: 1, length: 2, time: -2 },
  {
    'J joule joules': '1',
    'kJ kilojoule kilojoules': '1000',
    kWh: '3600000',
    'cal calorie calories': '4.184',
    kcal: '4184',
  },
)
define(
  { mass: 1, length: 2, time: -3 },
  { 'W watt watts': '1', 'kW kilowatt kilowatts': '1000', MW: '1000000' },
)
define({ mass: 1, length: -1, time: -2 }, { 'Pa pascal pascals': '1', kPa: '1000', atm: '101325' })
define({ current: 1 }, { 'A amp amps ampere amperes': '1', mA: '0.001' })
define({ current: 1, time: 1 }, { 'coulomb coulombs': '1' })
define({ voltage: 1 }, { 'V volt volts': '1' })
define({ kelvin: 1 }, { 'K kelvin': '1' })
define({ amount: 1 }, { 'mol mole moles': '1' })
define({ length: 1, time: -1 }, { mph: '0.44704', 'kph kmh': '1000/3600', 'knot knots': '1852/3600' })
const HALF_TURN: Node = { kind: 'quotient', above: integer(180), below: { kind: 'constant', name: 'pi' } }
for (const name of ['rad', 'radian', 'radians']) UNITS.set(name, [HALF_TURN, { angle: 1 }])

const SQUARES: Readonly<Record<string, number>> = { square: 2, sq: 2, cubic: 3, cu: 3 }
const POWERS: Readonly<Record<string, number>> = { squared: 2, cubed: 3 }

/** Words that say something else than what was counted: `5 or more` is not five of anything. */
const NO_NOUNS: ReadonlySet<string> = new Set(
  (
    'or and not is are was to but maybe perhaps possibly probably approximately about if then else i we you it than more less least most ' +
    'from with without except when where which because since so no none never minus plus times over answer wrong'
  ).split(' '),
)

/** Whether a run of letters is a unit that is known. */
export function isUnit(text: string): boolean {
  return UNITS.has(text) || UNITS.has(text.toLowerCase())
}

/** The unit of an amount of money written before its number. */
export function currencyOf(sign: string): Unit | undefined {
  return ['$', '€', '£', '¥', 'USD', 'EUR'].includes(sign) ? unitOf([[sign, 1]]) : undefined
}

/**
 * Reads the tokens behind a number as a unit: `cm^2`, `km/h`, `square feet`, `miles per hour`, `apples`. Undefined where
 * they are anything else. A noun that is no known unit is a unit of its own kind.
 */
export function readUnit(tokens: readonly Token[], budget: WorkBudget): Unit | undefined {
  budget.spend(10 * tokens.length)
  const parts: [string, number][] = []
  let sign = 1
  let power = 1
  let unknown = 0
  const words = unitWords(tokens)
  if (words === undefined || words.length > 16) return undefined
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!
    const lower = word.toLowerCase()
    if (word === '/' || lower === 'per' || (lower === 'a' && i > 0)) {
      if (sign === -1 || i + 1 === words.length) return undefined
      sign = -1
    } else if (word === '*' || word === '(' || word === ')') {
      if (word === ')') sign = 1
    } else if (word === '^') {
      const exponent = Number(words[++i])
      const last = parts.at(-1)
      if (last === undefined || !Number.isInteger(exponent) || Math.abs(exponent) > 9) return undefined
      last[1] *= exponent
    } else if (Object.hasOwn(SQUARES, lower)) power = SQUARES[lower]!
    else if (Object.hasOwn(POWERS, lower)) {
      const last = parts.at(-1)
      if (last === undefined) return undefined
      last[1] *= POWERS[lower]!
    } else if (/^[a-zA-Z°$€£¥]/.test(word)) {
      if (NO_NOUNS.has(lower) || (!isUnit(word) && ++unknown > 3)) return undefined
      parts.push([word, sign * power])
      power = 1
      // `m/s^2`: only what follows the stroke is below it, but `J/kg K` has both there.
    } else return undefined
  }
  // Degrees with a letter are temperatures.
  if (parts[0]?.[0] === '°' && /^[CF]$/.test(parts[1]?.[0] ?? ''))
    return unitOf([[`degrees${parts[1]![0]}`, 1]])
  return parts.length === 0 ? undefined : unitOf(parts, budget)
}

/** A unit over what the other one is below already, as in `$5 per day`; undefined where the other stands above, too. */
export function ratePer(above: Unit, below: Unit): Unit | undefined {
  const parts = below.dimensions.split(' ')
  // The last sign: nouns have spaces, exponents do not.
  if (
    below.dimensions === '' ||
    !parts.filter((part) => part.includes('^')).every((part) => part.includes('^-'))
  ) {
    return undefined
  }
  return {
    dimensions: [...below.dimensions.split(/(?<=\^-\d+) /), above.dimensions].sort().join(' '),
    scale: product(above.scale, below.scale),
  }
}

/** Words, strokes and exponents, texts cut into pieces. */
function unitWords(tokens: readonly Token[]): string[] | undefined {
  const words: string[] = []
  for (const token of tokens) {
    if (token.kind === 'text')
      words.push(...(token.text.match(/[A-Za-z]+|-?\d+|[/^*()°$]|[^\sA-Za-z\d]/g) ?? []))
    else if (token.kind === 'symbol' && '{}.'.includes(token.text)) continue
    else if (token.kind === 'symbol' && token.text === '°' && words.at(-1) === '^')
      words[words.length - 1] = '°'
    else words.push(token.kind === 'name' && token.text === 'mu' ? 'u' : token.text)
  }
  const joined: string[] = []
  for (const word of words) {
    if (word === '^' || joined.at(-1) !== '-') joined.push(word)
    else joined[joined.length - 1] += word
  }
  return joined.filter((word) => word !== '.' && word !== ',')
}

function unitOf(parts: readonly [string, number][], budget?: WorkBudget): Unit {
  const dimensions = new Map<string, number>()
  let scale: Node = integer(1)
  for (const [name, exponent] of parts) {
    const [unitScale, unitDimensions] = UNITS.get(name) ?? UNITS.get(name.toLowerCase()) ?? noun(name)
    for (const [dimension, power] of Object.entries(unitDimensions)) {
      dimensions.set(dimension, (dimensions.get(dimension) ?? 0) + power * exponent)
    }
    if (exponent > 0 && unitScale.kind === 'number' && budget !== undefined) {
      const { numerator, denominator } = unitScale.value
      const value = rational(
        powerOfInteger(numerator, exponent, budget),
        powerOfInteger(denominator, exponent, budget),
      )
      scale = product(scale, { kind: 'number', value })
    } else scale = product(scale, { kind: 'power', base: unitScale, exponent: integer(exponent) })
  }
  return {
    dimensions: [...dimensions]
      .filter(([, power]) => power !== 0)
      .map(([name, power]) => `${name}^${power}`)
      .sort()
      .join(' '),
    scale,
  }
}

function noun(name: string): Entry {
  const lower = name.toLowerCase()
  const singular = lower.endsWith('ies')
    ? `${lower.slice(0, -3)}y`
    : /(?:s|x|ch|sh)es$/.test(lower)
      ? lower.slice(0, -2)
      : lower.length > 3 && lower.endsWith('s')
        ? lower.slice(0, -1)
        : lower
  return [integer(1), { [`noun ${singular}`]: 1 }]
}
