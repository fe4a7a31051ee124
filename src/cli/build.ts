import { availableParallelism } from 'node:os'
import { addonStatus, buildAddon, CoppiceError } from '../index.ts'
import { defineVerb } from './verb.ts'

export const buildVerb = defineVerb({
  command: 'build',
  describe: 'build the native addon from source (needs a C++20 compiler, CMake and make)',
  flags: {
    jobs: { type: 'number', default: availableParallelism(), describe: 'files compiled at a time' },
    clean: { type: 'boolean', default: false, describe: 'build everything anew' },
    tool: {
      choices: ['cmake', 'gyp'],
      describe: 'gyp does without CMake, for the CPU alone [default: what is there]',
    },
  },
  async run(args) {
    await buildAddon({
      jobs: args.jobs,
      clean: args.clean,
      ...(args.tool !== undefined && { tool: args.tool }),
    })
    const status = addonStatus()
    if (!status.usable) throw new CoppiceError('DEVICE_UNAVAILABLE', status.problem)
    console.log(`${status.path}: ready, ${status.instructionSets[0]} on ${status.cores} cores`)
  },
})
