import type { NativeMachine } from './native/types.ts'
import { addon, builtAddonPath } from './native.ts'

/** The native addon on this machine, whether or not it can be used. */
export type AddonStatus =
  | ({ usable: true; path: string; version: string } & NativeMachine)
  | { usable: false; path: string; problem: string }

/** Loads the addon and tells what it finds; never throws. `path` is where `coppice build` puts it. */
export function addonStatus(): AddonStatus {
  const path = builtAddonPath()
  try {
    const native = addon()
    return { usable: true, path, version: native.version, ...native.machine() }
  } catch (error) {
    return { usable: false, path, problem: error instanceof Error ? error.message : String(error) }
  }
}
