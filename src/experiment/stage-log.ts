import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Environment, environment } from '../environment.ts'
import { CoppiceError } from '../errors.ts'
import { replaceFile } from '../replace-file.ts'
import type { ExperimentSettings } from './settings.ts'

interface Log {
  format: 1
  settings: ExperimentSettings
  started_at: string
  /** Where it was begun. */
  environment: Environment
  /** Stages in the order in which they were first finished, with the seconds they took in all. */
  phases: { name: string; seconds: number }[]
}

/** An experiment's folder remembers under which settings it was begun, and what has been done. */
export class StageLog {
  readonly #path: string
  readonly #log: Log

  private constructor(path: string, log: Log) {
    this.#path = path
    this.#log = log
  }

  /** Opens or begins the log in `folder`. INVALID_ARGUMENT when the folder belongs to other settings. */
  static async open(folder: string, settings: ExperimentSettings): Promise<StageLog> {
    await mkdir(folder, { recursive: true })
    const path = join(folder, 'experiment.json')
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (text === undefined) {
      const log: Log = {
        format: 1,
        settings,
        started_at: new Date().toISOString(),
        environment: environment(),
        phases: [],
      }
      const opened = new StageLog(path, log)
      await opened.#write()
      return opened
    }
    const log = JSON.parse(text) as Log
    if (log.format !== 1 || JSON.stringify(log.settings) !== JSON.stringify(settings)) {
      throw new CoppiceError('INVALID_ARGUMENT', 'holds an experiment with other settings', {
        where: folder,
        expected: `another folder, or the settings of '${log.settings?.name}' as they were`,
        received: `'${settings.name}'`,
      })
    }
    return new StageLog(path, log)
  }

  get startedAt(): string {
    return this.#log.started_at
  }

  get environment(): Environment {
    return this.#log.environment
  }

  get phases(): readonly { name: string; seconds: number }[] {
    return this.#log.phases
  }

  /** Adds the time of `work` to a phase, when it succeeds. */
  async time<T>(name: string, work: () => Promise<T>): Promise<T> {
    const begin = performance.now()
    const result = await work()
    const seconds = (performance.now() - begin) / 1000
    const phase = this.#log.phases.find((each) => each.name === name)
    if (phase === undefined) this.#log.phases.push({ name, seconds })
    else phase.seconds += seconds
    await this.#write()
    return result
  }

  #write(): Promise<void> {
    return replaceFile(this.#path, `${JSON.stringify(this.#log, null, 2)}\n`)
  }
}
