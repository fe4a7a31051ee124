import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { CoppiceError } from '../../src/errors.ts'
import { Kernels, kernels } from '../../src/kernels.ts'

/** Values in [-1, 1) that look random. */
function values(length: number, salt: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => (Math.imul(i + salt, 2654435761) >>> 8) / 2 ** 23 - 1)
}

/** Largest difference from a reference in double precision, in units of its largest value. */
function error(found: Float32Array, expected: readonly number[]): number {
  assert.equal(found.length, expected.length)
  const largest = Math.max(...expected.map(Math.abs), 1e-30)
  return Math.max(...expected.map((value, i) => Math.abs(found[i]! - value))) / largest
}

const grid = (rows: number, cols: number, of: (row: number, col: number) => number) =>
  Array.from({ length: rows * cols }, (_, i) => of(Math.floor(i / cols), i % cols))

const sum = (count: number, of: (i: number) => number) => {
  let total = 0
  for (let i = 0; i < count; i++) total += of(i)
  return total
}

const SHAPES: [number, number, number][] = [
  [1, 1, 1],
  [3, 5, 7],
  [17, 33, 300],
]

describe('kernels on typed arrays', () => {
  let engine: Kernels

  before(async () => {
    engine = await Kernels.open({ threads: 2 })
  })

  after(() => engine.dispose())

  it('multiply matrices', async () => {
    for (const [rows, cols, inner] of SHAPES) {
      const [inp, weight] = [values(rows * inner, 1), values(cols * inner, 2)]
      const expected = grid(rows, cols, (r, c) =>
        sum(inner, (i) => inp[r * inner + i]! * weight[c * inner + i]!),
      )
      assert.ok(error(await engine.matmul(inp, weight, inner), expected) < 1e-5)
    }
  })

  it('normalise and gate rows', async () => {
    for (const [rows, cols] of SHAPES) {
      const [inp, weight, gateUp] = [values(rows * cols, 3), values(cols, 4), values(2 * rows * cols, 5)]
      const normed = grid(rows, cols, (r, c) => {
        const square = sum(cols, (i) => inp[r * cols + i]! ** 2) / cols
        return (inp[r * cols + c]! * weight[c]!) / Math.sqrt(square + 1e-6)
      })
      assert.ok(error(await engine.rmsnorm(inp, weight), normed) < 1e-5)
      const gated = grid(rows, cols, (r, c) => {
        const [gate, up] = [gateUp[r * 2 * cols + c]!, gateUp[r * 2 * cols + cols + c]!]
        return (gate / (1 + Math.exp(-gate))) * up
      })
      assert.ok(error(await engine.swiglu(gateUp, cols), gated) < 1e-5)
    }
  })

  it('attend causally within sequences, with grouped queries', async () => {
    const [numHeads, numKvHeads, headDim] = [4, 2, 8]
    const offsets = Int32Array.of(0, 1, 1, 66, 70)
    const rows = 70
    const [q, k, v] = [values(rows * 32, 6), values(rows * 16, 7), values(rows * 16, 8)]
    const expected = grid(rows, numHeads * headDim, (row, col) => {
      const head = Math.floor(col / headDim)
      const kv = Math.floor(head / (numHeads / numKvHeads))
      const begin = offsets.findLast((offset) => offset <= row)!
      const scores = Array.from({ length: row - begin + 1 }, (_, i) =>
        Math.exp(
          sum(headDim, (d) => q[row * 32 + head * headDim + d]! * k[(begin + i) * 16 + kv * headDim + d]!) /
            Math.sqrt(headDim),
        ),
      )
      const total = sum(scores.length, (i) => scores[i]!)
      return sum(
        scores.length,
        (i) => (scores[i]! / total) * v[(begin + i) * 16 + kv * headDim + (col % headDim)]!,
      )
    })
    const found = await engine.attention({ q, k, v, numHeads, numKvHeads, headDim, offsets })
    assert.ok(error(found, expected) < 1e-5)
  })

  it('gather log-probs and entropies', async () => {
    const [rows, vocab, cols] = [9, 130, 12]
    const [hidden, head] = [values(rows * cols, 9), values(vocab * cols, 10)]
    const targets = Int32Array.from({ length: rows }, (_, i) => (i * 37) % vocab)
    const temperature = Float32Array.from({ length: rows }, (_, i) => 0.5 + i / 4)
    const logits = (row: number) =>
      Array.from(
        { length: vocab },
        (_, v) => sum(cols, (i) => hidden[row * cols + i]! * head[v * cols + i]!) / temperature[row]!,
      )
    const logprobs: number[] = []
    const entropies: number[] = []
    for (let row = 0; row < rows; row++) {
      const z = logits(row)
      const lse = Math.log(sum(vocab, (v) => Math.exp(z[v]!)))
      logprobs.push(z[targets[row]!]! - lse)
      entropies.push(sum(vocab, (v) => Math.exp(z[v]! - lse) * (lse - z[v]!)))
    }
    const found = await engine.logprobGather(hidden, head, targets, temperature)
    assert.ok(error(found.logprobs, logprobs) < 1e-5)
    assert.ok(error(found.entropies, entropies) < 1e-5)
  })

  it('give the same bits on the shared instance and with another number of threads', async () => {
    await using one = await Kernels.open({ threads: 1 })
    const [inp, weight] = [values(40 * 100, 1), values(70 * 100, 2)]
    const expected = await engine.matmul(inp, weight, 100)
    assert.deepEqual(await one.matmul(inp, weight, 100), expected)
    assert.deepEqual(await kernels.matmul(inp, weight, 100), expected)
    assert.equal(one.info.threads, 1)
  })

  it('can be timed', async () => {
    const seconds = await engine.time('linear', { rows: 8, cols: 64, inner: 64 }, { repeats: 5, warmup: 1 })
    assert.equal(seconds.length, 5)
    assert.ok(seconds.every((x) => x > 0 && x < 1))
    const attention = { sequences: 2, length: 70, num_heads: 4, num_kv_heads: 2, head_dim: 16 }
    const rows = { rows: 16, cols: 64 }
    const shapes: [string, Record<string, number>][] = [
      ['linear_backward_input', { rows: 8, cols: 64, inner: 32 }],
      ['linear_backward_weight', { rows: 8, cols: 64, inner: 32 }],
      ['rmsnorm', rows],
      ['rmsnorm_backward', rows],
      ['swiglu', rows],
      ['swiglu_backward', rows],
      ['attention', attention],
      ['attention_backward', attention],
      ['head', { ...rows, vocab: 100 }],
      ['head_backward', { ...rows, vocab: 100 }],
      ['sample', { ...rows, vocab: 100 }],
      ['adamw', { elements: 1000 }],
    ]
    for (const [op, shape] of shapes) {
      assert.equal((await engine.time(op, shape, { repeats: 2 })).length, 2, op)
    }
  })

  it('refuse what does not fit, and never the wrong type', async () => {
    const wrong: [() => Promise<unknown>, string][] = [
      [() => engine.matmul(values(6, 1), values(8, 1), 4), 'SHAPE_MISMATCH'],
      [() => engine.matmul(values(6, 1), values(0, 1), 2), 'SHAPE_MISMATCH'],
      [() => engine.matmul(new Float64Array(6) as never, values(8, 1), 2), 'INVALID_ARGUMENT'],
      [() => engine.matmul([1, 2] as never, values(8, 1), 2), 'INVALID_ARGUMENT'],
      [() => engine.rmsnorm(values(6, 1), values(3, 1), -1), 'INVALID_ARGUMENT'],
      [() => engine.swiglu(values(6, 1), 0), 'INVALID_ARGUMENT'],
      [() => engine.logprobGather(values(4, 1), values(6, 1), Int32Array.of(0, 3)), 'INVALID_ARGUMENT'],
      [
        () => engine.logprobGather(values(4, 1), values(6, 1), Int32Array.of(0, 1), Float32Array.of(1, 0)),
        'INVALID_ARGUMENT',
      ],
      [
        () =>
          engine.attention({ q: values(8, 1), k: values(8, 1), v: values(4, 1), numHeads: 1, headDim: 4 }),
        'SHAPE_MISMATCH',
      ],
      [
        () =>
          engine.attention({
            q: values(24, 1),
            k: values(16, 1),
            v: values(16, 1),
            numHeads: 3,
            numKvHeads: 2,
            headDim: 4,
          }),
        'SHAPE_MISMATCH',
      ],
      [() => engine.time('gemm', {}), 'INVALID_ARGUMENT'],
      [() => engine.time('linear', { rows: 1 }), 'INVALID_ARGUMENT'],
    ]
    for (const [work, code] of wrong) {
      await assert.rejects(work, (failure: CoppiceError) => {
        assert.ok(failure instanceof CoppiceError, String(failure))
        assert.equal(failure.code, code, failure.message)
        return true
      })
    }
    assert.equal((await engine.matmul(values(6, 1), values(8, 1), 2)).length, 12)
  })
})
