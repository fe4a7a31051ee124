import { appendFileSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CoppiceError } from '../errors.ts'
import { replaceFile, syncPath } from '../replace-file.ts'
import { regenerabilityOf } from './run-record.ts'

/** Written into a checkpoint last of all: a folder without it is not a checkpoint that a run can go on from. */
const RUN_STATE = 'run-state.json'

/** What a run must remember beside parameters and moments. Everything else follows from the options and the step. */
export interface RunState {
  /** Steps done. */
  step: number
  /** Prompt and completion tokens processed since the run's first step. */
  numTokens: number
  /** An adaptive lambda as the next step has it. */
  lambda?: number | undefined
}

/**
 * A run's folder: `run.json` (options and environment), `metrics.jsonl` (one object a step), `checkpoints/<step>/` (a
 * Hugging Face model folder with optimiser and run state beside it) and `refused-<step>.arrow` (the rollouts of a
 * step that was refused).
 */
export class RunFolder {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  get metricsPath(): string {
    return join(this.path, 'metrics.jsonl')
  }

  refusedPath(step: number): string {
    return join(this.path, `refused-${step}.arrow`)
  }

  checkpointPath(step: number): string {
    return join(this.path, 'checkpoints', String(step))
  }

  /** Where a checkpoint keeps the next step's rollouts that were sampled ahead of it. */
  pendingPath(step: number): string {
    return pendingPathIn(this.checkpointPath(step))
  }

  async readRecord(): Promise<unknown> {
    const path = join(this.path, 'run.json')
    const text = await readTextIfPresent(path)
    return text === undefined ? undefined : parseJson(text, path)
  }

  /** Writes run.json, which also says whether the steps in metrics.jsonl can be regenerated. */
  async writeRecord(record: object): Promise<void> {
    await mkdir(join(this.path, 'checkpoints'), { recursive: true })
    const metrics = metricsOf((await readTextIfPresent(this.metricsPath)) ?? '')
    const text = JSON.stringify({ ...record, ...regenerabilityOf(metrics) }, null, 2)
    await replaceFile(join(this.path, 'run.json'), `${text}\n`)
  }

  /** Steps of the complete checkpoints, ascending: found by looking, never by a pointer that could be stale. */
  async checkpointSteps(): Promise<number[]> {
    const names = await readdir(join(this.path, 'checkpoints')).catch(ignoreMissing)
    const steps = (names ?? []).filter((name) => /^\d+$/.test(name)).map(Number)
    const complete: number[] = []
    for (const step of steps.sort((a, b) => a - b)) {
      if (await isFile(join(this.checkpointPath(step), RUN_STATE))) complete.push(step)
    }
    return complete
  }

  async readRunState(step: number): Promise<RunState> {
    const path = join(this.checkpointPath(step), RUN_STATE)
    const state = parseJson(await readFile(path, 'utf8'), path) as Record<string, unknown> | null
    const numTokens = state?.num_tokens
    const lambda = state?.lambda
    const isKnown = typeof numTokens === 'number' && ['undefined', 'number'].includes(typeof lambda)
    if (state?.step !== step || !isKnown) {
      throw new CoppiceError('CHECKPOINT_CORRUPT', 'not the state of this step', {
        where: path,
        expected: `step ${step} with num_tokens`,
        received: JSON.stringify(state),
      })
    }
    return { step, numTokens, ...(lambda !== undefined && { lambda: lambda as number }) }
  }

  /**
   * Writes a checkpoint that is either there in whole or not at all: `fill` writes model and optimiser into a folder
   * under another name, which takes its name when all is in it. Then removes all but the `keep` newest.
   */
  async saveCheckpoint(
    state: RunState,
    keep: number,
    fill: (directory: string) => Promise<void>,
  ): Promise<void> {
    const path = this.checkpointPath(state.step)
    // The same step of the same run has the same bytes: one that is there in whole is left alone.
    if (await isFile(join(path, RUN_STATE))) return
    const partial = join(this.path, 'checkpoints', `.${state.step}.partial`)
    await rm(partial, { recursive: true, force: true })
    await mkdir(partial, { recursive: true })
    await fill(partial)
    const { lambda } = state
    const record = { step: state.step, num_tokens: state.numTokens, ...(lambda !== undefined && { lambda }) }
    await writeFile(join(partial, RUN_STATE), `${JSON.stringify(record, null, 2)}\n`)
    await syncPath(join(partial, RUN_STATE))
    await syncPath(partial)
    // A rename does not replace a folder that is not empty, and this one is not a checkpoint.
    await rm(path, { recursive: true, force: true })
    await rename(partial, path)
    await syncPath(join(this.path, 'checkpoints'))
    for (const old of (await this.checkpointSteps()).slice(0, -keep)) {
      await rm(this.checkpointPath(old), { recursive: true, force: true })
    }
  }

  /**
   * Makes metrics.jsonl end at `step`: lines of later steps, and one that a kill left unfinished, are dropped. They come
   * again with the same content.
   */
  async cutMetrics(step: number): Promise<void> {
    const text = (await readTextIfPresent(this.metricsPath)) ?? ''
    const lines = text.split('\n').filter((line) => {
      const lineStep = stepOfLine(line)
      return lineStep !== undefined && lineStep <= step
    })
    await replaceFile(this.metricsPath, lines.map((line) => `${line}\n`).join(''))
  }

  /** At once: for a line, the way to another thread and back takes longer than writing it. */
  appendMetrics(line: object): void {
    appendFileSync(this.metricsPath, `${JSON.stringify(line)}\n`)
  }
}

export function pendingPathIn(checkpoint: string): string {
  return join(checkpoint, 'pending-rollouts.arrow')
}

/** Reads a metrics file; a last line that a kill left unfinished is passed over. */
export async function readMetrics(path: string): Promise<Record<string, number>[]> {
  return metricsOf(await readFile(path, 'utf8'))
}

function metricsOf(text: string): Record<string, number>[] {
  const lines = text.split('\n').filter((line) => stepOfLine(line) !== undefined)
  return lines.map((line) => JSON.parse(line))
}

function stepOfLine(line: string): number | undefined {
  try {
    const { step } = JSON.parse(line)
    return typeof step === 'number' ? step : undefined
  } catch {
    return undefined
  }
}

async function readTextIfPresent(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(ignoreMissing)
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
  return undefined
}

async function isFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(ignoreMissing)
  return found?.isFile() === true
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CoppiceError('DATA_CORRUPT', 'not JSON', { where: path, cause })
  }
}
