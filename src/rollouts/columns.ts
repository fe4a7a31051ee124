import { type Data, DataType, Precision, type RecordBatch } from 'apache-arrow'
import { CoppiceError } from '../errors.ts'
import type { Verdict } from '../verdicts.ts'
import { FINISH_REASONS, type FinishReason, VERDICTS } from './schema.ts'
import { textsOf } from './text-data.ts'

// Typed views of a batch's columns: the batch's own memory, never a copy. Everything that indexes is checked here, once,
// before anyone uses it. All errors are DATA_CORRUPT or INVALID_ARGUMENT and name the column.

export type ListValues = Int32Array | Uint8Array | Float32Array

/** A list column: row i's values are values[offsets[i]] .. values[offsets[i + 1] - 1]. offsets[0] need not be 0. */
export interface ListView<A extends ListValues> {
  readonly values: A
  /** Rows + 1 entries. */
  readonly offsets: Int32Array
  /** 1 a row that is not null; absent where no row is. */
  readonly valid?: Uint8Array
}

/** What a model needs of a row. */
export interface TokenColumns {
  readonly rows: number
  readonly promptTokens: ListView<Int32Array>
  readonly completionTokens: ListView<Int32Array>
  /** 0 where the policy did not produce the token. */
  readonly completionMask?: ListView<Uint8Array>
  readonly logprobs?: ListView<Float32Array>
  readonly temperature?: Float32Array
}

/** The whole of a batch of rollouts. Columns that only later stages add are absent before. */
export interface RolloutColumns extends TokenColumns {
  readonly groupIds: Int32Array
  readonly sampleIndex: Int32Array
  readonly completionMask: ListView<Uint8Array>
  readonly logprobs: ListView<Float32Array>
  readonly temperature: Float32Array
  readonly finishReasons: readonly FinishReason[]
  readonly policyStep: Int32Array
  readonly samplerLogprobs?: ListView<Float32Array>
  /** null abstains. */
  readonly rewards?: readonly (number | null)[]
  readonly verdicts?: readonly (Verdict | null)[]
  /** Of the greedy completion of the row's prompt; null: it has none. */
  readonly baselineRewards?: readonly (number | null)[]
  readonly advantages?: ListView<Float32Array>
  readonly entropies?: ListView<Float32Array>
  readonly refLogprobs?: ListView<Float32Array>
  /** Of a critic. */
  readonly values?: ListView<Float32Array>
}

/** Prompt and completion tokens, and the mask, log-probs and temperature where the batch has them. */
export function tokenColumnsOf(batch: RecordBatch): TokenColumns {
  const completionTokens = int32List(batch, 'completion_tokens')
  const completionMask = optional(batch, 'completion_mask', uint8List)
  const logprobs = optional(batch, 'logprobs', float32List)
  const temperature = optional(batch, 'temperature', float32Column)
  if (completionMask !== undefined) requireSameLengths(completionMask, completionTokens, 'completion_mask')
  if (logprobs !== undefined) requireSameLengths(logprobs, completionTokens, 'logprobs')
  return {
    rows: batch.numRows,
    promptTokens: int32List(batch, 'prompt_tokens'),
    completionTokens,
    ...(completionMask && { completionMask }),
    ...(logprobs && { logprobs }),
    ...(temperature && { temperature }),
  }
}

/** Every column that rollouts have, checked; those of later stages where they are present. */
export function columnsOf(batch: RecordBatch): RolloutColumns {
  const tokens = tokenColumnsOf(batch)
  for (const name of ['completion_mask', 'logprobs', 'temperature']) columnData(batch, name)
  const perToken = (name: string) => {
    const view = optional(batch, name, float32List)
    if (view !== undefined) requireSameLengths(view, tokens.completionTokens, name)
    return view
  }
  const samplerLogprobs = perToken('sampler_logprobs')
  const advantages = perToken('advantages')
  const entropies = perToken('entropies')
  const refLogprobs = perToken('ref_logprobs')
  const values = perToken('values')
  const rewards = optional(batch, 'reward', numberColumn)
  const baselineRewards = optional(batch, 'baseline_reward', numberColumn)
  const verdicts = optional(batch, 'verdict', (from, name) => wordColumn(from, name, VERDICTS))
  const finishReasons = wordColumn(batch, 'finish_reason', FINISH_REASONS)
  return {
    ...tokens,
    completionMask: tokens.completionMask!,
    logprobs: tokens.logprobs!,
    temperature: tokens.temperature!,
    groupIds: int32Column(batch, 'group_id'),
    sampleIndex: int32Column(batch, 'sample_index'),
    policyStep: int32Column(batch, 'policy_step'),
    finishReasons: finishReasons.map((reason, row) => reason ?? refuseNull('finish_reason', row)),
    ...(samplerLogprobs && { samplerLogprobs }),
    ...(rewards && { rewards }),
    ...(verdicts && { verdicts }),
    ...(baselineRewards && { baselineRewards }),
    ...(advantages && { advantages }),
    ...(entropies && { entropies }),
    ...(refLogprobs && { refLogprobs }),
    ...(values && { values }),
  }
}

export function hasColumn(batch: RecordBatch, name: string): boolean {
  return batch.schema.fields.some((field) => field.name === name)
}

export function int32Column(batch: RecordBatch, name: string): Int32Array {
  const data = columnData(batch, name)
  if (!DataType.isInt(data.type) || data.type.bitWidth !== 32 || !data.type.isSigned) {
    throw wrongType(name, 'int32', data.type)
  }
  return fixedValues(data, name, Int32Array)
}

export function float32Column(batch: RecordBatch, name: string): Float32Array {
  const data = columnData(batch, name)
  if (!isFloat32(data.type)) throw wrongType(name, 'float32', data.type)
  return fixedValues(data, name, Float32Array)
}

export function int32List(batch: RecordBatch, name: string): ListView<Int32Array> {
  const isInt32 = (type: DataType) => DataType.isInt(type) && type.bitWidth === 32 && type.isSigned
  return listView(batch, name, 'list<int32>', isInt32, Int32Array, 'refuse nulls')
}

export function uint8List(batch: RecordBatch, name: string): ListView<Uint8Array> {
  const isUint8 = (type: DataType) => DataType.isInt(type) && type.bitWidth === 8 && !type.isSigned
  return listView(batch, name, 'list<uint8>', isUint8, Uint8Array, 'refuse nulls')
}

/** Rows may be null here; the view's `valid` tells. */
export function float32List(batch: RecordBatch, name: string): ListView<Float32Array> {
  return listView(batch, name, 'list<float32>', isFloat32, Float32Array, 'keep nulls')
}

/** Text of every row; null where the row is null. */
export function textColumn(batch: RecordBatch, name: string): (string | null)[] {
  const data = columnData(batch, name)
  const { type } = data
  if (!DataType.isUtf8(type) && !(DataType.isDictionary(type) && DataType.isUtf8(type.dictionary))) {
    throw wrongType(name, 'utf8', type)
  }
  return textsOf(data)
}

/** Numbers of any width as doubles; null where the row is null. */
function numberColumn(batch: RecordBatch, name: string): (number | null)[] {
  const data = columnData(batch, name)
  const { type } = data
  const isNumber = (DataType.isInt(type) && type.bitWidth <= 32) || DataType.isFloat(type)
  if (!isNumber) throw wrongType(name, 'float32', type)
  if (isFloat32(type) && data.nullCount === 0) return Array.from(fixedValues(data, name, Float32Array))
  const vector = batch.getChild(name)!
  return Array.from({ length: batch.numRows }, (_, row) => vector.get(row) as number | null)
}

function wordColumn<T extends string>(batch: RecordBatch, name: string, allowed: readonly T[]): (T | null)[] {
  return textColumn(batch, name).map((word, row) => {
    if (word === null || (allowed as readonly string[]).includes(word)) return word as T | null
    throw new CoppiceError('INVALID_ARGUMENT', 'an unknown word', {
      where: `column '${name}', row ${row}`,
      expected: `one of ${allowed.join(', ')}`,
      received: JSON.stringify(word),
    })
  })
}

function optional<T>(
  batch: RecordBatch,
  name: string,
  read: (batch: RecordBatch, name: string) => T,
): T | undefined {
  return hasColumn(batch, name) ? read(batch, name) : undefined
}

/** The one chunk of a batch's column. */
export function columnData(batch: RecordBatch, name: string): Data {
  const index = batch.schema.fields.findIndex((field) => field.name === name)
  if (index === -1) {
    throw new CoppiceError('INVALID_ARGUMENT', 'a column is missing', {
      where: `column '${name}'`,
      expected: 'a batch that has it',
      received: batch.schema.fields.map((field) => field.name).join(', ') || 'a batch without columns',
    })
  }
  return batch.data.children[index]!
}

const isFloat32 = (type: DataType) => DataType.isFloat(type) && type.precision === Precision.SINGLE

interface ArrayConstructor<A extends ListValues> {
  new (buffer: ArrayBuffer, byteOffset: number, length: number): A
  readonly name: string
}

function fixedValues<A extends ListValues>(data: Data, name: string, type: ArrayConstructor<A>): A {
  for (let row = 0; data.nullCount > 0 && row < data.length; row++) {
    if (!data.getValid(row)) refuseNull(name, row)
  }
  return valuesOf(data, name, type).subarray(0, data.length) as A
}

function listView<A extends ListValues>(
  batch: RecordBatch,
  name: string,
  expected: string,
  accepts: (type: DataType) => boolean,
  type: ArrayConstructor<A>,
  nulls: 'refuse nulls' | 'keep nulls',
): ListView<A> {
  const data = columnData(batch, name)
  const child = data.children[0]
  if (!DataType.isList(data.type) || child === undefined || !accepts(data.type.valueType)) {
    throw wrongType(name, expected, data.type)
  }
  const rows = data.length
  const values = valuesOf(child, name, type).subarray(0, child.length) as A
  // Writers may leave the offsets of an empty column out.
  const offsets = rows === 0 ? new Int32Array(1) : offsetsOf(data, name)
  requireOffsets(offsets, rows, values.length, name)
  if (child.nullCount > 0) requireNoNullIn(child, offsets, name)
  if (data.nullCount === 0) return { values, offsets }
  const valid = new Uint8Array(rows)
  for (let row = 0; row < rows; row++) {
    if (data.getValid(row)) valid[row] = 1
    else if (nulls === 'refuse nulls') refuseNull(name, row)
  }
  return { values, offsets, valid }
}

function offsetsOf(data: Data, name: string): Int32Array {
  const offsets: unknown = data.valueOffsets
  if (!(offsets instanceof Int32Array) || offsets.length < data.length + 1) {
    throw new CoppiceError('DATA_CORRUPT', 'offsets are missing', {
      where: `column '${name}'`,
      expected: `${data.length + 1} int32 offsets`,
      received: offsets instanceof Int32Array ? `${offsets.length}` : typeof offsets,
    })
  }
  return offsets.subarray(0, data.length + 1)
}

function requireOffsets(offsets: Int32Array, rows: number, values: number, name: string): void {
  let previous = 0
  for (let i = 0; i <= rows; i++) {
    const offset = offsets[i]!
    if (offset < previous || offset > values) {
      throw new CoppiceError('DATA_CORRUPT', 'offsets do not divide the values', {
        where: `column '${name}', row ${Math.max(0, i - 1)}`,
        expected: `an offset from ${previous} to ${values}`,
        received: `${offset}`,
      })
    }
    previous = offset
  }
}

function requireNoNullIn(child: Data, offsets: Int32Array, name: string): void {
  for (let row = 0; row + 1 < offsets.length; row++) {
    for (let i = offsets[row]!; i < offsets[row + 1]!; i++) if (!child.getValid(i)) refuseNull(name, row)
  }
}

/** The data's own array. Arrow does not check what it was made of, so that is done here. */
function valuesOf<A extends ListValues>(data: Data, name: string, type: ArrayConstructor<A>): A {
  const values: unknown = data.values
  if (values === undefined && data.length === 0) return new type(new ArrayBuffer(0), 0, 0)
  if (!(values instanceof (type as unknown as new () => A))) {
    throw new CoppiceError('DATA_CORRUPT', 'values of another type than the column', {
      where: `column '${name}'`,
      expected: type.name,
      received: Object.getPrototypeOf(values ?? null)?.constructor?.name ?? 'nothing',
    })
  }
  if (values.length < data.length) {
    throw new CoppiceError('DATA_CORRUPT', 'values are missing', {
      where: `column '${name}'`,
      expected: `${data.length} values`,
      received: `${values.length}`,
    })
  }
  return values
}

/** Refuses two list columns that should have a value for each completion token and do not. Null rows are exempt. */
export function requireSameLengths(
  view: ListView<ListValues>,
  tokens: ListView<Int32Array>,
  name: string,
): void {
  for (let row = 0; row + 1 < tokens.offsets.length; row++) {
    const expected = tokens.offsets[row + 1]! - tokens.offsets[row]!
    const received = view.offsets[row + 1]! - view.offsets[row]!
    if (received === expected || view.valid?.[row] === 0) continue
    throw new CoppiceError('SHAPE_MISMATCH', 'one value a completion token', {
      where: `column '${name}', row ${row}`,
      expected: `${expected} values, as in completion_tokens`,
      received: `${received}`,
    })
  }
}

function refuseNull(name: string, row: number): never {
  throw new CoppiceError('INVALID_ARGUMENT', 'null where a value is needed', {
    where: `column '${name}', row ${row}`,
  })
}

function wrongType(name: string, expected: string, type: DataType): CoppiceError {
  return new CoppiceError('INVALID_ARGUMENT', 'wrong type', {
    where: `column '${name}'`,
    expected,
    received: String(type),
  })
}
