import { availableParallelism } from 'node:os'
import { addonStatus, buildAddon, CoppiceError } from '../index.ts'
import { defineVerb } from './verb.ts'

export const buildVerb = defineVerb({
  command: 'build',
  describe: 'build the native addon from source (needs a C++20 compiler, make, and CMake or Python)',
  flags: {
    jobs: { type: 'number', default: availableParallelism(), describe: 'files compiled at a time' },
    clean: { type: 'boolean', default: false, describe: 'build everything anew' },
    tool: {
      type: 'string',
      choices: ['cmake', 'gyp'] as const,
      describe: 'cmake (CPU and CUDA; the default where CMake is installed) or gyp (CPU alone)',
    },
  },
  async run({ jobs, clean, tool }) {
    await buildAddon({ jobs, clean, ...(tool !== undefined && { tool }) })
    const status = addonStatus()
    if (!status.usable) throw new CoppiceError('DEVICE_UNAVAILABLE', status.problem)
    console.log(`${status.path}: ready, ${status.instructionSets[0]} on ${status.cores} cores`)
  },
})
