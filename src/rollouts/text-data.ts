import { isAscii } from 'node:buffer'
import { type Data, DataType, makeData, Utf8, Vector } from 'apache-arrow'
import { validity } from './validity.ts'

// Text columns, all rows at once: Arrow's builders and getters take a microsecond or two for each row, which in a training
// step of some hundred completions was more than verification took.

const encoder = new TextEncoder()

/** A column of these texts. */
export function textData(values: readonly (string | null)[]): Data<Utf8> {
  const rows = values.length
  const offsets = new Int32Array(rows + 1)
  const texts = values.map((value) => value ?? '')
  let bytes: Uint8Array = encoder.encode(texts.join(''))
  const characters = texts.reduce((sum, text) => sum + text.length, 0)
  if (bytes.length === characters) {
    // One byte a character: they lie where the characters do.
    for (let row = 0; row < rows; row++) offsets[row + 1] = offsets[row]! + texts[row]!.length
  } else {
    // Each by itself: halves of a character at the ends of two texts must not become one.
    const encoded = texts.map((text) => encoder.encode(text))
    for (let row = 0; row < rows; row++) offsets[row + 1] = offsets[row]! + encoded[row]!.length
    bytes = Buffer.concat(encoded)
  }
  return makeData({
    type: new Utf8(),
    length: rows,
    valueOffsets: offsets,
    data: bytes,
    ...(values.includes(null) ? validity(rows, (row) => values[row] !== null) : { nullCount: 0 }),
  })
}

/** A longer text is not decoded as a whole, so that a row's text does not keep all of it. */
const WHOLE_BYTES = 1 << 20

/** The texts of a column of texts or of words of a dictionary; null where a row is null. */
export function textsOf(data: Data): (string | null)[] {
  return DataType.isDictionary(data.type) ? wordsOf(data) : plainTextsOf(data)
}

function wordsOf(data: Data): (string | null)[] {
  const { dictionary, values } = data
  const words = new Map<number, string | null>()
  const hasNulls = data.nullCount > 0
  return Array.from({ length: data.length }, (_, row) => {
    if (hasNulls && !data.getValid(row)) return null
    const index = values[row] as number
    let word = words.get(index)
    if (word === undefined) {
      word = dictionary!.get(index) as string | null
      words.set(index, word)
    }
    return word
  })
}

function plainTextsOf(data: Data): (string | null)[] {
  const { length: rows, values, valueOffsets: offsets } = data
  const [first, last] = [offsets?.[0] ?? 0, offsets?.[rows] ?? 0]
  const bytes = values instanceof Uint8Array ? values.subarray(first, last) : undefined
  if (bytes === undefined || bytes.length !== last - first || last - first > WHOLE_BYTES || !isAscii(bytes)) {
    const vector = new Vector([data])
    return Array.from({ length: rows }, (_, row) => vector.get(row) as string | null)
  }
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const hasNulls = data.nullCount > 0
  return Array.from({ length: rows }, (_, row) =>
    !hasNulls || data.getValid(row) ? whole.slice(offsets[row]! - first, offsets[row + 1]! - first) : null,
  )
}
