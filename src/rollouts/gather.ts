import { type Data, DataType, type Dictionary, makeData, Vector, vectorFromArray } from 'apache-arrow'
import { validity } from './validity.ts'

/** Rows begin .. end - 1 of a chunk. */
export interface Run {
  readonly data: Data
  readonly begin: number
  readonly end: number
}

/** Copies runs of rows of columns of one type, one after the other, into new memory; offsets begin at 0. */
export function gatherRuns(type: DataType, runs: readonly Run[]): Data {
  const length = rowsIn(runs)
  const common = { type, length, ...gatherValidity(runs, length) }
  if (DataType.isDictionary(type)) return gatherDictionary(type, runs, common)
  if (DataType.isList(type)) {
    const { offsets, children } = gatherOffsets(runs, length)
    const child = gatherRuns(
      type.valueType,
      children.map(({ data, begin, end }) => ({ data: data.children[0]!, begin, end })),
    )
    return makeData({ ...common, valueOffsets: offsets, child } as never)
  }
  if (DataType.isUtf8(type) || DataType.isBinary(type)) {
    const { offsets, children } = gatherOffsets(runs, length)
    return makeData({
      ...common,
      valueOffsets: offsets,
      data: gatherValues(Uint8Array, children, 1),
    } as never)
  }
  if (DataType.isStruct(type)) {
    const children = type.children.map((field, i) =>
      gatherRuns(
        field.type,
        runs.map(({ data, begin, end }) => ({ data: data.children[i]!, begin, end })),
      ),
    )
    return makeData({ ...common, children } as never)
  }
  if (isFixedWidth(type)) {
    const stride = runs[0]?.data.stride ?? 1
    const data = gatherValues(type.ArrayType as unknown as ArrayConstructor, runs, stride)
    return makeData({ ...common, data } as never)
  }
  return gatherOneByOne(type, runs)
}

export function rowsIn(runs: readonly Run[]): number {
  return runs.reduce((rows, { begin, end }) => rows + end - begin, 0)
}

type NumberArray = Uint8Array | Int32Array | Float32Array | BigUint64Array
type ArrayConstructor = new (length: number) => NumberArray

function isFixedWidth(type: DataType): boolean {
  return (
    DataType.isInt(type) ||
    DataType.isFloat(type) ||
    DataType.isDate(type) ||
    DataType.isTime(type) ||
    DataType.isTimestamp(type) ||
    DataType.isDuration(type) ||
    DataType.isDecimal(type) ||
    DataType.isFixedSizeBinary(type)
  )
}

function gatherValues(type: ArrayConstructor, runs: readonly Run[], stride: number): NumberArray {
  const gathered = new type(rowsIn(runs) * stride)
  let at = 0
  for (const { data, begin, end } of runs) {
    if (end === begin) continue
    gathered.set((data.values as Uint8Array).subarray(begin * stride, end * stride) as never, at)
    at += (end - begin) * stride
  }
  return gathered
}

/** New offsets from 0, and the runs of values that they divide. */
function gatherOffsets(runs: readonly Run[], length: number): { offsets: Int32Array; children: Run[] } {
  const offsets = new Int32Array(length + 1)
  const children: Run[] = []
  let row = 0
  for (const { data, begin, end } of runs) {
    if (end === begin) continue
    const from = data.valueOffsets as Int32Array
    const shift = offsets[row]! - from[begin]!
    for (let i = begin; i < end; i++) offsets[++row] = from[i + 1]! + shift
    children.push({ data, begin: from[begin]!, end: from[end]! })
  }
  return { offsets, children }
}

function gatherValidity(
  runs: readonly Run[],
  length: number,
): { nullBitmap?: Uint8Array; nullCount: number } {
  if (runs.every(({ data }) => data.nullCount === 0)) return { nullCount: 0 }
  const flags = new Uint8Array(length)
  let row = 0
  for (const { data, begin, end } of runs) {
    for (let i = begin; i < end; i++) flags[row++] = data.getValid(i) ? 1 : 0
  }
  return validity(length, (i) => flags[i] === 1)
}

/** Indices are copied where all runs share a dictionary; else the words are indexed anew. */
function gatherDictionary(type: Dictionary, runs: readonly Run[], common: object): Data {
  const dictionaries = new Set(runs.map(({ data }) => data.dictionary))
  if (dictionaries.size > 1) return gatherOneByOne(type, runs)
  const [dictionary] = dictionaries
  const indices = gatherValues(type.indices.ArrayType as unknown as ArrayConstructor, runs, 1)
  return makeData({ ...common, data: indices, dictionary } as never)
}

function gatherOneByOne(type: DataType, runs: readonly Run[]): Data {
  const values = runs.flatMap(({ data, begin, end }) => {
    const vector = new Vector([data])
    return Array.from({ length: end - begin }, (_, i) => vector.get(begin + i))
  })
  if (values.length === 0) return makeData({ type, length: 0, nullCount: 0 } as never)
  return vectorFromArray(values, type as never).data[0] as unknown as Data
}
