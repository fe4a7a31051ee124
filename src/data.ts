// Data sets in files: rows of any of the formats, as prompts or as a batch of columns.

export {
  BAD_ROW_POLICIES,
  type BadRowPolicy,
  type SkippedRows,
  skippedText,
} from './data/bad-rows.ts'
export type { ColumnOptions } from './data/layouts.ts'
export type { PromptMessage } from './data/messages.ts'
export type { PromptOptions, RowOptions } from './data/options.ts'
export { dataExtensions } from './data/read-rows.ts'
export { type ShuffleCursor, ShuffledRows, shuffledOrder } from './data/shuffle.ts'
export type { DataSource, HubDataOptions } from './data/sources.ts'
export { readDataTable, type TableOptions } from './data/table.ts'
