import type { Sample } from '../verdicts.ts'

/** Where a worker process gets its verifier: a built-in one by its spec, or a module's default export. */
export type WorkerSource = { builtin: string } | { file: string }

export interface WorkerSetup {
  source: WorkerSource
  /** After this long a sample's signal is aborted and its answer no longer counts. */
  timeoutMs: number
  memoryLimitMb: number
  /** The process to die with. */
  hostPid: number
}

export type ToWorker = { setup: WorkerSetup } | { sample: Sample }

export type FromWorker =
  | { ready: true }
  /** The verifier cannot be loaded. */
  | { refused: string }
  | { answer: unknown }
  /** The verifier threw. */
  | { failure: string }
  | { late: true }

/** What a worker prints before it ends itself over its memory; the host looks for it. */
export const MEMORY_MARK = 'coppice: the verifier used more memory than it may'
