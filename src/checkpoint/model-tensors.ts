import { closeSync, existsSync, openSync, readdirSync, readSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CoppiceError } from '../errors.ts'
import type { ModelConfig } from './model-config.ts'
import {
  corrupt,
  type FileDtype,
  readSafetensorsHeader,
  type TensorHeader,
  type TensorInFile,
} from './safetensors.ts'
import { isJsonObject, readJsonObject, shortJson } from './strict-json.ts'
import { EMBEDDING, HEAD, type Heads, isDerivedTensor, tensorShapesOf, VALUE_HEAD } from './tensor-names.ts'

export const SINGLE_FILE = 'model.safetensors'
export const INDEX_FILE = 'model.safetensors.index.json'
const DTYPES = new Map<string, FileDtype>([
  ['F32', 'f32'],
  ['BF16', 'bf16'],
  ['F16', 'f16'],
])

interface StoredTensor extends TensorHeader {
  path: string
}

export interface ModelTensors {
  /** One for each tensor of the model, in the order of the engine's layout. */
  tensors: TensorInFile[]
  /** Names in the files that the model does without: the copy of a tied head, derived tables. */
  ignored: string[]
}

/**
 * Finds every tensor of the model in the folder's safetensors files. CHECKPOINT_CORRUPT names the file and the tensor
 * that is missing, too many, of another shape or of a dtype that is not F32, BF16 or F16. A value head may be missing.
 */
export function findModelTensors(
  directory: string,
  config: ModelConfig,
  heads: Heads = 'tokens',
): ModelTensors {
  const stored = storedTensors(directory)
  const ignored = config.tieEmbeddings ? resolveTiedHead(stored) : []
  if (heads === 'value' && stored.delete(HEAD)) ignored.push(HEAD)
  const tensors: TensorInFile[] = []
  for (const { name, shape } of tensorShapesOf(config, heads)) {
    const found = stored.get(name)
    // A model that had none yet begins with a value head of zeros.
    if (found === undefined && name === VALUE_HEAD) continue
    if (found === undefined) {
      throw corrupt(directory, `tensor ${shortJson(name)} is missing`, { expected: `[${shape.join(', ')}]` })
    }
    stored.delete(name)
    const where = `${found.path}: tensor ${shortJson(found.name)}`
    if (found.shape.length !== shape.length || found.shape.some((size, i) => size !== shape[i])) {
      throw corrupt(where, 'its shape does not fit config.json', {
        expected: `[${shape.join(', ')}]`,
        received: shortJson(found.shape),
      })
    }
    const dtype = DTYPES.get(found.dtype)
    if (dtype === undefined) {
      throw corrupt(where, 'dtype is not supported', {
        expected: [...DTYPES.keys()].join(', '),
        received: found.dtype,
      })
    }
    tensors.push({ name, path: found.path, offset: found.offset, dtype })
  }
  for (const { name, path } of stored.values()) {
    if (!isDerivedTensor(name)) throw corrupt(path, `tensor ${shortJson(name)} does not belong to this model`)
    ignored.push(name)
  }
  return { tensors, ignored }
}

/** All tensors of the folder by name: of the single file, or of every shard that the index names. */
function storedTensors(directory: string): Map<string, StoredTensor> {
  const single = join(directory, SINGLE_FILE)
  if (existsSync(single)) return withPath(single)
  const index = join(directory, INDEX_FILE)
  if (!existsSync(index)) {
    throw corrupt(directory, 'no parameters found', {
      expected: `${SINGLE_FILE} or ${INDEX_FILE}`,
      received: listing(directory),
    })
  }
  const shardOf = readIndex(index)
  const stored = new Map<string, StoredTensor>()
  const shards = [...new Set(shardOf.values())].map((shard) => ({
    shard,
    tensors: withPath(join(directory, shard)),
  }))
  for (const { shard, tensors } of shards) {
    for (const [name, tensor] of tensors) {
      if (shardOf.get(name) !== shard) {
        throw corrupt(tensor.path, `tensor ${shortJson(name)} is not what the index says`, {
          expected: shardOf.has(name) ? `in ${shardOf.get(name)} only` : `an entry in ${INDEX_FILE}`,
        })
      }
      stored.set(name, tensor)
    }
  }
  for (const [name, shard] of shardOf) {
    if (!stored.has(name))
      throw corrupt(join(directory, shard), `tensor ${shortJson(name)} of the index is not here`)
  }
  return stored
}

function withPath(path: string): Map<string, StoredTensor> {
  const { tensors } = readSafetensorsHeader(path)
  return new Map([...tensors].map(([name, tensor]) => [name, { ...tensor, path }]))
}

/** The file of every tensor, by the index beside the shards. CHECKPOINT_CORRUPT. */
export function readIndex(path: string): Map<string, string> {
  const weightMap = readJsonObject(path).weight_map
  if (!isJsonObject(weightMap)) throw corrupt(path, 'weight_map is not an object')
  const shardOf = new Map<string, string>()
  for (const [name, shard] of Object.entries(weightMap)) {
    // A name with a path in it could reach any file of the machine.
    if (typeof shard !== 'string' || basename(shard) !== shard || !shard.endsWith('.safetensors')) {
      throw corrupt(path, `bad file name for tensor ${shortJson(name)}`, {
        expected: 'a .safetensors file beside the index',
        received: shortJson(shard),
      })
    }
    shardOf.set(name, shard)
  }
  return shardOf
}

/**
 * With a tied head the file may hold the embedding, the head or both, as in transformers; both must then be equal byte for
 * byte, or one of the two would be dropped unsaid. Leaves one tensor under the embedding's name and returns what it removed.
 */
function resolveTiedHead(stored: Map<string, StoredTensor>): string[] {
  const head = stored.get(HEAD)
  if (head === undefined) return []
  const embedding = stored.get(EMBEDDING)
  stored.delete(HEAD)
  if (embedding === undefined) {
    stored.set(EMBEDDING, head)
    return []
  }
  if (!sameBody(embedding, head)) {
    throw corrupt(head.path, `tensor ${shortJson(HEAD)} differs from ${shortJson(EMBEDDING)}`, {
      expected: 'equal tensors, or tie_word_embeddings false in config.json',
    })
  }
  return [HEAD]
}

function sameBody(a: StoredTensor, b: StoredTensor): boolean {
  if (a.dtype !== b.dtype || a.bytes !== b.bytes) return false
  const files = [a, b].map(({ path }) => openSync(path, 'r'))
  const chunks = [Buffer.alloc(1 << 20), Buffer.alloc(1 << 20)]
  try {
    for (let done = 0; done < a.bytes; ) {
      const length = Math.min(1 << 20, a.bytes - done)
      const counts = [a, b].map(({ offset }, i) => readSync(files[i]!, chunks[i]!, 0, length, offset + done))
      const count = Math.min(...counts)
      if (count === 0) return false
      if (!chunks[0]!.subarray(0, count).equals(chunks[1]!.subarray(0, count))) return false
      done += count
    }
    return true
  } finally {
    for (const file of files) closeSync(file)
  }
}

function listing(directory: string): string {
  try {
    const names = readdirSync(directory)
    return names.length === 0 ? 'an empty folder' : names.slice(0, 12).join(', ')
  } catch (cause) {
    throw new CoppiceError('CHECKPOINT_CORRUPT', 'the folder cannot be read', { where: directory, cause })
  }
}
