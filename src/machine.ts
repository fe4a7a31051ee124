import { existsSync, readFileSync } from 'node:fs'
import { freemem, totalmem } from 'node:os'
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

export interface MachineMemory {
  /** What this process may use: all of the machine, or the limit of its container. */
  totalBytes: number
  freeBytes: number
  isLimited: boolean
}

export function machineMemory(): MachineMemory {
  let limit = Number.POSITIVE_INFINITY
  for (const path of ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes']) {
    const found = existsSync(path) ? Number(readFileSync(path, 'utf8')) : Number.NaN
    if (Number.isFinite(found)) limit = Math.min(limit, found)
  }
  const isLimited = limit < totalmem()
  return { totalBytes: isLimited ? limit : totalmem(), freeBytes: freemem(), isLimited }
}
