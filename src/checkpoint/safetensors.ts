import { closeSync, ftruncateSync, openSync, readSync, writeFileSync } from 'node:fs'
import { CoppiceError, type CoppiceErrorDetails } from '../errors.ts'
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  parseJsonObject,
  regularFileSize,
  shortJson,
} from './strict-json.ts'

// The format (https://github.com/huggingface/safetensors): 8 bytes of header length, little-endian; a JSON object that
// maps names to { dtype, shape, data_offsets: [begin, end) after the header } plus "__metadata__"; the bodies, which must
// cover the rest of the file without a hole or an overlap. Headers are read and written here, bodies by the engine.

const DTYPE_BYTES = new Map<string, number>([
  ['F64', 8],
  ['F32', 4],
  ['F16', 2],
  ['BF16', 2],
  ['F8_E4M3', 1],
  ['F8_E5M2', 1],
  ['I64', 8],
  ['I32', 4],
  ['I16', 2],
  ['I8', 1],
  ['U64', 8],
  ['U32', 4],
  ['U16', 2],
  ['U8', 1],
  ['BOOL', 1],
])
const MAX_HEADER_BYTES = 100_000_000

/** A dtype that the engine reads and writes. */
export type FileDtype = 'f32' | 'bf16' | 'f16'

/** One tensor of a model inside a file: what the engine needs to read or write its body. */
export interface TensorInFile {
  /** Hugging Face name. */
  name: string
  path: string
  /** First byte of the body, from the start of the file. */
  offset: number
  dtype: FileDtype
}

/** A tensor as a header describes it. */
export interface TensorHeader {
  name: string
  /** As in the file: `F32`, `BF16`, `I64` ... */
  dtype: string
  shape: number[]
  /** First byte of the body, from the start of the file. */
  offset: number
  bytes: number
}

export interface SafetensorsHeader {
  path: string
  tensors: Map<string, TensorHeader>
  metadata: Map<string, string>
}

/** Reads and checks a header. CHECKPOINT_CORRUPT names file and tensor, unless the whole file is well-formed. */
export function readSafetensorsHeader(path: string): SafetensorsHeader {
  const fileBytes = regularFileSize(path)
  if (fileBytes < 8) {
    throw corrupt(path, 'too short for a safetensors file', {
      expected: 'at least 8 bytes',
      received: `${fileBytes}`,
    })
  }
  const file = openSync(path, 'r')
  try {
    const length = readBytes(file, path, 0, 8).readBigUInt64LE()
    if (length > BigInt(Math.min(MAX_HEADER_BYTES, fileBytes - 8))) {
      throw corrupt(path, 'the header is longer than the file or than allowed', {
        expected: `at most ${Math.min(MAX_HEADER_BYTES, fileBytes - 8)} bytes`,
        received: `${length}`,
      })
    }
    const headerBytes = readBytes(file, path, 8, Number(length))
    if (headerBytes[0] !== 0x7b) throw corrupt(path, "the header does not begin with '{'")
    return checkHeader(parseJsonObject(headerBytes, path), path, 8 + Number(length), fileBytes)
  } finally {
    closeSync(file)
  }
}

function checkHeader(
  json: JsonObject,
  path: string,
  bodyBegin: number,
  fileBytes: number,
): SafetensorsHeader {
  const metadata = new Map<string, string>()
  const tensors = new Map<string, TensorHeader>()
  for (const [name, value] of Object.entries(json)) {
    if (name === '__metadata__') {
      if (!isJsonObject(value)) throw corrupt(path, '__metadata__ is not an object')
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== 'string')
          throw corrupt(path, `__metadata__ key ${shortJson(key)} is not a string`)
        metadata.set(key, text)
      }
    } else {
      tensors.set(name, checkTensor(name, value, path, bodyBegin, fileBytes))
    }
  }
  checkCover([...tensors.values()], path, bodyBegin, fileBytes)
  return { path, tensors, metadata }
}

function checkTensor(
  name: string,
  value: JsonValue,
  path: string,
  bodyBegin: number,
  fileBytes: number,
): TensorHeader {
  const where = `${path}: tensor ${shortJson(name)}`
  if (!isJsonObject(value)) throw corrupt(where, 'its description is not an object')
  const unknown = Object.keys(value).find((key) => !['dtype', 'shape', 'data_offsets'].includes(key))
  if (unknown !== undefined) throw corrupt(where, `unknown key ${shortJson(unknown)} in its description`)
  const { dtype, shape, data_offsets: offsets } = value
  const elementBytes = typeof dtype === 'string' ? DTYPE_BYTES.get(dtype) : undefined
  if (typeof dtype !== 'string' || elementBytes === undefined) {
    throw corrupt(where, 'unknown dtype', {
      expected: [...DTYPE_BYTES.keys()].join(', '),
      received: shortJson(dtype),
    })
  }
  if (!isSizeList(shape)) {
    throw corrupt(where, 'bad shape', {
      expected: 'a list of whole numbers from 0',
      received: shortJson(shape),
    })
  }
  if (!isSizeList(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw corrupt(where, 'bad data_offsets', {
      expected: '[begin, end] with 0 <= begin <= end',
      received: shortJson(offsets),
    })
  }
  const [begin, end] = offsets as [number, number]
  if (bodyBegin + end > fileBytes) {
    throw corrupt(where, 'its body ends behind the end of the file', {
      expected: `at most ${fileBytes - bodyBegin} bytes of bodies`,
      received: `data_offsets [${begin}, ${end}]`,
    })
  }
  // The product may pass 2^53 and lose digits, but it is then larger than any file and differs all the same.
  const bytes = shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, elementBytes)
  if (bytes !== end - begin) {
    throw corrupt(where, 'its size does not fit its shape', {
      expected: `${bytes} bytes for ${dtype} [${shape.join(', ')}]`,
      received: `${end - begin}`,
    })
  }
  return { name, dtype, shape, offset: bodyBegin + begin, bytes }
}

function isSizeList(value: JsonValue | undefined): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && (size as number) >= 0)
}

/** Bodies must follow each other from the end of the header to the end of the file. */
function checkCover(tensors: TensorHeader[], path: string, bodyBegin: number, fileBytes: number): void {
  let covered = bodyBegin
  for (const tensor of tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (tensor.offset !== covered) {
      throw corrupt(
        `${path}: tensor ${shortJson(tensor.name)}`,
        tensor.offset < covered ? 'it overlaps the tensor before it' : 'there is a hole before it',
        { expected: `begin at ${covered - bodyBegin}`, received: `${tensor.offset - bodyBegin}` },
      )
    }
    covered = tensor.offset + tensor.bytes
  }
  if (covered !== fileBytes) {
    throw corrupt(path, 'there are bytes that belong to no tensor', {
      expected: `${covered} bytes`,
      received: `${fileBytes}`,
    })
  }
}

/** A tensor to be written. */
export interface TensorToWrite {
  name: string
  shape: readonly number[]
  dtype: 'F32' | 'BF16'
}

/**
 * Creates a safetensors file of full length with its header in place and all bodies zero, and tells where the bodies go,
 * in the order given. The file must not exist yet.
 */
export function createSafetensorsFile(
  path: string,
  tensors: readonly TensorToWrite[],
  metadata: Record<string, string> = {},
): { offsets: number[]; bytes: number } {
  const entries: [string, JsonValue][] = [['__metadata__', { format: 'pt', ...metadata }]]
  const begins: number[] = []
  let end = 0
  for (const { name, shape, dtype } of tensors) {
    const begin = end
    end += shape.reduce((product, size) => product * size, DTYPE_BYTES.get(dtype)!)
    begins.push(begin)
    entries.push([name, { dtype, shape: [...shape], data_offsets: [begin, end] }])
  }
  // Spaces at the end align the bodies to 8 bytes, as the reference writer does.
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)))
  const headerBytes = Math.ceil(json.length / 8) * 8
  const head = Buffer.alloc(8 + headerBytes, ' ')
  head.writeBigUInt64LE(BigInt(headerBytes))
  json.copy(head, 8)
  const file = openSync(path, 'wx')
  try {
    writeFileSync(file, head)
    ftruncateSync(file, head.length + end)
  } finally {
    closeSync(file)
  }
  return { offsets: begins.map((begin) => head.length + begin), bytes: end }
}

function readBytes(file: number, path: string, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let done = 0
  while (done < length) {
    const count = readSync(file, bytes, done, length - done, position + done)
    if (count === 0) {
      throw corrupt(path, 'the file ended early', {
        expected: `${length} bytes at ${position}`,
        received: `${done}`,
      })
    }
    done += count
  }
  return bytes
}

export function corrupt(where: string, message: string, details: CoppiceErrorDetails = {}): CoppiceError {
  return new CoppiceError('CHECKPOINT_CORRUPT', message, { where, ...details })
}
