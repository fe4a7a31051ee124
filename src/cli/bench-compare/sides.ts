import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { CoppiceError } from '../../index.ts'
import type { CompareCase } from './cases.ts'
import { type ContenderLine, parseContenderLine } from './contender-line.ts'
import { type Contender, environmentOf, PROGRAMS, type Setting } from './contenders.ts'

/** Does a case in a process of its own. */
export interface Side {
  name: string
  run(asked: CompareCase): Promise<ContenderLine>
}

/** A command line whose last word is the case. */
export interface Program {
  name: string
  command: string
  args: readonly string[]
  env?: Readonly<Record<string, string>>
  timeoutSeconds: number
  /** Ends the process at once. */
  signal?: AbortSignal | undefined
}

const STDERR_KEPT = 4096

export function processSide(program: Program, variant = ''): Side {
  const { name } = program
  return {
    name,
    async run(asked) {
      const output = await runProgram(program, JSON.stringify({ ...asked, variant }))
      return parseContenderLine(output, `${name} on ${asked.name}`)
    },
  }
}

/** coppice itself, by `bench --case`. */
export function ownSide(isa: string | undefined, options: Pick<Program, 'timeoutSeconds' | 'signal'>): Side {
  const isSource = import.meta.url.endsWith('.ts')
  const loader = isSource
    ? ['--import', pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href]
    : []
  const main = fileURLToPath(new URL(isSource ? '../main.ts' : '../main.js', import.meta.url))
  const args = [...loader, main, 'bench', ...(isa === undefined ? [] : ['--isa', isa]), '--case']
  return processSide({ name: 'coppice', command: process.execPath, args, ...options })
}

/** A contender under a setting, or undefined where this machine lacks a library that the setting asks for. */
export function contenderSide(
  contender: Contender,
  variant: string,
  setting: Setting,
  { python, ...limits }: Pick<Program, 'timeoutSeconds' | 'signal'> & { python: string | undefined },
): Side | undefined {
  const at = (asked: CompareCase): CompareCase => ({ ...asked, threads: setting.threads ?? asked.threads })
  const environment = (asked: CompareCase) => environmentOf(setting, at(asked).threads)
  const base = {
    ...{ name: contender.name, command: contender.python(python), ...limits },
    args: [join(PROGRAMS, contender.program), '--case'],
  }
  if (environmentOf(setting, 1) === undefined) return undefined
  return {
    name: contender.name,
    run: (asked) => processSide({ ...base, env: environment(asked)! }, variant).run(at(asked)),
  }
}

/** Standard output of a program that ended well; INTERNAL with its last words where it did not. */
function runProgram(program: Program, text: string): Promise<string> {
  const { name, command, timeoutSeconds } = program
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...program.args, text], {
      env: { ...process.env, ...program.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(program.signal !== undefined && { signal: program.signal, killSignal: 'SIGKILL' }),
    })
    const fail = (what: string) => reject(new CoppiceError('INTERNAL', what, { where: name }))
    let stdout = ''
    let stderr = ''
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      child.kill('SIGKILL')
    }, 1000 * timeoutSeconds)
    const stop = () => child.kill('SIGKILL')
    process.once('exit', stop)
    child.stdout.setEncoding('utf8').on('data', (data: string) => {
      stdout += data
    })
    child.stderr.setEncoding('utf8').on('data', (data: string) => {
      stderr = (stderr + data).slice(-STDERR_KEPT)
    })
    child.on('error', (error) => {
      clearTimeout(timer)
      process.off('exit', stop)
      if (error.name === 'AbortError') reject(error)
      else fail(error.message)
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      process.off('exit', stop)
      const lastWords = stderr.trim().split('\n').at(-1) ?? ''
      if (code === 0) resolve(stdout)
      else if (timedOut) fail(`stopped after ${timeoutSeconds} s`)
      else fail(`ended with ${signal ?? code}${lastWords === '' ? '' : `: ${lastWords}`}`)
    })
  })
}
