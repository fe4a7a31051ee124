import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cpus, release, type } from 'node:os'
import { fileURLToPath } from 'node:url'
import { version } from './version.ts'

/** What a figure must be read together with. */
export interface Environment {
  /** The processor, in words. */
  machine: string
  /** The source's commit with `+` for changes on top, or the version where there is no repository. */
  commit: string
  /** Name to version. */
  versions: Record<string, string>
}

export function environment(): Environment {
  return {
    machine: cpus()[0]?.model.trim() || process.arch,
    commit: commit(),
    versions: { coppice: version, node: process.version, [type()]: release() },
  }
}

function commit(): string {
  const root = fileURLToPath(new URL('..', import.meta.url))
  if (!existsSync(new URL('../.git', import.meta.url))) return `v${version}`
  const git = (...args: string[]) =>
    spawnSync('git', ['-C', root, ...args], { encoding: 'utf8', timeout: 10_000 })
  const head = git('rev-parse', '--short=10', 'HEAD')
  if (head.status !== 0) return `v${version}`
  return head.stdout.trim() + (git('diff', '--quiet', 'HEAD').status === 0 ? '' : '+')
}
