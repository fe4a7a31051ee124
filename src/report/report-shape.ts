import { CoppiceError, describeValue } from '../errors.ts'

// The shape of ReportData, for data that come from a file: the types say it to the compiler, this says it to JSON.

type Shape =
  | 'text'
  | 'number'
  | 'boolean'
  | 'anything'
  | { oneOf: readonly unknown[] }
  | { list: Shape }
  | { map: Shape }
  /** Keys ending in `?` may be absent; keys that are not named are let through. */
  | { fields: Record<string, Shape> }

const EVALUATION: Shape = {
  fields: {
    right_counts: { list: { fields: { n: 'number', c: 'number' } } },
    'greedy_accuracy?': 'number',
    'entropy?': 'number',
    'distinct_right?': 'number',
    'majority?': 'number',
    'unparsed?': 'number',
    'mean_length?': 'number',
  },
}

const METHOD: Shape = {
  fields: {
    name: 'text',
    label: 'text',
    'base?': 'boolean',
    'description?': 'text',
    runs: {
      list: {
        fields: {
          seed: 'number',
          evaluations: { map: EVALUATION },
          'metrics?': { list: { fields: { step: 'number' } } },
        },
      },
    },
  },
}

const SAMPLE: Shape = {
  fields: {
    tokens: { list: 'text' },
    logprobs: { list: 'number' },
    'token_weights?': { list: 'number' },
    verdict: { oneOf: ['right', 'wrong', 'unparsed', 'timed-out'] },
    reward: 'anything',
    'finish_reason?': { oneOf: ['stop', 'length', 'cancelled'] },
  },
}

const GROUP: Shape = {
  fields: {
    prompt_id: 'text',
    prompt: 'text',
    'reference?': 'text',
    'note?': 'text',
    columns: { list: { fields: { method: 'text', 'seed?': 'number', samples: { list: SAMPLE } } } },
  },
}

const ENVIRONMENT: Shape = {
  fields: {
    machine: 'text',
    cores: 'number',
    'threads?': 'number',
    instruction_set: 'text',
    'device?': 'text',
    'dtype?': 'text',
    commit: 'text',
    versions: { map: 'text' },
    seeds: { list: 'number' },
    'started_at?': 'text',
    phases: { list: { fields: { name: 'text', seconds: 'number' } } },
  },
}

const REPORT: Shape = {
  fields: {
    title: 'text',
    summary: 'text',
    'notes?': { list: 'text' },
    sets: { list: { fields: { name: 'text', label: 'text', 'description?': 'text' } } },
    methods: { list: METHOD },
    'groups?': { list: GROUP },
    settings: { list: { fields: { title: 'text', values: { map: 'anything' } } } },
    environment: ENVIRONMENT,
    'bootstrap?': { map: 'number' },
  },
}

/**
 * Refuses what has not the shape of ReportData.
 * @throws CoppiceError DATA_CORRUPT, naming the path to the fault, such as `methods[2].runs[0].seed`
 */
export function requireReportShape(data: unknown): void {
  requireShape(data, REPORT, '')
}

function requireShape(value: unknown, shape: Shape, path: string): void {
  if (typeof shape === 'string') {
    if (!fits(value, shape)) throw fault(path, shape === 'number' ? 'a finite number' : `a ${shape}`, value)
  } else if ('oneOf' in shape) {
    if (!shape.oneOf.includes(value)) throw fault(path, `one of ${shape.oneOf.join(', ')}`, value)
  } else if ('list' in shape) {
    if (!Array.isArray(value)) throw fault(path, 'a list', value)
    value.forEach((item, i) => {
      requireShape(item, shape.list, `${path}[${i}]`)
    })
  } else {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw fault(path, 'an object', value)
    const record = value as Record<string, unknown>
    const parts =
      'map' in shape
        ? Object.keys(record).map((key) => [key, shape.map] as const)
        : Object.entries(shape.fields)
    for (const [key, part] of parts) {
      const optional = 'fields' in shape && key.endsWith('?')
      const name = optional ? key.slice(0, -1) : key
      if (optional && record[name] === undefined) continue
      requireShape(record[name], part, path === '' ? name : `${path}.${name}`)
    }
  }
}

function fits(value: unknown, shape: 'text' | 'number' | 'boolean' | 'anything'): boolean {
  if (shape === 'anything') return true
  if (shape === 'number') return typeof value === 'number' && Number.isFinite(value)
  return typeof value === (shape === 'text' ? 'string' : 'boolean')
}

function fault(path: string, expected: string, value: unknown): CoppiceError {
  return new CoppiceError('DATA_CORRUPT', 'not the data of a report', {
    where: path === '' ? 'report data' : path,
    expected,
    received: describeValue(value),
  })
}
