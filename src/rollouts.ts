// Batches of rollouts: the columns, typed views of them, ways to cut and join batches, and files.

export {
  appendColumns,
  concatBatches,
  dropColumns,
  emptyBatch,
  makeBatch,
  sliceRows,
  takeRows,
} from './rollouts/batches.ts'
export type { ColumnValues } from './rollouts/column-data.ts'
export type { ListValues, ListView, RolloutColumns, TokenColumns } from './rollouts/columns.ts'
export {
  columnsOf,
  float32List,
  hasColumn,
  int32Column,
  int32List,
  textColumn,
  tokenColumnsOf,
} from './rollouts/columns.ts'
export { readBatches, readTable, writeTable } from './rollouts/files.ts'
export { joinColumns } from './rollouts/join-columns.ts'
export type { FinishReason, KnownColumn, RolloutBatch, RolloutSchemaOptions } from './rollouts/schema.ts'
export { FINISH_REASONS, KNOWN_COLUMNS, promptSchema, rolloutSchema, VERDICTS } from './rollouts/schema.ts'
export { takeLists, takeTokenRows } from './rollouts/token-rows.ts'
