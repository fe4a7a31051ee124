import { styleText } from 'node:util'
import type { ExplainedRow, ExplainedToken, Explanation } from '../../index.ts'
import { textTable } from '../table.ts'

export interface TextOptions {
  /** Characters of a line; likeliest tokens that do not fit are left out. */
  width: number
  colour: boolean
}

/** About what fp32 leaves open in a log-prob. */
const NOISE = 1e-6

/** An explanation for people: tokens down, the likeliest tokens of their distributions beside. */
export function explanationText(explanation: Explanation, options: TextOptions): string {
  const rows = explanation.rows.map((row) => rowText(row, explanation, options))
  return [headText(explanation), ...rows, notesText(explanation)].join('\n\n')
}

function headText({ objective, optimizer, momentSteps, batchRows, skipped, metrics }: Explanation): string {
  const rows = `${batchRows} ${batchRows === 1 ? 'row' : 'rows'}`
  if (skipped !== undefined) {
    return `${objective.kind} on ${rows}: no step is made (${skipped.replaceAll('-', ' ')}), nothing moves`
  }
  const steps = `${momentSteps} ${momentSteps === 1 ? 'step' : 'steps'}`
  const adamw = momentSteps === 0 ? 'AdamW without moments yet' : `AdamW with the moments of ${steps}`
  const { learningRate } = optimizer
  const rate = learningRate >= 0.001 ? String(learningRate) : learningRate.toExponential()
  const step = `one step of ${optimizer.kind === 'sgd' ? 'SGD' : adamw} at ${rate}`
  const figures = `loss ${plain(metrics.loss!)}, gradient norm ${plain(metrics.grad_norm!)}`
  return `${objective.kind} on ${rows}, ${step}: ${figures}`
}

function rowText(row: ExplainedRow, explanation: Explanation, options: TextOptions): string {
  const { kind } = explanation.objective
  const ratioOne = row.kept && row.tokens.length > 0 && row.tokens.every(({ ratio }) => ratio === 1)
  const facts = [
    row.verdict ?? 'no verdict',
    row.reward === null ? 'no reward' : `reward ${plain(row.reward)}`,
    row.kept ? `advantage ${plain(row.advantage!)}` : `${kind} leaves the row out`,
    ...(row.finishReason === 'stop' ? [] : [`ended by ${row.finishReason}`]),
    ...(ratioOne ? ['every ratio 1'] : []),
    ...(row.temperature === 1 ? [] : [`temperature ${plain(row.temperature)}`]),
  ]
  const left = row.completionLength - row.tokens.length
  return [
    `row ${row.row}, group ${row.groupId}, sample ${row.sampleIndex}: ${facts.join(', ')}`,
    ...(row.prompt === null ? [] : [`prompt ${quoted(row.prompt, 80)}`]),
    row.completionLength === 0 ? '(the completion is empty)' : tokenTable(row, options),
    ...(left > 0 ? [`... ${left} more tokens (--max-tokens)`] : []),
  ].join('\n')
}

interface Cell {
  text: string
  /** Coloured by its sign: what grows and what shrinks. */
  sign?: number
}

/** Columns of a token's own; one that says nothing of any token is left out. */
const OWN: readonly { title: string; cell: (token: ExplainedToken) => Cell }[] = [
  { title: '', cell: ({ position }) => ({ text: String(position) }) },
  { title: 'token', cell: (token) => ({ text: name(token) }) },
  { title: 'log-prob', cell: ({ logprob }) => ({ text: logprob.toFixed(3) }) },
  { title: 'entropy', cell: ({ entropy }) => ({ text: entropy.toFixed(3) }) },
  { title: 'ratio', cell: ({ ratio }) => ({ text: ratio === 1 ? '' : ratio.toFixed(3) }) },
  { title: 'clipped', cell: ({ clipped }) => ({ text: clipped ?? '' }) },
  { title: 'masked', cell: ({ active }) => ({ text: active ? '' : 'yes' }) },
  { title: 'weight', cell: ({ weight }) => signedCell(weight) },
  { title: '-dL/dz', cell: ({ logitDescent }) => signedCell(logitDescent) },
  { title: 'change', cell: ({ logprob, logprobAfter }) => changeCell(logprob, logprobAfter) },
  { title: 'of entropy', cell: ({ entropy, entropyAfter }) => changeCell(entropy, entropyAfter) },
]

function tokenTable({ kept, tokens }: ExplainedRow, { width, colour }: TextOptions): string {
  const own = OWN.map(({ title, cell }) => ({ title, cells: tokens.map(cell) })).filter(
    ({ title, cells }) => (kept || title !== 'masked') && cells.some(({ text }) => text !== ''),
  )
  const likeliest = tokens[0]!.alternatives.map((_, k) => ({
    title: `top ${k + 1}`,
    cells: tokens.map(({ alternatives }) => {
      const { sampled, logprob, logprobAfter, ...token } = alternatives[k]!
      const moved = changeCell(logprob, logprobAfter)
      const percent = (100 * Math.exp(logprob)).toFixed(1)
      return { ...moved, text: `${sampled ? '*' : ''}${name(token)} ${percent}% ${moved.text}`.trimEnd() }
    }),
  }))
  const columns = [...own]
  let used = own.reduce((sum, column) => sum + widthOf(column), -2)
  for (const column of likeliest) {
    used += widthOf(column)
    if (used > width) break
    columns.push(column)
  }
  const table = tokens.map((_, i) => columns.map(({ cells }) => cells[i]!.text))
  const text = textTable(
    [columns.map(({ title }) => title), ...table],
    'right',
    colour
      ? (cell, row, column) => paint(cell, row === 0 ? undefined : columns[column]!.cells[row - 1])
      : undefined,
  )
  const shown = columns.length - own.length
  return shown === likeliest.length
    ? text
    : `${text}\n(${shown} of ${likeliest.length} likeliest tokens fit into ${width} columns; --json has all)`
}

function widthOf({ title, cells }: { title: string; cells: readonly Cell[] }): number {
  return 2 + cells.reduce((most, { text }) => Math.max(most, text.length), title.length)
}

function paint(text: string, cell: Cell | undefined): string {
  if (cell === undefined) return styleText('bold', text, { validateStream: false })
  const sign = Math.sign(cell.sign ?? 0)
  return sign === 0 ? text : styleText(sign > 0 ? 'green' : 'red', text, { validateStream: false })
}

function notesText({ rows, skipped, maxRecordedGap }: Explanation): string {
  const tokens = rows.flatMap((row) => row.tokens)
  const changes = tokens.map(({ logprob, logprobAfter }) => Math.abs((logprobAfter ?? logprob) - logprob))
  const notes = [
    "weight: -dL/dlog-prob. -dL/dz: the same of the token's logit. change: of the log-prob, measured.",
    'top: the likeliest tokens before the step (* the one drawn), their probability and change of log-prob.',
  ]
  if (maxRecordedGap > 0) {
    notes.push(
      `The recorded log-probs are up to ${plain(maxRecordedGap)} away from this model's: an earlier step's, another ` +
        "model's or another instruction set's.",
    )
  }
  if (rows.some((row) => !row.kept) && skipped === undefined) {
    notes.push(
      'Tokens of rows that are left out weigh nothing; what moves them is the other rows of the batch.',
    )
  }
  if (skipped === undefined && tokens.length > 0 && Math.max(...changes) < NOISE) {
    notes.push(
      `Every change is within what fp32 leaves open (${NOISE}): a larger --learning-rate shows more.`,
    )
  }
  return notes.join('\n')
}

function name({ id, text }: { id: number; text: string | null }): string {
  return text === null ? `#${id}` : quoted(text, 20)
}

function quoted(text: string, most: number): string {
  const whole = JSON.stringify(text)
  return whole.length <= most ? whole : `${whole.slice(0, most - 3)}..."`
}

function changeCell(before: number, after: number | null): Cell {
  return after === null ? { text: '' } : signedCell(after - before)
}

function signedCell(value: number): Cell {
  return { text: value > 0 ? `+${plain(value)}` : plain(value), sign: value }
}

/** About three digits. */
function plain(value: number): string {
  const size = Math.abs(value)
  if (size === 0 || (Number.isInteger(value) && size < 1e6)) return String(value)
  return size >= 0.001 && size < 1e6 ? String(Number(value.toPrecision(3))) : value.toExponential(1)
}
