#!/usr/bin/env node
import { runCommandLine } from './run.ts'
import { VERBS } from './verbs.ts'

// A reader that closes the pipe early (`coppice inspect x | head -1`) has what it wanted.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})

process.exitCode = await runCommandLine(process.argv.slice(2), VERBS)
