import { readFile, stat } from 'node:fs/promises'
import { invalidArgument } from '../../errors.ts'
import type { Judgement, Sample } from '../../verdicts.ts'
import type { CompiledSchema } from './compile-schema.ts'
import { findJson, type JsonPlace } from './find-json.ts'

export interface JsonSchemaOptions {
  /** A file with the schema of all completions. Default: each reference is the schema of its completion. */
  schema?: string
  /** Where the JSON may stand. Default `fenced`. */
  find?: JsonPlace
}

const MAX_SCHEMA_BYTES = 1 << 20
/** Schemas that stay compiled: data sets tend to repeat theirs. */
const MAX_COMPILED = 64

/**
 * Right where the completion holds JSON that is valid under a schema. A pattern in a schema can be made to run for ages and
 * references to multiply, so that this verifier never runs in the host's process. `prepare` reads the file and throws
 * INVALID_ARGUMENT where it holds no schema.
 */
export function jsonSchemaVerifier({ schema: file, find = 'fenced' }: JsonSchemaOptions = {}) {
  const compiled = new Map<string, CompiledSchema>()
  let ofAll: CompiledSchema | undefined

  async function schemaOf(reference: string): Promise<CompiledSchema> {
    const known = ofAll ?? compiled.get(reference)
    if (known !== undefined) return known
    const { compileSchema } = await import('./compile-schema.ts')
    const made = compileSchema(reference)
    if (compiled.size >= MAX_COMPILED) compiled.delete(compiled.keys().next().value!)
    compiled.set(reference, made)
    return made
  }

  async function prepare(): Promise<void> {
    const { compileSchema } = await import('./compile-schema.ts')
    if (file === undefined) return
    const where = 'verifier json-schema, schema'
    const size = (await stat(file).catch(() => undefined))?.size
    if (size === undefined || size > MAX_SCHEMA_BYTES)
      throw invalidArgument(where, `a file of at most ${MAX_SCHEMA_BYTES} bytes`, file)
    const made = compileSchema(await readFile(file, 'utf8'))
    if ('fault' in made) throw invalidArgument(where, 'a file with a JSON Schema', `${file}: ${made.fault}`)
    ofAll = made
  }

  async function verify({
    reference,
    completion,
  }: Pick<Sample, 'reference' | 'completion'>): Promise<Judgement> {
    const schema = await schemaOf(reference)
    if ('fault' in schema) {
      return { verdict: 'unparsed', reward: null, reason: `the reference is no schema: ${schema.fault}` }
    }
    const found = findJson(completion, find)
    if ('fault' in found) return { verdict: 'unparsed', reward: 0, reason: found.fault }
    try {
      const fault = schema.validate(found.value)
      return fault === undefined
        ? { verdict: 'right', reward: 1 }
        : { verdict: 'wrong', reward: 0, reason: fault }
    } catch (error) {
      if (error instanceof RangeError) {
        return { verdict: 'unparsed', reward: null, reason: 'the schema refers to itself without end' }
      }
      // Ajv cannot compare an object with a key like toString; that must not take an answer out of training.
      if (error instanceof TypeError)
        return { verdict: 'wrong', reward: 0, reason: 'keys that cannot be compared' }
      throw error
    }
  }

  return { verify, prepare }
}
