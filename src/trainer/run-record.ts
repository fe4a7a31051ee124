import { createHash } from 'node:crypto'
import { CoppiceError } from '../errors.ts'
import type { Policy } from '../policy.ts'
import type { PromptRow } from '../prompts.ts'
import { resolveWeights } from '../verifiers/weighted.ts'
import type { VerifierSource } from '../verify.ts'
import type { RolloutRecord } from './recorded-rollouts.ts'
import type { ResolvedSettings, TrainOptions } from './train-options.ts'

/** What run.json holds: everything that decides a run's bytes, so that a resumed run can be held to it. */
export interface RunRecord {
  format: 1
  settings: Record<string, unknown>
  environment: Record<string, unknown>
}

/** What run.json holds beside: whether the same options on the same machine give the same run again. */
export interface Regenerability {
  regenerable: boolean
  /** Why not. */
  not_regenerable_because?: string
}

/**
 * Whether a run can be regenerated, by its metrics: not where the clock gave a verdict, which may come out otherwise next
 * time. Kept out of the settings, so that such a run can be resumed.
 */
export function regenerabilityOf(metrics: readonly Record<string, number>[]): Regenerability {
  const steps = metrics.filter((line) => (line.clock_verdicts ?? 0) > 0)
  if (steps.length === 0) return { regenerable: true }
  const verdicts = steps.reduce((sum, line) => sum + line.clock_verdicts!, 0)
  const count = verdicts === 1 ? '1 verdict' : `${verdicts} verdicts`
  const where = `by the deadline or the memory cap, the first in step ${steps[0]!.step}`
  return { regenerable: false, not_regenerable_because: `${count} ${where}` }
}

/** What decides a training run, beside the parameters that it begins with. */
export function trainRecord(
  options: TrainOptions,
  settings: ResolvedSettings,
  recorded: RolloutRecord | null = null,
): RunRecord {
  const { policy, verifier, prompts = [], evalPrompts = [] } = options
  return {
    format: 1,
    settings: {
      ...snakeCaseKeys(settings),
      verifier: verifierRecord(verifier),
      ...(recorded === null
        ? { prompts: { count: prompts.length, digest: promptsDigest(prompts) } }
        : { rollouts: rolloutsRecord(recorded) }),
      ...(settings.evalEvery > 0 && {
        eval_prompts: { count: evalPrompts.length, digest: promptsDigest(evalPrompts) },
      }),
      model: snakeCaseKeys(policy.config),
      ...(options.critic && { critic: snakeCaseKeys(options.critic.config) }),
    },
    environment: environmentOf(policy),
  }
}

function rolloutsRecord({ batch, groups, digest, lacksLogprobs }: RolloutRecord) {
  const logprobs = lacksLogprobs ? 'scored when they are learnt from' : 'recorded'
  return { count: batch.numRows, groups: groups.length, logprobs, digest }
}

/** A verifier as JSON has it: weights too, since rewards follow from them. */
function verifierRecord(verifier: VerifierSource): unknown {
  if (typeof verifier === 'function') return `function ${verifier.name}`
  if (typeof verifier === 'string') return verifier
  const { verifiers, ...weights } = resolveWeights(verifier)
  return { verifiers: verifiers.map(verifierRecord), ...snakeCaseKeys(weights) }
}

/** What bits depend on beside the settings; the number of threads is not among it. */
export function environmentOf({ info, dtype }: Policy): Record<string, unknown> {
  return { device: info.device, isa: info.isa, dtype }
}

/** Settings that a resumed run may change: with these rules, what was done so far stays what it would have been. */
function mayChange(name: string, settings: Readonly<Record<string, unknown>>): boolean {
  const { lambda_schedule: ofLambda } = (settings.objective ?? {}) as { lambda_schedule?: string }
  // The last step of an asynchronous run samples nothing ahead, whatever step that is.
  const goesByAllSteps = ofLambda === 'linear' || ofLambda === 'cosine' || settings.async_steps !== 0
  return name === 'steps' && settings.learning_rate_schedule === 'constant' && !goesByAllSteps
}

/** Keys in snake case, as in every file; nested objects too. */
export function snakeCaseKeys(values: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => {
      const nested = typeof value === 'object' && value !== null && !Array.isArray(value)
      return [
        key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
        nested ? snakeCaseKeys(value) : value,
      ]
    }),
  )
}

/** A short hash of the prompts' ids and tokens, in order. */
export function promptsDigest(prompts: readonly PromptRow[]): string {
  const hash = createHash('sha256')
  for (const { promptId, reference, promptTokens } of prompts) {
    hash.update(JSON.stringify([promptId, reference, promptTokens.length]))
    hash.update(promptTokens)
  }
  return hash.digest('hex').slice(0, 16)
}

/**
 * Refuses to go on with a run under other settings than it began with, naming the first that differs: it could not end
 * in the bytes of the uninterrupted run.
 */
export function requireSameRun(recorded: unknown, current: RunRecord, where: string): void {
  const before = recorded as Partial<RunRecord> | null
  if (before?.format !== 1 || typeof before.settings !== 'object' || typeof before.environment !== 'object') {
    throw new CoppiceError('DATA_CORRUPT', 'not the record of a run', {
      where,
      expected: 'a run.json of format 1',
    })
  }
  const sections = [
    [before.settings, current.settings],
    [before.environment, current.environment],
  ] as const
  for (const [was, is] of sections) {
    const [flatWas, flatIs] = [flatten(was), flatten(is)]
    for (const name of new Set([...Object.keys(flatWas), ...Object.keys(flatIs)])) {
      if (flatWas[name] === flatIs[name] || mayChange(name, is)) continue
      throw new CoppiceError('INVALID_ARGUMENT', `a resumed run cannot change '${name}'`, {
        where,
        expected: flatWas[name] ?? 'nothing',
        received: flatIs[name] ?? 'nothing',
      })
    }
  }
}

/** Leaves by dotted name, as JSON text. */
function flatten(values: object, prefix = ''): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? Object.entries(flatten(value, `${prefix}${key}.`))
        : [[`${prefix}${key}`, JSON.stringify(value)] as [string, string]],
    ),
  )
}
