import { writeSync } from 'node:fs'
import { Worker } from 'node:worker_threads'

/** What a hosted process ends itself by; what it prints before it does is for its host to look for. */
export interface ProcessGuard {
  /** The process to die with. */
  hostPid: number
  memory: { limitMb: number; mark: string }
  /** Of the processor: a busy machine is no fault of the work. */
  processorTime?: { limitMs: number; mark: string }
  everyMs: number
}

/** Ends the process when its host hangs up, or after an error that nobody caught, which the host finds in its error output. */
export function serveHost(): void {
  process.on('disconnect', () => process.exit(0))
  process.on('uncaughtException', (error) => {
    writeSync(2, `${error}\n`)
    process.exit(1)
  })
}

/** Watches from a thread, since the work may never give the main one back. */
export function startGuard({ hostPid, memory, processorTime, everyMs }: ProcessGuard): void {
  const ends = (condition: string, mark: string) =>
    `if (${condition}) { writeSync(2, ${JSON.stringify(`${mark}\n`)}); end() }`
  const program = `
    const { writeSync } = require('node:fs')
    const end = () => process.kill(process.pid, 'SIGKILL')
    const spentMs = () => { const { user, system } = process.cpuUsage(); return (user + system) / 1000 }
    setInterval(() => {
      if (process.platform === 'win32') { try { process.kill(${hostPid}, 0) } catch { end() } }
      else if (process.ppid !== ${hostPid}) end()
      ${ends(`process.memoryUsage.rss() > ${memory.limitMb * 2 ** 20}`, memory.mark)}
      ${processorTime === undefined ? '' : ends(`spentMs() > ${processorTime.limitMs}`, processorTime.mark)}
    }, ${everyMs})`
  new Worker(program, { eval: true, execArgv: [] }).unref()
}
