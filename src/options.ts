import { CoppiceError, describeValue, invalidArgument } from './errors.ts'

// The page to read for every option's meaning and default. Names follow TRL in camelCase where TRL has one.
// Each concept's options live here as one interface with its defaults beside it.

/** Refuses keys that are not in `known`, naming the nearest known one. */
export function refuseUnknownKeys(options: object, known: readonly string[], where: string): void {
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue
    const near = nearest(key, known)
    throw new CoppiceError('INVALID_ARGUMENT', `unknown option '${key}'`, {
      where,
      expected: near === undefined ? `one of ${known.join(', ')}` : `did you mean '${near}'?`,
    })
  }
}

/** A whole number in [min, max], or an INVALID_ARGUMENT that names the option. */
export function requireInteger(
  value: unknown,
  where: string,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw invalidArgument(
      where,
      `a whole number from ${min}${max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`}`,
      value,
    )
  }
  return value
}

/** A finite number in [min, max], or an INVALID_ARGUMENT that names the option. */
export function requireNumber(
  value: unknown,
  where: string,
  min: number,
  max = Number.POSITIVE_INFINITY,
): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < min || value > max) {
    throw invalidArgument(
      where,
      `a number from ${min}${max === Number.POSITIVE_INFINITY ? '' : ` to ${max}`}`,
      value,
    )
  }
  return value
}

export function requireFlag(value: unknown, where: string): boolean {
  if (typeof value !== 'boolean') throw invalidArgument(where, 'true or false', value)
  return value
}

/** One of a closed list of strings, or an INVALID_ARGUMENT with the nearest one. */
export function requireOneOf<T extends string>(value: unknown, where: string, allowed: readonly T[]): T {
  if (typeof value === 'string' && (allowed as readonly string[]).includes(value)) return value as T
  const near = typeof value === 'string' ? nearest(value, allowed) : undefined
  throw new CoppiceError('INVALID_ARGUMENT', 'invalid argument', {
    where,
    expected: `one of ${allowed.join(', ')}${near === undefined ? '' : ` (did you mean '${near}'?)`}`,
    received: describeValue(value),
  })
}

/** The known word closest to `word` by edit distance, if one is close enough to be a plausible slip. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.ceil(word.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      bestDistance = distance
      best = candidate
    }
  }
  return best
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      current.push(Math.min(previous[j]! + 1, current[j - 1]! + 1, substitution))
    }
    previous = current
  }
  return previous[b.length]!
}
