// What travels between `parquetRows` and the process that decodes.

/** What the process ends itself by. */
export interface ParquetGuard {
  /** The process to die with. */
  hostPid: number
  memoryLimitMb: number
  /** Of the processor: a busy machine is no fault of the file. */
  timeLimitMs: number
}

export type ToParquetWorker =
  | { open: { path: string } & ParquetGuard }
  /** Columns that are to be decoded from now on, top-level names. */
  | { columns: readonly string[] }
  | { next: true }

export type FromParquetWorker =
  | { columns: readonly string[] }
  /** A list for each of the columns, all of the same length. */
  | { values: unknown[][] }
  | { end: true }
  /** The file is at fault: where in it, and what was expected. */
  | { refused: { place: string; reason: string; expected?: string } }

/** What the process prints before it ends itself; the host looks for it. */
export const PARQUET_MEMORY_MARK = 'coppice: the Parquet file takes more memory than it may'
export const PARQUET_TIME_MARK = 'coppice: the Parquet file takes more time than it may'
