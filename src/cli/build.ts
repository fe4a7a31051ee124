import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { addonStatus, CoppiceError } from '../index.ts'
import { defineVerb } from './verb.ts'

export const buildVerb = defineVerb({
  command: 'build',
  describe: 'build the native addon from source (needs a C++20 compiler, CMake and make)',
  flags: {
    jobs: { type: 'number', default: availableParallelism(), describe: 'files compiled at a time' },
    clean: { type: 'boolean', default: false, describe: 'build everything anew' },
  },
  async run(args) {
    const { path } = addonStatus()
    // <package>/build/Release/coppice.node
    const root = dirname(dirname(dirname(path)))
    const cmakeJs = join(
      dirname(fileURLToPath(import.meta.resolve('cmake-js/package.json'))),
      'bin',
      'cmake-js',
    )
    await run(
      root,
      [cmakeJs, args.clean ? 'rebuild' : 'compile', ...['--CDCMAKE_BUILD_TYPE=Release']],
      args.jobs,
    )
    const status = addonStatus()
    if (!status.usable) throw new CoppiceError('DEVICE_UNAVAILABLE', status.problem)
    console.log(`${status.path}: ready, ${status.instructionSets[0]} on ${status.cores} cores`)
  },
})

function run(directory: string, args: string[], jobs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...args, '--log-level', 'warn', '--parallel', String(jobs)], {
      cwd: directory,
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (code === 0) resolve()
      else {
        reject(
          new CoppiceError('DEVICE_UNAVAILABLE', `the build failed (${signal ?? `exit ${code}`})`, {
            expected: 'a C++20 compiler, CMake and make; `coppice doctor` tells which of them are missing',
          }),
        )
      }
    })
  })
}
