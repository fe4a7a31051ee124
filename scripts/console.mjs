// What the set-up scripts print and run with. No dependencies: these run before anything is installed.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')

export function say(text) {
  process.stdout.write(`${text}\n`)
}

/** Ends the process with one line that says what to do. */
export function giveUp(text, code = 1) {
  process.stderr.write(`${text}\n`)
  process.exit(code)
}

/** Runs a command in the project's root and gives up when it fails. `quiet` shows its output only then. */
export function run(
  command,
  args,
  { quiet = false, env = process.env, what = [command, ...args].join(' ') } = {},
) {
  const result = spawnSync(command, args, {
    cwd: root,
    env,
    stdio: quiet ? 'pipe' : 'inherit',
    encoding: 'utf8',
  })
  if (result.error !== undefined) giveUp(`${what}: ${result.error.message}`)
  if (result.status === 0) return
  if (quiet) process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`)
  giveUp(`${what} failed (${result.signal ?? `exit ${result.status}`})`)
}

export function has(command) {
  return spawnSync('sh', ['-c', `command -v ${command}`], { stdio: 'ignore' }).status === 0
}

/** Seconds since `start` (performance.now()), for people. */
export function elapsed(start) {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`
}
