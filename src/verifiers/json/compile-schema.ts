import { Ajv, type AnySchemaObject, type ErrorObject, type Options } from 'ajv'
import { Ajv2019 } from 'ajv/dist/2019.js'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { parseJson } from './find-json.ts'

// Schemas come from data sets: compiled code is only run in a process that may be killed. See json-schema.ts.

/** What is wrong with a value under a schema, or undefined. Throws a RangeError for a schema that refers to itself without end. */
export type Validate = (value: unknown) => string | undefined
export type CompiledSchema = { validate: Validate } | { fault: string }

const MAX_SCHEMA = 256 * 1024

const DIALECTS: readonly [RegExp, typeof Ajv | typeof Ajv2020 | typeof Ajv2019][] = [
  [/^https?:\/\/json-schema\.org\/draft\/2020-12\/schema#?$/, Ajv2020],
  [/^https?:\/\/json-schema\.org\/draft\/2019-09\/schema#?$/, Ajv2019],
  [/^https?:\/\/json-schema\.org\/draft-0[67]\/schema#?$/, Ajv],
]

const OPTIONS: Options = {
  // As the standard has it: unknown keywords are annotations, and so is `format`.
  strict: false,
  validateFormats: false,
  logger: false,
  // A small schema could otherwise be copied into itself until it fills the memory.
  inlineRefs: false,
  // What every object inherits, toString say, is no property of an answer.
  ownProperties: true,
}

/** Knows the dialects' own schemas, and no other. */
const metaSchemas = new Map<unknown, Ajv>()

/** A validator for the JSON text of a schema, or why it is none. References lead into the schema itself and nowhere else. */
export function compileSchema(text: string): CompiledSchema {
  if (text.length > MAX_SCHEMA) return { fault: `longer than ${MAX_SCHEMA} characters` }
  const parsed = parseJson(text)
  if ('fault' in parsed) return parsed
  const schema = parsed.value as AnySchemaObject
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema))
    return { fault: 'not an object' }
  const dialect = schema.$schema ?? 'https://json-schema.org/draft/2020-12/schema'
  const Dialect = DIALECTS.find(([name]) => name.test(String(dialect)))?.[1]
  if (Dialect === undefined) return { fault: `$schema ${JSON.stringify(dialect).slice(0, 100)} is not known` }
  if (schema.$async !== undefined) return { fault: '$async is not JSON Schema' }
  try {
    const meta = metaSchemas.get(Dialect) ?? new Dialect(OPTIONS)
    metaSchemas.set(Dialect, meta)
    const { $schema: _, ...plain } = schema
    if (meta.validateSchema(plain) !== true) return { fault: errorText(meta.errors?.[0]) }
    // An instance of its own: what one schema calls itself must not be known to the next.
    const validate = new Dialect({ ...OPTIONS, meta: false, validateSchema: false }).compile(plain)
    return { validate: (value) => (validate(value) === true ? undefined : errorText(validate.errors?.[0])) }
  } catch (error) {
    return { fault: (error as Error).message.slice(0, 300) }
  }
}

function errorText(error: ErrorObject | null | undefined): string {
  const { instancePath = '', message = 'not valid' } = error ?? {}
  return `${instancePath === '' ? 'it' : instancePath} ${message}`.slice(0, 300)
}
