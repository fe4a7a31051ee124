import type { ResolvedOptions } from '../objective-options.ts'
import { contradiction } from './contradiction.ts'

type Kind = ResolvedOptions['importanceCorrection']

const BOUNDS: { readonly [K in Exclude<Kind, 'none'>]: readonly [min: number | null, max: number | null] } = {
  'token-truncate': [null, 3],
  'token-mask': [0.5, 5],
  'sequence-truncate': [null, 3],
  'sequence-mask': [null, 3],
  'sequence-geometric-mask': [null, null],
}

/** Fills in the bounds of the sampler correction and refuses those that have nothing to bound, or bound nothing. */
export function fitCorrection(options: ResolvedOptions, given: Partial<ResolvedOptions>): void {
  const { importanceCorrection: kind } = options
  const names = ['importanceCorrectionMin', 'importanceCorrectionMax'] as const
  if (kind === 'none') {
    for (const name of names) {
      if (options[name] !== null)
        throw contradiction(name, options[name], "importanceCorrection 'none' bounds no weight")
    }
    return
  }
  for (const [i, name] of names.entries()) if (given[name] === undefined) options[name] = BOUNDS[kind][i]!
  const { importanceCorrectionMin: min, importanceCorrectionMax: max } = options
  if (min !== null && max !== null && min > max) {
    throw contradiction('importanceCorrectionMin', min, `it is above importanceCorrectionMax, ${max}`)
  }
  if (kind.endsWith('mask') && min === null && max === null) {
    throw contradiction(
      'importanceCorrection',
      kind,
      'without bounds it masks nothing: give importanceCorrectionMin, importanceCorrectionMax or both',
    )
  }
  if (options.surrogate === 'gmpo' && kind.startsWith('token')) {
    throw contradiction('importanceCorrection', kind, "surrogate 'gmpo' has one weight for a completion")
  }
}
