import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Environment } from '../environment.ts'
import { CoppiceError } from '../errors.ts'
import type { Evaluation } from '../evaluate.ts'
import { replaceFile } from '../replace-file.ts'
import type { RightCount } from '../statistics/pass-at-k.ts'
import type { RunIdentity } from './settings.ts'

/** What remains of a run: all that a report of the study is made from, in a few kilobytes. */
export interface StudyRecord {
  format: 1
  hash: string
  label: string
  identity: RunIdentity
  environment: Environment & { isa: string; threads: number; started_at: string }
  /**
   * Wall time of training and of evaluation, and processor time of both, which other work on the machine moves less. A run that was
   * stopped and gone on with counts its last sitting alone.
   */
  seconds: { train: number; evaluate: number; processor?: number }
  /** By name of the held-out set. */
  sets: Record<string, SetRecord>
  /** Training metrics, [points] each: means over equal spans of steps. Null where a span has no value. */
  series: Record<string, (number | null)[]>
}

export interface SetRecord {
  /** Completions of each prompt. */
  n: number
  /** Right completions of each prompt, in the prompts' order. */
  right: number[]
  greedy_accuracy: number | null
  entropy: number
  distinct_right: number
  unparsed: number
}

/** Points of a series. */
export const SERIES_POINTS = 40

/** The metrics that a record keeps. */
export const SERIES = [
  ...[
    'accuracy',
    'frac_all_right',
    'entropy',
    'greedy_accuracy',
    'clip_ratio/low_mean',
    'clip_ratio/high_mean',
  ],
  ...['lost_in_bf16', 'grad_norm', 'updates', 'kept_rows'],
] as const

export function recordPath(folder: string, hash: string): string {
  return join(folder, `${hash}.json`)
}

export function hasRecord(folder: string, hash: string): boolean {
  return existsSync(recordPath(folder, hash))
}

export async function writeRecord(folder: string, record: StudyRecord): Promise<void> {
  await mkdir(folder, { recursive: true })
  await replaceFile(recordPath(folder, record.hash), `${JSON.stringify(record)}\n`)
}

/** Every record of a folder by its hash. DATA_CORRUPT where a file is not what its name says. */
export async function readRecords(folder: string): Promise<Map<string, StudyRecord>> {
  const records = new Map<string, StudyRecord>()
  const names = existsSync(folder) ? (await readdir(folder)).filter((name) => name.endsWith('.json')) : []
  for (const name of names.sort()) {
    const record = parseRecord(await readFile(join(folder, name), 'utf8'))
    if (record === undefined || record.format !== 1 || `${record.hash}.json` !== name) {
      throw new CoppiceError('DATA_CORRUPT', 'not the record of a run', {
        where: join(folder, name),
        expected: 'format 1 with the hash of the file name',
        received: JSON.stringify(record?.hash),
      })
    }
    records.set(record.hash, record)
  }
  return records
}

function parseRecord(text: string): StudyRecord | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export function setRecord(evaluation: Evaluation): SetRecord {
  return {
    n: evaluation.n,
    right: evaluation.rightCounts.map(({ c }) => c),
    greedy_accuracy: evaluation.greedyAccuracy?.mean ?? null,
    entropy: significant(evaluation.entropy),
    distinct_right: significant(evaluation.distinctRight.mean),
    unparsed: significant(evaluation.unparsedRate),
  }
}

export function rightCounts({ n, right }: SetRecord): RightCount[] {
  return right.map((c) => ({ n, c }))
}

/** Means of the metrics over `points` equal spans of steps, or each step where there are fewer. */
export function thinnedSeries(
  rows: readonly Readonly<Record<string, unknown>>[],
  points = SERIES_POINTS,
): StudyRecord['series'] {
  const count = Math.min(points, rows.length)
  const spans = Array.from({ length: count }, (_, i) =>
    rows.slice(Math.floor((i * rows.length) / count), Math.floor(((i + 1) * rows.length) / count)),
  )
  return Object.fromEntries(
    ['step', ...SERIES].map((key) => [
      key,
      spans.map((span) => {
        const values = span.map((row) => row[key]).filter((value) => typeof value === 'number')
        if (values.length === 0) return null
        return significant(values.reduce((sum, value) => sum + value, 0) / values.length)
      }),
    ]),
  )
}

/** Four digits are enough to draw by, and keep records small. */
function significant(value: number): number {
  return Number(value.toPrecision(4))
}
