import { join } from 'node:path'
import { CoppiceError, invalidArgument } from '../errors.ts'
import type { ResolvedObjective } from '../objective-options.ts'
import { requireInteger, requireNumber } from '../options.ts'
import type { Policy } from '../policy.ts'

/** How the reference policy follows the policy, if it does. */
export interface ReferenceSettings {
  referenceUpdateEvery: number
  referenceMixing: number
}

/** Refuses settings of a reference policy that moves where there is none, or where it stands. */
export function checkReferenceSettings(
  { referenceUpdateEvery: every, referenceMixing: mixing }: ReferenceSettings,
  { beta }: ResolvedObjective,
): void {
  requireInteger(every, 'referenceUpdateEvery', 0)
  requireNumber(mixing, 'referenceMixing', Number.MIN_VALUE, 1)
  if (every > 0 && beta === 0) {
    throw invalidArgument(
      'referenceUpdateEvery',
      '0, since the objective has no KL from a reference (beta)',
      every,
    )
  }
  if (every === 0 && mixing !== 1) {
    throw invalidArgument('referenceMixing', '1, since referenceUpdateEvery is 0', mixing)
  }
}

/**
 * A reference policy that is moved to the policy, or part of the way, after every so many steps. What it then is belongs to
 * the run's state and stands in its checkpoints, in the folder `reference`.
 */
export class MovingReference {
  readonly #reference: Policy
  readonly #every: number
  readonly #mixing: number

  constructor(reference: Policy, { referenceUpdateEvery, referenceMixing }: ReferenceSettings) {
    this.#reference = reference
    this.#every = referenceUpdateEvery
    this.#mixing = referenceMixing
  }

  /** After a step's updates; says whether the reference moved. */
  async follow(step: number, policy: Policy): Promise<boolean> {
    if (step % this.#every !== 0) return false
    await this.#reference.moveTowards(policy, this.#mixing)
    return true
  }

  save(checkpoint: string): Promise<void> {
    return this.#reference.save(join(checkpoint, FOLDER))
  }

  async restore(checkpoint: string): Promise<void> {
    try {
      await this.#reference.loadParameters(join(checkpoint, FOLDER))
    } catch (cause) {
      throw new CoppiceError('CHECKPOINT_CORRUPT', 'the reference policy of the run cannot be read', {
        where: join(checkpoint, FOLDER),
        cause,
      })
    }
  }
}

const FOLDER = 'reference'
