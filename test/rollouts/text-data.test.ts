import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Dictionary, Int8, Utf8, vectorFromArray } from 'apache-arrow'
import { textData, textsOf } from '../../src/rollouts/text-data.ts'

/** The same column by Arrow's own builder and getter. */
function byArrow(values: readonly (string | null)[]) {
  return vectorFromArray(values as string[], new Utf8())
}

const COLUMNS: Readonly<Record<string, readonly (string | null)[]>> = {
  'one byte a character': ['abc', '', 'a longer one', 'x'],
  'more bytes a character': ['ä', 'x', '日本語', '', '👍🏽'],
  'halves of characters next to each other': ['\ud83d', '\udc4d', 'x\ud83d', '\udc4dy'],
  nulls: ['a', null, '', null, 'b'],
  'nulls among other characters': [null, 'é', null],
}

describe('text columns', () => {
  for (const [name, values] of Object.entries(COLUMNS)) {
    it(`hold the bytes that Arrow's builder writes: ${name}`, () => {
      const data = textData(values)
      const [expected] = byArrow(values).data
      assert.deepEqual([...data.valueOffsets], [...expected!.valueOffsets.subarray(0, values.length + 1)])
      assert.deepEqual([...data.values], [...expected!.values.subarray(0, data.values.length)])
      assert.equal(data.nullCount, values.filter((value) => value === null).length)
    })

    it(`are read as Arrow reads them, slices too: ${name}`, () => {
      const vector = byArrow(values)
      assert.deepEqual(textsOf(vector.data[0]!), [...vector])
      const slice = vector.slice(1, values.length)
      assert.deepEqual(textsOf(slice.data[0]!), [...slice])
      assert.deepEqual(textsOf(textData(values)), [...vector])
    })
  }

  it('are read through dictionaries', () => {
    const words = ['stop', null, 'length', 'stop']
    const vector = vectorFromArray(words, new Dictionary(new Utf8(), new Int8()))
    assert.deepEqual(textsOf(vector.data[0]!), words)
    assert.deepEqual(textsOf(vector.slice(2).data[0]!), words.slice(2))
  })

  it('may be too long to be decoded as a whole', () => {
    const values = ['a'.repeat(1 << 20), 'b', 'c'.repeat(100)]
    assert.deepEqual(textsOf(textData(values)), values)
  })
})
