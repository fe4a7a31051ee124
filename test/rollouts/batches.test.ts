import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Float32, Float64, makeData, makeVector, type Vector, vectorFromArray } from 'apache-arrow'
import { CoppiceError } from '../../src/errors.ts'
import {
  appendColumns,
  columnsOf,
  concatBatches,
  dropColumns,
  type ListValues,
  type ListView,
  makeBatch,
  type RolloutBatch,
  rolloutSchema,
  sliceRows,
  type TokenColumns,
  takeLists,
  takeRows,
  takeTokenRows,
  tokenColumnsOf,
} from '../../src/rollouts.ts'
import { refused } from '../refused.ts'
import { contents, sampleBatch } from './sample-batch.ts'

describe('typed views of columns', () => {
  it('shows every column of a batch', () => {
    const columns = columnsOf(sampleBatch(4))
    assert.equal(columns.rows, 2)
    assert.deepEqual([...columns.groupIds], [4, 4])
    assert.deepEqual(columns.finishReasons, ['stop', 'length'])
    assert.deepEqual(columns.rewards, [1, null])
    assert.deepEqual(columns.verdicts, ['right', null])
    assert.deepEqual([...columns.completionTokens.values], [5, 6, 7])
    assert.deepEqual([...columns.completionTokens.offsets], [0, 2, 3])
    assert.deepEqual([...columns.completionMask.values], [1, 1, 0])
    assert.deepEqual([...columns.advantages!.valid!], [1, 0])
    assert.equal(columns.logprobs.valid, undefined)
  })

  it('needs no more than tokens where no more is needed', () => {
    const view = { values: Int32Array.of(1, 2), offsets: Int32Array.of(0, 1, 2) }
    const batch = makeBatch(2, { prompt_tokens: view, completion_tokens: view })
    const { temperature, logprobs, completionMask } = tokenColumnsOf(batch)
    assert.deepEqual([temperature, logprobs, completionMask], [undefined, undefined, undefined])
    assert.throws(() => columnsOf(batch), refused('INVALID_ARGUMENT', /column 'completion_mask'.*missing/))
  })

  const changed = (name: string, data: unknown): RolloutBatch => {
    const batch = dropColumns(sampleBatch(), [name])
    return appendColumns(batch, { [`${name}`]: data as Vector })
  }
  const replace = (name: string, data: unknown) => {
    // Behind the checks of appendColumns, as a foreign library may build it.
    const batch = sampleBatch()
    const index = batch.schema.fields.findIndex((field) => field.name === name)
    batch.data.children[index] = data as (typeof batch.data.children)[number]
    return batch
  }
  const list = (offsets: number[], values: Int32Array | Float32Array, nullAt = -1) => {
    const type = sampleBatch().schema.fields.find(
      ({ name }) => name === (values instanceof Int32Array ? 'completion_tokens' : 'logprobs'),
    )!.type
    const child = makeData({ type: type.children[0].type, data: values } as never)
    return makeData({
      type,
      length: offsets.length - 1,
      valueOffsets: Int32Array.from(offsets),
      child,
      ...(nullAt >= 0
        ? { nullCount: 1, nullBitmap: Uint8Array.of(0xff & ~(1 << nullAt)) }
        : { nullCount: 0 }),
    } as never)
  }

  it('refuses offsets that do not divide the values', () => {
    const tokens = Int32Array.of(1, 2, 3)
    const wrong = [
      [0, 3, 2],
      [-1, 2, 3],
      [0, 2, 4],
      [0, 2 ** 30, 2 ** 30],
    ]
    for (const offsets of wrong) {
      assert.throws(
        () => columnsOf(replace('completion_tokens', list(offsets, tokens))),
        refused('DATA_CORRUPT', /column 'completion_tokens', row \d.*offsets do not divide/),
      )
    }
  })

  it('refuses nulls where a value is needed, and names the row', () => {
    assert.throws(
      () => columnsOf(replace('completion_tokens', list([0, 2, 3], Int32Array.of(1, 2, 3), 1))),
      refused('INVALID_ARGUMENT', /column 'completion_tokens', row 1: null/),
    )
  })

  it('refuses columns of another type, of another length and of other words', () => {
    const vector = vectorFromArray([1, 2], new Float64())
    assert.throws(
      () => changed('temperature', vector),
      refused('INVALID_ARGUMENT', /expected Float32; received Float64/),
    )
    assert.throws(
      () => columnsOf(replace('temperature', vector.data[0])),
      refused('INVALID_ARGUMENT', /column 'temperature': wrong type; expected float32; received Float64/),
    )
    assert.throws(
      () => columnsOf(replace('logprobs', list([0, 1, 3], Float32Array.of(-1, -2, -3)))),
      refused('SHAPE_MISMATCH', /column 'logprobs', row 0.*expected 2 values/),
    )
    assert.throws(
      () => columnsOf(replace('verdict', vectorFromArray(['right', 'maybe']).data[0])),
      refused(
        'INVALID_ARGUMENT',
        /column 'verdict', row 1.*one of right, wrong, unparsed, timed-out; received "maybe"/,
      ),
    )
  })

  it('refuses values of another array type than the column, which Arrow would take for its own', () => {
    const floats = makeData({ type: new Float32(), data: Float32Array.of(1, 1) })
    Object.assign(floats, { values: Int32Array.of(1, 1) })
    assert.throws(
      () => columnsOf(replace('temperature', floats)),
      refused('DATA_CORRUPT', /column 'temperature'.*expected Float32Array; received Int32Array/),
    )
  })
})

describe('adding columns', () => {
  it('never edits its input', () => {
    const batch = sampleBatch()
    const before = contents(batch)
    appendColumns(batch, { note: ['a', 'b'] })
    assert.deepEqual(contents(batch), before)
    assert.throws(
      () => appendColumns(batch, { reward: [1, 1] }),
      refused('INVALID_ARGUMENT', /column 'reward'/),
    )
  })

  it('refuses an Int32Array for a float column, which Arrow would reinterpret', () => {
    const offsets = Int32Array.of(0, 1, 2)
    const wrong: [string, unknown][] = [
      ['reward', Int32Array.of(1, 1)],
      ['scored_logprobs', { values: Int32Array.of(1, 1), offsets }],
      ['scored_logprobs', { values: new Float64Array(2), offsets }],
      ['ref_logprobs', { values: Float32Array.of(1), offsets: Int32Array.of(0, 1) }],
      ['ref_logprobs', { values: Float32Array.of(1, 2), offsets: [0, 1, 2] }],
    ]
    for (const [name, values] of wrong) {
      assert.throws(() => appendColumns(sampleBatch(), { [name]: values as never }), CoppiceError)
    }
  })

  it('refuses rows too many or too few, words that are none, and numbers that are texts', () => {
    const add = (columns: Record<string, unknown>) => () =>
      appendColumns(dropColumns(sampleBatch(), ['verdict', 'reward']), columns as never)
    assert.throws(add({ reward: [1] }), refused('SHAPE_MISMATCH', /expected 2 rows; received 1/))
    assert.throws(add({ verdict: ['right', 'sure'] }), refused('INVALID_ARGUMENT', /row 1.*received "sure"/))
    assert.throws(add({ reward: [1, '2'] }), refused('INVALID_ARGUMENT', /row 1.*a number or null/))
    assert.throws(
      add({ note: makeVector(Float32Array.of(1)).concat(makeVector(Float32Array.of(2))) }),
      refused('INVALID_ARGUMENT', /one chunk/),
    )
  })

  it('names the columns of a fresh batch as the schema does', () => {
    const names = (schema: { fields: { name: string }[] }) => schema.fields.map(({ name }) => name)
    const [first] = [sampleBatch().schema]
    assert.deepEqual(
      names(rolloutSchema()).filter((name) => !names(first).includes(name)),
      [],
    )
    assert.ok(names(rolloutSchema({ samplerLogprobs: true })).includes('sampler_logprobs'))
  })
})

describe('cutting and joining', () => {
  const three = () => concatBatches([sampleBatch(0), sampleBatch(1), sampleBatch(2)])

  it('joins, slices and takes rows without changing what they say', () => {
    const rows = [0, 1, 2].flatMap((group) => contents(sampleBatch(group)))
    assert.deepEqual(contents(three()), rows)
    assert.deepEqual(contents(sliceRows(three(), 1, 5)), rows.slice(1, 5))
    assert.deepEqual(contents(takeRows(three(), [5, 0, 1, 1])), [rows[5], rows[0], rows[1], rows[1]])
    const again = concatBatches([sliceRows(three(), 0, 3), sliceRows(three(), 3, 6)])
    assert.deepEqual(contents(again), rows)
    assert.deepEqual(contents(takeRows(sliceRows(three(), 2, 6), [3, 1])), [rows[5], rows[3]])
    assert.deepEqual(columnsOf(again).finishReasons, ['stop', 'length', 'stop', 'length', 'stop', 'length'])
  })

  it('makes offsets from 0 again, and keeps those of slices', () => {
    assert.equal(columnsOf(sliceRows(three(), 2, 4)).completionTokens.offsets[0], 3)
    assert.equal(columnsOf(takeRows(three(), [2, 3])).completionTokens.offsets[0], 0)
  })

  it('takes rows of token columns as of the batch, those that follow each other without a copy', () => {
    const lists = (view: ListView<ListValues>) =>
      Array.from(view.offsets.subarray(1), (end, row) => [...view.values.subarray(view.offsets[row], end)])
    const said = ({ rows, temperature, ...columns }: TokenColumns) => [
      rows,
      [...temperature!],
      ...Object.values(columns).map(lists),
    ]
    for (const batch of [three(), sliceRows(three(), 2, 6)]) {
      for (const rows of [[0, 1, 2, 3], [1, 2], [3], [3, 1], [0, 2], [2, 2], []]) {
        const taken = takeTokenRows(tokenColumnsOf(batch), rows)
        assert.deepEqual(said(taken), said(tokenColumnsOf(takeRows(batch, rows))))
      }
    }
    const columns = tokenColumnsOf(three())
    const { buffer } = columns.completionTokens.values
    assert.equal(takeTokenRows(columns, [1, 2]).completionTokens.values.buffer, buffer)
    assert.notEqual(takeTokenRows(columns, [2, 1]).completionTokens.values.buffer, buffer)
    const { advantages } = columnsOf(three())
    assert.deepEqual(takeLists(advantages!, [1, 2]).valid, Uint8Array.of(0, 1))
    for (const row of [-1, 6, 0.5, Number.NaN])
      assert.throws(() => takeTokenRows(columns, [row]), refused('INVALID_ARGUMENT', /rows/))
  })

  it('handles no rows', () => {
    assert.deepEqual(contents(sliceRows(three(), 3, 3)), [])
    assert.deepEqual(contents(takeRows(three(), [])), [])
    assert.equal(columnsOf(takeRows(three(), [])).rows, 0)
    assert.deepEqual(
      contents(concatBatches([takeRows(three(), []), sampleBatch(0)])),
      contents(sampleBatch(0)),
    )
  })

  it('refuses rows that are not there and batches of other columns', () => {
    for (const row of [-1, 6, 0.5, Number.NaN])
      assert.throws(() => takeRows(three(), [row]), refused('INVALID_ARGUMENT', /rows/))
    assert.throws(() => sliceRows(three(), 2, 7), refused('INVALID_ARGUMENT', /received "2 and 7"/))
    assert.throws(
      () => concatBatches([sampleBatch(), dropColumns(sampleBatch(), ['seed'])]),
      refused('SHAPE_MISMATCH', /batch 1, column 'seed'/),
    )
    assert.throws(() => concatBatches([]), refused('INVALID_ARGUMENT', /at least one/))
  })
})
