import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { modelConfigOf } from '../../src/checkpoint.ts'
import { CoppiceError, type ErrorCode } from '../../src/errors.ts'
import type { NativeEngine, NativeRows } from '../../src/native/types.ts'
import { addon, call } from '../../src/native.ts'
import { refused } from '../refused.ts'
import { MAX_POSITIONS, TINY_CONFIG, VOCAB } from './tiny-policy.ts'

// The addon itself, below every check of the TypeScript side: whatever comes in is taken or refused with a code.

let engine: NativeEngine

before(async () => {
  engine = await addon().openEngine(modelConfigOf(TINY_CONFIG, 'test'), { threads: 2 })
  await engine.initRandom(1n)
})

after(() => engine.dispose())

const goodRows = (): NativeRows => ({
  promptTokens: Int32Array.of(1, 2, 3, 4, 5),
  promptOffsets: Int32Array.of(0, 2, 5),
  completionTokens: Int32Array.of(6, 7, 8),
  completionOffsets: Int32Array.of(0, 1, 3),
})

const score = (rows: unknown) => call(() => engine.score(rows as NativeRows, true, 4096))

describe('rows at the boundary', () => {
  it('takes what is sound', async () => {
    const { logprobs, entropies, cancelled } = await score(goodRows())
    assert.equal(cancelled, false)
    assert.equal(logprobs.length, 3)
    assert.ok(logprobs.every((x) => x < 0 && Number.isFinite(x)) && entropies.every((x) => x > 0))
  })

  it('takes slices, whose offsets begin anywhere and whose values lie at odd places', async () => {
    const expected = await score(goodRows())
    const shifted = new Int32Array(new ArrayBuffer(40), 4, 8)
    shifted.set([-1, 99999, -7, 1, 2, 3, 4, 5])
    const rows = { ...goodRows(), promptTokens: shifted, promptOffsets: Int32Array.of(3, 5, 8) }
    assert.deepEqual((await score(rows)).logprobs, expected.logprobs)
  })

  it('takes empty batches and empty completions', async () => {
    const none = { values: new Int32Array(0), offsets: new Int32Array(1) }
    const empty = await score({
      promptTokens: none.values,
      promptOffsets: none.offsets,
      completionTokens: none.values,
      completionOffsets: none.offsets,
    })
    assert.equal(empty.logprobs.length, 0)
    const { logprobs } = await score({ ...goodRows(), completionOffsets: Int32Array.of(0, 0, 3) })
    assert.equal(logprobs.length, 3)
  })

  const wrong: [string, unknown, ErrorCode, RegExp][] = [
    ['no rows', undefined, 'INVALID_ARGUMENT', /rows: expected an object/],
    [
      'plain arrays',
      { ...goodRows(), promptTokens: [1, 2, 3, 4, 5] },
      'INVALID_ARGUMENT',
      /promptTokens: expected Int32Array; received an array/,
    ],
    [
      'floats for tokens',
      { ...goodRows(), completionTokens: new Float32Array(3) },
      'INVALID_ARGUMENT',
      /received Float32Array/,
    ],
    [
      'tokens of another width',
      { ...goodRows(), completionTokens: new Uint32Array(3) },
      'INVALID_ARGUMENT',
      /received Uint32Array/,
    ],
    [
      'integers for temperatures',
      { ...goodRows(), temperature: Int32Array.of(1, 1) },
      'INVALID_ARGUMENT',
      /temperature: expected Float32Array/,
    ],
    [
      'shared memory',
      { ...goodRows(), promptTokens: new Int32Array(new SharedArrayBuffer(20)) },
      'INVALID_ARGUMENT',
      /SharedArrayBuffer/,
    ],
    [
      'memory that can shrink',
      { ...goodRows(), promptTokens: new Int32Array(resizable(20)) },
      'INVALID_ARGUMENT',
      /resizable/,
    ],
    [
      'memory that is gone',
      { ...goodRows(), promptTokens: detached(5) },
      'INVALID_ARGUMENT',
      /promptOffsets: entry 1/,
    ],
    [
      'falling offsets',
      { ...goodRows(), promptOffsets: Int32Array.of(0, 5, 2) },
      'INVALID_ARGUMENT',
      /entry 2: expected an offset from 5 to 5/,
    ],
    [
      'negative offsets',
      { ...goodRows(), promptOffsets: Int32Array.of(-2, 2, 5) },
      'INVALID_ARGUMENT',
      /entry 0: expected an offset from 0 to 5.*-2/,
    ],
    [
      'offsets past the values',
      { ...goodRows(), completionOffsets: Int32Array.of(0, 1, 4) },
      'INVALID_ARGUMENT',
      /completionOffsets: entry 2/,
    ],
    [
      'no offsets at all',
      { ...goodRows(), promptOffsets: new Int32Array(0) },
      'SHAPE_MISMATCH',
      /promptOffsets/,
    ],
    [
      'columns of unequal rows',
      { ...goodRows(), completionOffsets: Int32Array.of(0, 3) },
      'SHAPE_MISMATCH',
      /completionOffsets/,
    ],
    [
      'temperatures of unequal rows',
      { ...goodRows(), temperature: Float32Array.of(1) },
      'SHAPE_MISMATCH',
      /temperature/,
    ],
    [
      'an empty prompt',
      { ...goodRows(), promptOffsets: Int32Array.of(0, 0, 5) },
      'INVALID_ARGUMENT',
      /row 0 is empty/,
    ],
    [
      'a negative token',
      { ...goodRows(), completionTokens: Int32Array.of(6, -1, 8) },
      'INVALID_ARGUMENT',
      /row 1, token 0.*received -1/,
    ],
    [
      'a token past the vocabulary',
      { ...goodRows(), promptTokens: Int32Array.of(1, 2, 3, VOCAB, 5) },
      'INVALID_ARGUMENT',
      /row 1, token 1.*received 61/,
    ],
    [
      'a temperature of 0',
      { ...goodRows(), temperature: Float32Array.of(1, 0) },
      'INVALID_ARGUMENT',
      /temperature: row 1/,
    ],
    [
      'a temperature that is no number',
      { ...goodRows(), temperature: Float32Array.of(NaN, 1) },
      'INVALID_ARGUMENT',
      /temperature: row 0/,
    ],
    ['a row that is too long', tooLong(), 'INVALID_ARGUMENT', /the model holds 192 positions/],
  ]
  for (const [what, rows, code, message] of wrong) {
    it(`refuses ${what}`, () => assert.rejects(score(rows), refused(code, message)))
  }
})

const MICRO_BATCHES = { tokenBudget: 4096, activationCheckpointing: 'none' } as const

describe('other arguments at the boundary', () => {
  it('refuses arrays that do not have one value a completion token', async () => {
    const grad = (weights: unknown) =>
      call(() => engine.grad(goodRows(), weights as Float32Array, MICRO_BATCHES))
    await assert.rejects(
      grad(new Float32Array(2)),
      refused('SHAPE_MISMATCH', /tokenWeights: .* 3; received 2/),
    )
    await assert.rejects(
      grad(new Int32Array(3)),
      refused('INVALID_ARGUMENT', /expected Float32Array; received Int32Array/),
    )
    await assert.rejects(grad(new Float64Array(3)), refused('INVALID_ARGUMENT', /received Float64Array/))
  })

  it('refuses budgets, names and seeds that are none', async () => {
    for (const budget of [0, -1, 1.5, NaN, Infinity, '8']) {
      await assert.rejects(
        call(() => engine.score(goodRows(), true, budget as number)),
        refused('INVALID_ARGUMENT', /tokenBudget/),
      )
    }
    await assert.rejects(
      call(() => engine.readTensor('lm_head')),
      refused('INVALID_ARGUMENT', /no tensor 'lm_head'/),
    )
    await assert.rejects(
      call(() => engine.initRandom(1 as never)),
      refused('INVALID_ARGUMENT', /seed: expected a bigint/),
    )
    await assert.rejects(
      call(() => engine.initRandom(-1n)),
      refused('INVALID_ARGUMENT', /seed/),
    )
    await assert.rejects(
      call(() => engine.writeTensor('model.norm.weight', new Float32Array(31))),
      refused('SHAPE_MISMATCH', /32; received 31/),
    )
  })

  it('refuses handles of another kind, and objects that only look right', () => {
    const stop = new (addon().StopFlag)()
    const forged = Object.create(Object.getPrototypeOf(stop))
    for (const wrong of [{}, forged, engine, 1, null]) {
      assert.throws(() => engine.score(goodRows(), true, 4096, wrong as never), { code: 'INVALID_ARGUMENT' })
    }
    const { score: bare } = Object.getPrototypeOf(engine) as NativeEngine
    assert.throws(() => bare.call(stop as never, goodRows(), true, 4096), TypeError)
    assert.throws(() => bare.call({} as never, goodRows(), true, 4096), TypeError)
    const Engine = engine.constructor as new () => NativeEngine
    assert.throws(() => new Engine(), TypeError)
  })

  it('names a config that cannot be', async () => {
    const open = (change: object) =>
      call(() => addon().openEngine({ ...modelConfigOf(TINY_CONFIG, 'test'), ...change }, {}))
    await assert.rejects(open({ hiddenSize: 0 }), refused('INVALID_ARGUMENT', /hidden_size/))
    await assert.rejects(open({ numLayers: -1 }), refused('INVALID_ARGUMENT', /numLayers/))
    await assert.rejects(open({ numKvHeads: 3 }), refused('INVALID_ARGUMENT', /num_key_value_heads/))
    await assert.rejects(
      open({ ropeScaling: 'yarn' }),
      refused('INVALID_ARGUMENT', /ropeScaling: expected one of default, llama3/),
    )
    await assert.rejects(
      call(() => addon().openEngine(modelConfigOf(TINY_CONFIG, 'test'), { isa: 'mmx' })),
      refused('DEVICE_UNAVAILABLE', /mmx/),
    )
    await assert.rejects(
      call(() => addon().openEngine(modelConfigOf(TINY_CONFIG, 'test'), { device: 'tpu' })),
      refused('INVALID_ARGUMENT', /tpu/),
    )
  })
})

describe('random corruption', () => {
  it('ends in a result or in a coded error, and leaves the engine sound', async () => {
    const expected = await score(goodRows())
    let seed = 12345
    const random = (below: number) => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
      return Math.floor((seed / 2 ** 32) * below)
    }
    const odd = [-1, -(2 ** 31), 2 ** 31 - 1, VOCAB, VOCAB + 1, 0, 3, 1 << 20, MAX_POSITIONS + 1]
    const codes = new Map<string, number>()
    for (let round = 0; round < 400; round++) {
      const rows = goodRows() as unknown as Record<string, Int32Array | Float32Array>
      rows.temperature = Float32Array.of(1, 0.5)
      for (let changes = random(3) + 1; changes > 0; changes--) {
        const names = Object.keys(rows)
        const name = names[random(names.length)]!
        const array = rows[name]!
        if (random(4) === 0) rows[name] = array.subarray(random(array.length + 1))
        else if (array.length > 0) array[random(array.length)] = odd[random(odd.length)]!
      }
      const outcome = await score(rows).then(
        ({ logprobs }) => (logprobs.every((x) => x <= 0) ? 'scored' : 'nonsense'),
        (error: unknown) => (error instanceof CoppiceError ? error.code : String(error)),
      )
      codes.set(outcome, (codes.get(outcome) ?? 0) + 1)
    }
    const known = ['scored', 'INVALID_ARGUMENT', 'SHAPE_MISMATCH']
    assert.deepEqual(
      [...codes.keys()].filter((code) => !known.includes(code)),
      [],
    )
    assert.ok(codes.get('scored')! > 10 && codes.get('INVALID_ARGUMENT')! > 100, JSON.stringify([...codes]))
    assert.deepEqual(await score(goodRows()), expected)
  })
})

function resizable(bytes: number): ArrayBuffer {
  const Resizable = ArrayBuffer as unknown as new (bytes: number, options: object) => ArrayBuffer
  return new Resizable(bytes, { maxByteLength: 4 * bytes })
}

function detached(length: number): Int32Array {
  const array = new Int32Array(length)
  structuredClone(array.buffer, { transfer: [array.buffer] })
  return array
}

function tooLong(): NativeRows {
  return {
    promptTokens: new Int32Array(MAX_POSITIONS).fill(1),
    promptOffsets: Int32Array.of(0, MAX_POSITIONS),
    completionTokens: Int32Array.of(1),
    completionOffsets: Int32Array.of(0, 1),
  }
}
