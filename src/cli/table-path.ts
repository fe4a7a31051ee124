import { CoppiceError } from '../index.ts'

/** Refuses, before long work begins, a file name whose extension names no format. */
export function requireTablePath(path: string): void {
  if (/\.(arrow|jsonl)$/.test(path)) return
  throw new CoppiceError('INVALID_ARGUMENT', 'the extension names no format', {
    where: path,
    expected: 'a file name that ends in .arrow or .jsonl',
  })
}
