import { CoppiceError } from '../errors.ts'

/** An option's value that cannot be, with the reason. */
export function contradiction(name: string, value: unknown, reason: string): CoppiceError {
  return new CoppiceError('INVALID_ARGUMENT', `${JSON.stringify(value)} cannot be: ${reason}`, {
    where: name === 'numGenerations' ? name : `objective.${name}`,
  })
}
