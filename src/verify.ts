import { availableParallelism } from 'node:os'
import { invalidArgument } from './errors.ts'
import { isModuleFile, requireModuleFile } from './load-module.ts'
import { refuseUnknownKeys, requireInteger, requireNumber } from './options.ts'
import type { Judgement, Sample, Verifier } from './verdicts.ts'
import { builtinNameOf, builtinVerifier } from './verifiers/builtin.ts'
import { inProcessRunner } from './verifiers/in-process.ts'
import { cachedRunner, JudgementCache } from './verifiers/judgement-cache.ts'
import type { SampleRunner } from './verifiers/outcome.ts'
import { VerifierPool } from './verifiers/pool.ts'
import { processRunner } from './verifiers/process-runner.ts'
import type { ProcessLimits } from './verifiers/process-worker.ts'
import type { VerifyCallOptions } from './verifiers/verification.ts'
import {
  partNames,
  resolveWeights,
  type WeightedPart,
  type WeightedVerifiers,
  weightedRunner,
} from './verifiers/weighted.ts'
import type { WorkerSource } from './verifiers/worker-messages.ts'

export { verifierNames } from './verifiers/builtin.ts'
export type { VerifierPool } from './verifiers/pool.ts'
export type { Verification, VerifyCallOptions } from './verifiers/verification.ts'
export type { WeightedVerifiers } from './verifiers/weighted.ts'

/**
 * A function, the name of a built-in verifier (with options: `numeric:tolerance=0.01`), the path of a .ts, .js or
 * .mjs file whose default export is a verifier or a task, or several of these with weights.
 */
export type VerifierSource = Verifier | string | WeightedVerifiers

/** How a verifier runs. */
export interface VerifyOptions {
  /** Samples judged at once: processes for a file. Default: the number of cores, 4 at most. */
  concurrency?: number
  /** Milliseconds that one sample may take before it is `timed-out`. Default 5000. */
  timeoutMs?: number
  /** Milliseconds that starting a process and loading a file may take. Default 30000. */
  loadTimeoutMs?: number
  /** MiB of memory that a file's verifier may hold in one process. Default 512. */
  memoryLimitMb?: number
  /**
   * Whether functions and files may be asked once for the same content: what they say has to follow from prompt, reference,
   * completion and finish reason alone. Built-in verifiers' does. Default false.
   */
  cacheable?: boolean
  /** MiB of judgements that are kept to be given again; 0: none. Default 64. */
  cacheMb?: number
}

/** A verifier that is known to exist, and where it will run. */
export type ResolvedVerifier =
  | { kind: 'in-process'; name: string; verify: Verifier }
  | { kind: 'isolated'; name: string; source: WorkerSource }

/**
 * Finds a verifier without running it: a user's file is only loaded in the process that will run it, since loading can
 * hang or end a process as well. INVALID_ARGUMENT for unknown names, options and files.
 */
export async function resolveVerifier(source: Verifier | string): Promise<ResolvedVerifier> {
  if (typeof source === 'function')
    return { kind: 'in-process', name: source.name || 'verifier', verify: source }
  if (typeof source !== 'string') throw invalidArgument('verifier', 'a function, a name or a file', source)
  if (builtinNameOf(source) === undefined && isModuleFile(source)) {
    const file = await requireModuleFile(source)
    return { kind: 'isolated', name: file, source: { file } }
  }
  const { verify, isBounded } = builtinVerifier(source)
  if (isBounded) return { kind: 'in-process', name: source, verify }
  return { kind: 'isolated', name: source, source: { builtin: source } }
}

/**
 * A verifier made ready for many calls: its processes stay from one call to the next. Dispose it, or write
 * `await using`. A file that cannot be loaded is refused here with INVALID_ARGUMENT.
 */
export async function createVerifierPool(
  source: VerifierSource,
  options: VerifyOptions = {},
): Promise<VerifierPool> {
  const settings = resolveVerifyOptions(options)
  const { cache } = settings
  if (typeof source === 'function' || typeof source === 'string') {
    requireDeciding(source)
    const { name, runner } = await startRunner(source, 'only', settings)
    return new VerifierPool(runner, name, [], cache)
  }
  const { verifiers, rewardWeights, rewardThreshold } = resolveWeights(source)
  const names = partNames(verifiers)
  requireDeciding(verifiers[0]!)
  const started = await Promise.allSettled(
    verifiers.map((verifier, i) => startRunner(verifier, names[i]!, settings)),
  )
  const parts = started.flatMap((start, i): WeightedPart[] =>
    start.status === 'rejected'
      ? []
      : [{ name: names[i]!, weight: rewardWeights[i]!, runner: start.value.runner }],
  )
  const refused = started.find((start) => start.status === 'rejected')
  if (refused !== undefined) {
    await Promise.all(parts.map(({ runner }) => runner.dispose()))
    throw refused.reason
  }
  return new VerifierPool(weightedRunner(parts, rewardThreshold), names.join(' + '), names, cache)
}

/** Refuses a verifier that only shapes rewards where a verdict is asked for. */
function requireDeciding(source: Verifier | string): void {
  if (!isBuiltin(source) || builtinVerifier(source).isShaping !== true) return
  throw invalidArgument(
    'verifier',
    'one that tells right from wrong before one that only shapes its reward',
    source,
  )
}

function resolveVerifyOptions(options: VerifyOptions): RunnerSettings {
  const names = ['concurrency', 'timeoutMs', 'loadTimeoutMs', 'memoryLimitMb', 'cacheable', 'cacheMb']
  refuseUnknownKeys(options, names, 'verify')
  const { cacheable = false } = options
  if (typeof cacheable !== 'boolean') throw invalidArgument('cacheable', 'true or false', cacheable)
  const cores = Math.min(4, availableParallelism())
  const cacheMb = requireNumber(options.cacheMb ?? 64, 'cacheMb', 0, 2 ** 20)
  return {
    concurrency: requireInteger(options.concurrency ?? cores, 'concurrency', 1, 1024),
    // Timers count in 32-bit milliseconds.
    timeoutMs: requireInteger(options.timeoutMs ?? 5000, 'timeoutMs', 1, 2 ** 30),
    loadTimeoutMs: requireInteger(options.loadTimeoutMs ?? 30_000, 'loadTimeoutMs', 1, 2 ** 30),
    memoryLimitMb: requireInteger(options.memoryLimitMb ?? 512, 'memoryLimitMb', 16),
    cacheable,
    cache: cacheMb === 0 ? undefined : new JudgementCache(cacheMb * 2 ** 20),
  }
}

interface RunnerSettings extends ProcessLimits {
  concurrency: number
  cacheable: boolean
  cache: JudgementCache | undefined
}

async function startRunner(
  source: Verifier | string,
  cacheName: string,
  settings: RunnerSettings,
): Promise<{ name: string; runner: SampleRunner }> {
  const { concurrency, cacheable, cache, ...limits } = settings
  const verifier = await resolveVerifier(source)
  const { name } = verifier
  const runner =
    verifier.kind === 'in-process'
      ? inProcessRunner(verifier.verify, concurrency, limits.timeoutMs)
      : await processRunner(verifier.source, name, concurrency, limits)
  const mayCache = isBuiltin(source) ? builtinVerifier(source).readsTokens !== true : cacheable
  return { name, runner: mayCache && cache !== undefined ? cachedRunner(runner, cache, cacheName) : runner }
}

function isBuiltin(source: Verifier | string): source is string {
  return typeof source === 'string' && builtinNameOf(source) !== undefined
}

/** Judges the samples once, in their order; see `VerifierPool.verify` for what becomes of hanging and failing ones. */
export async function verifyAll(
  samples: readonly Sample[],
  source: VerifierSource,
  options: VerifyOptions & VerifyCallOptions = {},
): Promise<Judgement[]> {
  const { signal, onProgress, ...verifyOptions } = options
  const pool = await createVerifierPool(source, verifyOptions)
  try {
    return await pool.verify(samples, { ...(signal && { signal }), ...(onProgress && { onProgress }) })
  } finally {
    await pool.dispose()
  }
}
