import { createHash } from 'node:crypto'
import { type DataSource, dataFilesOf, type HubDataOptions } from '../data/sources.ts'
import { CoppiceError } from '../errors.ts'
import { refuseUnknownKeys } from '../options.ts'
import {
  hasColumn,
  int32List,
  type RolloutBatch,
  readTable,
  type TokenColumns,
  textColumn,
} from '../rollouts.ts'
import type { Task } from '../tasks/task.ts'
import type { Tokenizer } from '../tokenizer.ts'
import { RowOrder } from '../trainer/row-order.ts'

/** One example of maximum likelihood; an end token is part of the completion. */
export interface SupervisedRow {
  promptTokens: Int32Array
  completionTokens: Int32Array
}

/** Where a supervised run's batches come from. */
export interface SupervisedBatches {
  /** What decides the batches, for the record of the run. */
  readonly record: Readonly<Record<string, unknown>>
  /**
   * Tokens of the longest row, prompt and completion together. Memory is then taken for it before the first step; absent,
   * for rows of up to the token budget.
   */
  readonly longestRow?: number
  /** The rows of step `step` (from 1); the same for the same step, whatever was asked for before. */
  batchOf(step: number): TokenColumns
}

/** Batches of `batchRows` from given rows, in an order of its own for every epoch. */
export function shuffledBatches(
  rows: readonly SupervisedRow[],
  batchRows: number,
  seed: number,
): SupervisedBatches {
  const order = new RowOrder(seed, 'supervised rows', rows.length, batchRows, 'batchRows')
  const hash = createHash('sha256')
  for (const { promptTokens, completionTokens } of rows) {
    hash
      .update(`${promptTokens.length} ${completionTokens.length} `)
      .update(promptTokens)
      .update(completionTokens)
  }
  return {
    record: { rows: rows.length, digest: hash.digest('hex').slice(0, 16), batch_rows: batchRows, seed },
    longestRow: rows.reduce(
      (longest, { promptTokens, completionTokens }) =>
        Math.max(longest, promptTokens.length + completionTokens.length),
      1,
    ),
    batchOf: (step) => tokenColumnsFrom(order.rowsOf(step).map((row) => rows[row]!)),
  }
}

/** Fresh demonstrations of a task in every batch: none is seen twice. */
export function demonstrationBatches(task: Task, batchRows: number, seed: number): SupervisedBatches {
  return {
    record: { task: task.name, options: task.options, batch_rows: batchRows, seed },
    batchOf(step) {
      const { tokens, offsets, promptLengths } = task.demonstrationTokens(
        batchRows,
        seed,
        (step - 1) * batchRows,
      )
      const rows = Array.from(promptLengths, (length, row) => ({
        promptTokens: tokens.subarray(offsets[row], offsets[row]! + length),
        completionTokens: tokens.subarray(offsets[row]! + length, offsets[row + 1]),
      }))
      return tokenColumnsFrom(rows)
    },
  }
}

/** The given rows as list columns. */
export function tokenColumnsFrom(rows: readonly SupervisedRow[]): TokenColumns {
  const list = (name: keyof SupervisedRow) => {
    const offsets = new Int32Array(rows.length + 1)
    rows.forEach((row, i) => {
      offsets[i + 1] = offsets[i]! + row[name].length
    })
    const values = new Int32Array(offsets.at(-1)!)
    rows.forEach((row, i) => {
      values.set(row[name], offsets[i])
    })
    return { values, offsets }
  }
  return { rows: rows.length, promptTokens: list('promptTokens'), completionTokens: list('completionTokens') }
}

/**
 * Reads examples from an .arrow or .jsonl file, several of them, or a data set of the hub made of them: `prompt_tokens` and `completion_tokens` as they are, or `prompt` and
 * `completion` as text, behind which the tokenizer's end token is put.
 */
export async function readSupervisedRows(
  source: DataSource,
  tokenizer: Tokenizer | undefined,
  options: HubDataOptions = {},
): Promise<SupervisedRow[]> {
  refuseUnknownKeys(options, ['revision', 'subset', 'split'], 'readSupervisedRows')
  const rows: SupervisedRow[] = []
  const { paths } = await dataFilesOf(source, options)
  for (const path of paths) {
    for (const row of supervisedRowsOf(await readTable(path), path, tokenizer)) rows.push(row)
  }
  return rows
}

function supervisedRowsOf(
  table: RolloutBatch,
  path: string,
  tokenizer: Tokenizer | undefined,
): SupervisedRow[] {
  if (hasColumn(table, 'prompt_tokens') && hasColumn(table, 'completion_tokens')) {
    const [prompts, completions] = [int32List(table, 'prompt_tokens'), int32List(table, 'completion_tokens')]
    return Array.from({ length: table.numRows }, (_, row) => ({
      promptTokens: prompts.values.subarray(prompts.offsets[row], prompts.offsets[row + 1]),
      completionTokens: completions.values.subarray(completions.offsets[row], completions.offsets[row + 1]),
    }))
  }
  if (tokenizer === undefined) {
    throw new CoppiceError('INVALID_ARGUMENT', 'text without a tokenizer', {
      where: path,
      expected: 'a model folder with tokenizer.json, or the columns prompt_tokens and completion_tokens',
    })
  }
  const [prompts, completions] = [textColumn(table, 'prompt'), textColumn(table, 'completion')]
  const end = tokenizer.eosTokenId === undefined ? [] : [tokenizer.eosTokenId]
  return prompts.map((prompt, row) => {
    const completion = completions[row]
    if (prompt === null || completion == null) {
      throw new CoppiceError('INVALID_ARGUMENT', 'null where a text is needed', {
        where: `${path}, row ${row}`,
      })
    }
    const completionTokens = tokenizer.encode(completion, { addSpecialTokens: false })
    return {
      promptTokens: tokenizer.encode(prompt),
      completionTokens: Int32Array.from([...completionTokens, ...end]),
    }
  })
}
