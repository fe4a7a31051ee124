import { CoppiceError, describeValue } from '../errors.ts'
import {
  type ColumnMapping,
  type ColumnOptions,
  mappingOf,
  missingColumn,
  noPromptColumn,
} from './layouts.ts'
import { messagesOf, type PromptMessage, userText } from './messages.ts'
import { columnOf, type JsonRow, type RowFault, valueAt } from './read-row.ts'
import { referenceOf, scalarText } from './references.ts'

/** What a row says of a prompt. */
export interface PromptText {
  /** Undefined where the file names none. */
  promptId: string | undefined
  prompt: string
  reference: string
  /** Where the column holds a chat; `prompt` is then what the user says. */
  messages?: readonly PromptMessage[]
  tokens?: Int32Array
}

/** Finds out which columns make a prompt, and makes prompts of rows. */
export class PromptMapper {
  readonly #options: ColumnOptions
  readonly #where: string
  /** Absent references are empty: Arrow columns may hold nulls. */
  readonly #nullableReference: boolean
  /** The mapping of the first row, or of a file with a schema; rows that would be read in another way are bad. */
  #mapping: ColumnMapping | undefined
  #lastColumns: readonly string[] | undefined
  #lastMapping: ColumnMapping | undefined

  constructor(options: ColumnOptions, where: string, nullableReference: boolean) {
    this.#options = options
    this.#where = where
    this.#nullableReference = nullableReference
  }

  /** Holds the columns of a file, or of its first row, against the options; the top-level ones that are needed. */
  begin(columns: readonly string[]): string[] {
    const mapping = mappingOf(columns, this.#options)
    if (mapping === undefined) throw noPromptColumn(columns, this.#where)
    const { prompt, tokens, reference, id } = mapping
    const needed = new Set<string>()
    for (const path of [prompt, tokens, reference?.column, id]) {
      if (path === undefined) continue
      const column = columnOf(columns, path)
      if (column === undefined) throw missingColumn(path, columns, this.#where)
      needed.add(column)
    }
    if (this.#mapping !== undefined && !isSame(mapping, this.#mapping)) {
      throw new CoppiceError('DATA_CORRUPT', 'other columns than in the first file', {
        where: this.#where,
        expected: columnsText(this.#mapping),
        received: `the columns ${columns.join(', ')}`,
      })
    }
    this.#mapping = mapping
    return [...needed]
  }

  map(row: JsonRow): PromptText | { fault: RowFault } {
    const mapping = this.#mappingFor(row)
    if ('fault' in mapping) return mapping
    const tokens = mapping.tokens === undefined ? undefined : tokensOf(valueAt(row, mapping.tokens))
    if (tokens !== undefined && 'fault' in tokens) return tokens
    const text = textOf(
      mapping.prompt === undefined ? '' : valueAt(row, mapping.prompt),
      mapping,
      tokens !== undefined,
    )
    if ('fault' in text) return text
    const reference = this.#referenceOf(row, mapping)
    if ('fault' in reference) return reference
    return {
      promptId: mapping.id === undefined ? undefined : scalarText(valueAt(row, mapping.id)),
      ...text,
      reference: reference.text,
      ...(tokens !== undefined && { tokens: tokens.tokens }),
    }
  }

  #referenceOf(row: JsonRow, { reference }: ColumnMapping): { text: string } | { fault: RowFault } {
    if (reference === undefined) return { text: '' }
    const value = valueAt(row, reference.column)
    if (value === null && this.#nullableReference) return { text: '' }
    return referenceOf(value, reference)
  }

  #mappingFor(row: JsonRow): ColumnMapping | { fault: RowFault } {
    const columns = Object.keys(row)
    // Rows mostly have the columns of the row before.
    if (!sameNames(columns, this.#lastColumns)) {
      this.#lastColumns = columns
      this.#lastMapping = mappingOf(columns, this.#options)
    }
    const mapping = this.#lastMapping
    this.#mapping ??= mapping
    if (mapping === undefined)
      return { fault: { reason: 'no prompt', received: `the columns ${columns.join(', ')}` } }
    if (isSame(mapping, this.#mapping!)) return mapping
    return {
      fault: {
        reason: 'other columns than the first row',
        expected: columnsText(this.#mapping!),
        received: `the columns ${columns.join(', ')}`,
      },
    }
  }
}

function isSame(a: ColumnMapping, b: ColumnMapping): boolean {
  return a.prompt === b.prompt && a.tokens === b.tokens && a.reference?.column === b.reference?.column
}

function columnsText({ prompt, tokens, reference }: ColumnMapping): string {
  return [prompt, tokens, reference?.column].filter((name) => name !== undefined).join(', ')
}

function sameNames(names: readonly string[], others: readonly string[] | undefined): boolean {
  return names.length === others?.length && names.every((name, i) => name === others[i])
}

function textOf(
  value: unknown,
  { prompt: column, isChat }: ColumnMapping,
  hasTokens: boolean,
): { prompt: string; messages?: PromptMessage[] } | { fault: RowFault } {
  // A text is a text even where it looks like a list of messages, unless its column is the one for messages.
  if (typeof value === 'string' && isChat !== true) return { prompt: value }
  const chat = messagesOf(value)
  if (chat === undefined) {
    if (hasTokens && (value === null || value === undefined)) return { prompt: '' }
    return {
      fault: {
        reason: `no prompt in '${column}'`,
        expected: 'a text, or a list of messages with role and content',
        received: describeValue(value),
      },
    }
  }
  if ('fault' in chat) return { fault: { ...chat.fault, reason: `'${column}': ${chat.fault.reason}` } }
  return { prompt: userText(chat.messages), messages: chat.messages }
}

function tokensOf(value: unknown): { tokens: Int32Array } | { fault: RowFault } {
  if (value instanceof Int32Array) return { tokens: value }
  const isList =
    Array.isArray(value) && value.every((item) => typeof item === 'number' && (item | 0) === item)
  if (isList) return { tokens: Int32Array.from(value as number[]) }
  return {
    fault: {
      reason: "wrong value in 'prompt_tokens'",
      expected: 'a list of int32 numbers',
      received: describeValue(value),
    },
  }
}
