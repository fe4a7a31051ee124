import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CoppiceError, type ErrorCode } from './errors.ts'
import type { NativeAddon } from './native/addon-type.ts'
import type { NativeStopFlag } from './native/types.ts'

// The only file that touches the .node.

const require = createRequire(import.meta.url)

/** This package's root: the nearest folder above this file that has a package.json. */
function packageRoot(): string {
  let dir = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(dir, 'package.json'))) {
    const parent = dirname(dir)
    if (parent === dir) throw new CoppiceError('INTERNAL', 'package.json of coppice not found above its code')
    dir = parent
  }
  return dir
}

/** Where `coppice build` puts the addon, and where it is looked for first. */
export function builtAddonPath(): string {
  return join(packageRoot(), 'build', 'Release', 'coppice.node')
}

/** The optional package that holds a prebuilt addon for this platform. */
export function prebuiltPackageName(): string {
  return `coppice-${process.platform}-${process.arch}`
}

let loaded: NativeAddon | undefined

/** The addon, loaded at the first call. DEVICE_UNAVAILABLE with the remedy when it is not there or does not load. */
export function addon(): NativeAddon {
  loaded ??= loadAddon()
  return loaded
}

function loadAddon(): NativeAddon {
  const built = builtAddonPath()
  if (existsSync(built)) {
    try {
      return require(built) as NativeAddon
    } catch (cause) {
      throw new CoppiceError('DEVICE_UNAVAILABLE', `the native addon does not load: ${messageOf(cause)}`, {
        where: built,
        expected: 'an addon built for this machine: run `npx coppice build` again',
        cause,
      })
    }
  }
  const prebuilt = prebuiltPackageName()
  try {
    return require(prebuilt) as NativeAddon
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') {
      throw new CoppiceError('DEVICE_UNAVAILABLE', 'the native addon is not built yet', {
        expected: `${built} (run \`npx coppice build\`) or the package ${prebuilt}`,
        cause,
      })
    }
    throw new CoppiceError('DEVICE_UNAVAILABLE', `the native addon does not load: ${messageOf(cause)}`, {
      where: prebuilt,
      expected: 'an addon for this machine: run `npx coppice build` to make one',
      cause,
    })
  }
}

const CODES: ReadonlySet<string> = new Set<ErrorCode>([
  'INVALID_ARGUMENT',
  'SHAPE_MISMATCH',
  'OUT_OF_MEMORY',
  'DEVICE_UNAVAILABLE',
  'DEVICE_FAULT',
  'NON_FINITE',
  'CHECKPOINT_CORRUPT',
  'DATA_CORRUPT',
  'DISPOSED',
  'BUSY',
  'INTERNAL',
])

/** Where a call was made: what an error that comes later, from another thread, is said to come from. */
export interface CallSite {
  readonly stack?: string
}

/** The stack without `above` and what it called. Costs tens of microseconds: calls in a loop share one. */
export function callSite(above: (...args: never[]) => unknown): CallSite {
  const site: CallSite = {}
  Error.captureStackTrace(site, above)
  return site
}

/** A native error as CoppiceError, with the stack of the call that led to it. */
function coppiceError(cause: unknown, site: CallSite): unknown {
  if (cause instanceof CoppiceError || !(cause instanceof Error)) return cause
  const code = (cause as { code?: unknown }).code
  const known = typeof code === 'string' && CODES.has(code)
  const error = new CoppiceError(
    known ? (code as ErrorCode) : 'INTERNAL',
    cause.message,
    known ? {} : { cause },
  )
  const frames = site.stack?.indexOf('\n    at ') ?? -1
  if (frames >= 0) error.stack = `${error.name}: ${error.message}${site.stack!.slice(frames)}`
  return error
}

/** Runs an immediate native call; what it throws becomes a CoppiceError. */
export function callNow<T>(work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw coppiceError(cause, callSite(callNow))
  }
}

/** Runs a native call that returns a promise; a rejection becomes a CoppiceError with the stack of `site`. */
export function call<T>(work: () => Promise<T>, site: CallSite = callSite(call)): Promise<T> {
  const rethrow = (cause: unknown): never => {
    throw coppiceError(cause, site)
  }
  try {
    return work().catch(rethrow)
  } catch (cause) {
    return Promise.reject(coppiceError(cause, site))
  }
}

/** A flag that ends the native jobs that it was given to, whether they have begun or not. */
export function stopFlag(): NativeStopFlag {
  return new (addon().StopFlag)()
}

/**
 * Runs a native job that an AbortSignal may end early. A job that ended early has changed nothing, and the promise is
 * rejected with the signal's reason.
 */
export async function callCancellable<T extends { cancelled: boolean }>(
  signal: AbortSignal | undefined,
  work: (stop: NativeStopFlag | undefined) => Promise<T>,
): Promise<T> {
  if (signal === undefined) return call(() => work(undefined))
  signal.throwIfAborted()
  const stop = stopFlag()
  const onAbort = () => stop.set()
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const result = await call(() => work(stop))
    if (result.cancelled) throw signal.reason
    return result
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message.split('\n')[0]! : String(cause)
}
