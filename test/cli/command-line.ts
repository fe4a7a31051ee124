import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..')

export interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

type Kill = (signal: NodeJS.Signals) => void

/** Runs `coppice ARGS` in a process of its own. `meanwhile` may send it signals. */
export function coppice(
  args: readonly string[],
  meanwhile?: (kill: Kill) => Promise<void>,
): Promise<Outcome> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'src/cli/main.ts', ...args], { cwd: ROOT })
  const outcome: Outcome = { code: null, stdout: '', stderr: '' }
  child.stdout.on('data', (data) => {
    outcome.stdout += data
  })
  child.stderr.on('data', (data) => {
    outcome.stderr += data
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ ...outcome, code }))
    meanwhile?.((signal) => child.kill(signal)).catch(reject)
  })
}
