// Batches of rollouts: the columns, typed views of them, ways to cut and join batches, and files.

export type { ListValues, ListView, RolloutColumns, TokenColumns } from './rollouts/columns.ts'
export { columnsOf, hasColumn, requireSameLengths, textColumn, tokenColumnsOf } from './rollouts/columns.ts'
export type { FinishReason, KnownColumn, RolloutBatch, RolloutSchemaOptions } from './rollouts/schema.ts'
export { FINISH_REASONS, promptSchema, rolloutSchema, VERDICTS } from './rollouts/schema.ts'
