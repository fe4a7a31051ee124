import { type RolloutBatch, readBatches, textColumn, tokenColumnsOf } from '../../index.ts'

interface ColumnFacts {
  type: string
  nulls: number
}

/** Columns, sizes and, where there are verdicts, what they say. Every batch is read and checked. */
export async function inspectTable(path: string, rowsToShow: number): Promise<Record<string, unknown>> {
  const columns: Record<string, ColumnFacts> = {}
  const verdicts: Record<string, number> = {}
  const shown: unknown[] = []
  const totals = { batches: 0, rows: 0, promptTokens: 0, completionTokens: 0 }
  for await (const batch of readBatches(path)) {
    totals.batches++
    totals.rows += batch.numRows
    addColumns(columns, batch)
    if (columns.prompt_tokens !== undefined && columns.completion_tokens !== undefined) {
      const { promptTokens, completionTokens } = tokenColumnsOf(batch)
      totals.promptTokens += promptTokens.offsets.at(-1)! - promptTokens.offsets[0]!
      totals.completionTokens += completionTokens.offsets.at(-1)! - completionTokens.offsets[0]!
    }
    if (columns.verdict !== undefined) {
      for (const verdict of textColumn(batch, 'verdict')) {
        if (verdict !== null) verdicts[verdict] = (verdicts[verdict] ?? 0) + 1
      }
    }
    for (let row = 0; row < batch.numRows && shown.length < rowsToShow; row++) {
      shown.push(JSON.parse(JSON.stringify(batch.get(row)?.toJSON(), plain)))
    }
  }
  return {
    kind: path.endsWith('.arrow') ? 'arrow' : 'jsonl',
    path,
    rows: totals.rows,
    batches: totals.batches,
    columns,
    ...(totals.completionTokens > 0 && {
      prompt_tokens: totals.promptTokens,
      completion_tokens: totals.completionTokens,
      mean_completion_length: totals.completionTokens / totals.rows,
    }),
    ...(Object.keys(verdicts).length > 0 && { verdicts }),
    ...(shown.length > 0 && { first_rows: shown }),
  }
}

function addColumns(columns: Record<string, ColumnFacts>, batch: RolloutBatch): void {
  batch.schema.fields.forEach(({ name, type }, i) => {
    columns[name] ??= { type: String(type), nulls: 0 }
    columns[name].nulls += batch.data.children[i]!.nullCount
  })
}

/** Arrow's values as JSON knows them. */
function plain(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (value !== null && typeof value === 'object' && Symbol.iterator in value) {
    return Array.from(value as Iterable<unknown>)
  }
  return value
}
