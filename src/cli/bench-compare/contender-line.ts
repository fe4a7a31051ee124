import { CoppiceError } from '../../index.ts'

/** What a process says about its case: how long its runs took, or why there were none. */
export type ContenderLine = MeasuredLine | NotRunLine

interface LineHead {
  contender: string
  variant: string
  op: string
  shape: string
}

export interface MeasuredLine extends LineHead {
  dtype: string
  threads: number
  /** Of single runs. */
  seconds: readonly number[]
  /** Of one run; 0 where tokens are not what counts. */
  tokens: number
  peak_rss_mib: number
  /** Name to version, the one that matters first. */
  versions: Readonly<Record<string, string>>
}

export interface NotRunLine extends LineHead {
  not_run: string
}

export function isNotRun(line: ContenderLine): line is NotRunLine {
  return 'not_run' in line
}

type Check = [expected: string, holds: (value: unknown) => boolean]

const TEXT: Check = ['a text', (value) => typeof value === 'string']
const COUNT: Check = [
  'a whole number from 0',
  (value) => Number.isSafeInteger(value) && (value as number) >= 0,
]
const HEAD_FIELDS: Readonly<Record<string, Check>> = { contender: TEXT, variant: TEXT, op: TEXT, shape: TEXT }
const MEASURED_FIELDS: Readonly<Record<string, Check>> = {
  dtype: TEXT,
  threads: ['a whole number from 1', (value) => Number.isSafeInteger(value) && (value as number) >= 1],
  seconds: ['times above 0, one at least', (value) => isListOf(value, isPositive) && value.length > 0],
  tokens: COUNT,
  peak_rss_mib: ['a number above 0', isPositive],
  versions: [
    'names with their versions, one at least',
    (value) => {
      const versions = isRecord(value) ? Object.values(value) : []
      return versions.length > 0 && versions.every((version) => typeof version === 'string')
    },
  ],
}

/**
 * The one line of JSON that a process prints. Anything else it printed before, as some libraries do, is passed over.
 * DATA_CORRUPT names the side, the field, and what was expected there.
 */
export function parseContenderLine(output: string, where: string): ContenderLine {
  const lines = output.split('\n').filter((text) => text.startsWith('{'))
  if (lines.length !== 1) throw malformed(where, 'one line of JSON', `${lines.length} of them`)
  let line: unknown
  try {
    line = JSON.parse(lines[0]!)
  } catch {
    throw malformed(where, 'JSON', lines[0]!.slice(0, 80))
  }
  if (!isRecord(line)) throw malformed(where, 'an object', String(line))
  checkFields(line, HEAD_FIELDS, where)
  if ('not_run' in line) checkFields(line, { not_run: TEXT }, where)
  else checkFields(line, MEASURED_FIELDS, where)
  return line as unknown as ContenderLine
}

function checkFields(
  line: Record<string, unknown>,
  fields: Readonly<Record<string, Check>>,
  where: string,
): void {
  for (const [name, [expected, holds]] of Object.entries(fields)) {
    if (!(name in line)) throw malformed(`${where}, ${name}`, expected, 'nothing')
    if (!holds(line[name])) throw malformed(`${where}, ${name}`, expected, JSON.stringify(line[name]))
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isListOf(value: unknown, holds: (element: unknown) => boolean): value is unknown[] {
  return Array.isArray(value) && value.every(holds)
}

function isPositive(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value > 0
}

function malformed(where: string, expected: string, received: string): CoppiceError {
  return new CoppiceError('DATA_CORRUPT', 'malformed line of a contender', { where, expected, received })
}
