import { CoppiceError, describeValue } from '../errors.ts'
import type { ReportData, ReportRun, SampleColumn } from './report-data.ts'
import { requireReportShape } from './report-shape.ts'

/**
 * Refuses data that a report would misrepresent: names that do not match, runs without a set, sets whose prompts
 * differ between runs, tokens without log-probs. Counts themselves are checked by the statistics.
 *
 * @throws CoppiceError DATA_CORRUPT where the shape is another, naming the path; INVALID_ARGUMENT or SHAPE_MISMATCH,
 * naming method, seed and set
 */
export function checkReportData(data: ReportData): void {
  requireReportShape(data)
  if (data.sets.length === 0) throw fault('sets', 'at least one held-out set', 'none')
  if (data.methods.length === 0) throw fault('methods', 'at least one method', 'none')
  requireUnique(
    'sets',
    data.sets.map((set) => set.name),
  )
  requireUnique(
    'methods',
    data.methods.map((method) => method.name),
  )
  const bases = data.methods.filter((method) => method.base === true).length
  if (bases > 1) throw fault('methods', 'at most one base policy', String(bases))
  for (const method of data.methods) {
    if (method.runs.length === 0) throw fault(`method ${method.name}`, 'at least one run', 'none')
    requireUnique(
      `method ${method.name}, seeds`,
      method.runs.map((run) => run.seed),
    )
    for (const run of method.runs) checkRun(data, run, `method ${method.name}, seed ${run.seed}`)
  }
  for (const group of data.groups ?? []) {
    for (const column of group.columns) checkColumn(data, column, `prompt ${group.prompt_id}`)
  }
}

function checkRun(data: ReportData, run: ReportRun, where: string): void {
  for (const set of data.sets) {
    const evaluation = run.evaluations[set.name]
    if (evaluation === undefined) throw fault(where, `an evaluation on set '${set.name}'`, 'none')
    const prompts = evaluation.right_counts.length
    const expected = data.methods[0]!.runs[0]!.evaluations[set.name]?.right_counts.length
    if (prompts === 0 || prompts !== expected) {
      throw new CoppiceError('SHAPE_MISMATCH', 'runs have different prompts', {
        where: `${where}, set ${set.name}`,
        expected: expected ? `${expected} prompts` : 'at least one prompt',
        received: String(prompts),
      })
    }
  }
  run.metrics?.forEach((row, i) => {
    if (!Number.isFinite(row.step))
      throw fault(`${where}, metrics row ${i}`, 'a step', describeValue(row.step))
  })
}

function checkColumn(data: ReportData, column: SampleColumn, where: string): void {
  if (!data.methods.some((method) => method.name === column.method)) {
    throw fault(
      where,
      `one of the methods ${data.methods.map((method) => method.name).join(', ')}`,
      column.method,
    )
  }
  column.samples.forEach(({ tokens, logprobs, token_weights }, i) => {
    for (const [name, values] of Object.entries({ logprobs, token_weights })) {
      if (values === undefined) continue
      if (values.length === tokens.length) continue
      throw new CoppiceError('SHAPE_MISMATCH', `${name} do not fit the tokens`, {
        where: `${where}, ${column.method}, sample ${i}`,
        expected: `${tokens.length} numbers`,
        received: describeValue(values),
      })
    }
  })
}

function requireUnique(where: string, names: readonly (string | number)[]): void {
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw fault(where, 'each name once', describeValue(twice))
}

function fault(where: string, expected: string, received: string): CoppiceError {
  return new CoppiceError('INVALID_ARGUMENT', 'report data', { where, expected, received })
}
