import { serveHost } from '../process-guard.ts'
import { performRun } from './perform-run.ts'
import type { FromStudyWorker, ToStudyWorker } from './worker-messages.ts'

// The program of a process that does one run of a study after the other for the host on the other end of the message channel.

process.on('message', async ({ run, place }: ToStudyWorker) => {
  const reply: FromStudyWorker = await performRun(run, place).then(
    () => ({}),
    (error) => ({ failure: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  )
  process.send!(reply)
})
serveHost()
