import { refuseUnknownKeys, requireInteger, requireOneOf } from '../options.ts'
import { BAD_ROW_POLICIES, type BadRowPolicy, type SkippedRows } from './bad-rows.ts'
import { type Filter, parseFilter } from './filters.ts'
import type { ColumnOptions } from './layouts.ts'
import type { HubDataOptions } from './sources.ts'

/** Which rows of a data file are read. */
export interface RowOptions extends HubDataOptions {
  /** `column=value` or `column!=value`, over values as text; a row has to meet all. Default: none. */
  filters?: readonly string[]
  /** What a row that cannot be used does: end the reading, or be left out and counted. Default `stop`. */
  onBadRow?: BadRowPolicy
  /** At most so many rows, counted behind filters and shuffle. Default: all. */
  limit?: number
  /** Puts the rows in the order of this seed's first epoch. Default: the file's order. */
  shuffleSeed?: number
  /** Hears of rows that were left out, if any were. */
  onSkipped?: (skipped: SkippedRows) => void
}

/** Which columns of a data file make a prompt, and which rows are read. */
export interface PromptOptions extends RowOptions, ColumnOptions {}

export interface ResolvedRowOptions {
  filters: readonly Filter[]
  onBadRow: BadRowPolicy
  limit: number
  shuffleSeed: number | undefined
  onSkipped: ((skipped: SkippedRows) => void) | undefined
}

const ROW_KEYS = ['filters', 'onBadRow', 'limit', 'shuffleSeed', 'onSkipped', 'revision', 'subset', 'split']
const COLUMN_KEYS = ['promptColumn', 'messagesColumn', 'referenceColumn', 'idColumn']

/** Fills in defaults and refuses what makes no sense; `further` are keys that the caller knows. */
export function resolveRowOptions(options: RowOptions, further: readonly string[] = []): ResolvedRowOptions {
  refuseUnknownKeys(options, [...ROW_KEYS, ...COLUMN_KEYS, ...further], 'data')
  const { filters = [], onBadRow = 'stop', limit, shuffleSeed, onSkipped } = options
  return {
    filters: filters.map(parseFilter),
    onBadRow: requireOneOf(onBadRow, 'onBadRow', BAD_ROW_POLICIES),
    limit: limit === undefined ? Number.POSITIVE_INFINITY : requireInteger(limit, 'limit', 1),
    shuffleSeed: shuffleSeed === undefined ? undefined : requireInteger(shuffleSeed, 'shuffleSeed', 0),
    onSkipped,
  }
}
