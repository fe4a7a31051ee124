import { CoppiceError, nearest } from '../../index.ts'

/** More names than an error is read with. */
const MAX_LISTED = 30

/** The names of a flag as `a, b`; undefined where it is not given. */
export function listOf(text: string | undefined): string[] | undefined {
  return text?.split(',').map((name) => name.trim())
}

/**
 * What has those names, in their order, or all where none are given. INVALID_ARGUMENT, which calls it `what` and the flag `where`, lists or
 * guesses what there is.
 */
export function chooseNamed<T extends { readonly name: string }>(
  known: readonly T[],
  names: readonly string[] | undefined,
  what = 'case',
  where = '--cases',
): readonly T[] {
  if (names === undefined) return known
  return names.map((name) => {
    const found = known.find((one) => one.name === name)
    if (found !== undefined) return found
    throw new CoppiceError('INVALID_ARGUMENT', `unknown ${what}`, {
      ...{ where, expected: expectedOf(name, known), received: JSON.stringify(name) },
    })
  })
}

function expectedOf(name: string, known: readonly { readonly name: string }[]): string {
  const all = known.map((one) => one.name)
  const near = nearest(name, all)
  if (near !== undefined) return `did you mean '${near}'?`
  return all.length > MAX_LISTED ? 'one of those that --list prints' : `some of ${all.join(', ')}`
}
