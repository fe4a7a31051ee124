import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { CoppiceError } from '../../src/errors.ts'
import { Kernels, kernels } from '../../src/kernels.ts'
import { policyLoss } from '../../src/policy-loss.ts'
import * as plain from './plain-ops.ts'

const { differences, dot } = plain

/** Values in [-1, 1) that look random. */
function values(length: number, salt: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => (Math.imul(i + salt, 2654435761) >>> 8) / 2 ** 23 - 1)
}

/** Every value as in a reference in double precision, to within `tolerance` of its largest one. */
function assertClose(found: Float32Array, expected: Float64Array, what: string, tolerance = 2e-5): void {
  assert.equal(found.length, expected.length, what)
  const largest = Math.max(...expected.map(Math.abs), 1e-30)
  for (const [i, value] of expected.entries()) {
    const error = Math.abs(found[i]! - value) / largest
    assert.ok(error < tolerance, `${what}[${i}]: ${found[i]} for ${value}`)
  }
}

describe('gradients of kernels', () => {
  let engine: Kernels

  before(async () => {
    engine = await Kernels.open({ threads: 2 })
  })

  after(() => engine.dispose())

  it('of a linear map with its bias', async () => {
    const [rows, cols, inner] = [5, 7, 19]
    const [inp, weight] = [values(rows * inner, 1), values(cols * inner, 2)]
    const [bias, dout] = [values(cols, 3), values(rows * cols, 4)]
    const out = await engine.linear({ inp, weight, bias, inner })
    assertClose(out, plain.linear(inp, weight, bias, inner), 'out')
    const found = await engine.linearBackward({ dout, inp, weight, inner })
    const loss = (i: ArrayLike<number>, w: ArrayLike<number>, b: ArrayLike<number>) =>
      dot(dout, plain.linear(i, w, b, inner))
    assertClose(
      found.dinp,
      differences((x) => loss(x, weight, bias), inp),
      'dinp',
    )
    assertClose(
      found.dweight,
      differences((x) => loss(inp, x, bias), weight),
      'dweight',
    )
    assertClose(
      found.dbias,
      differences((x) => loss(inp, weight, x), bias),
      'dbias',
    )
  })

  it('of a norm', async () => {
    const [rows, cols, eps] = [4, 21, 1e-3]
    const [inp, weight, dout] = [values(rows * cols, 5), values(cols, 6), values(rows * cols, 7)]
    const found = await engine.rmsnormBackward({ dout, inp, weight, eps })
    const loss = (i: ArrayLike<number>, w: ArrayLike<number>) => dot(dout, plain.rmsnorm(i, w, eps))
    assertClose(
      found.dinp,
      differences((x) => loss(x, weight), inp),
      'dinp',
    )
    assertClose(
      found.dweight,
      differences((x) => loss(inp, x), weight),
      'dweight',
    )
  })

  it('of a gate', async () => {
    const [rows, cols] = [3, 18]
    const [gateUp, dout] = [values(2 * rows * cols, 8).map((x) => 4 * x), values(rows * cols, 9)]
    const found = await engine.swigluBackward({ dout, gateUp, cols })
    assertClose(
      found,
      differences((x) => dot(dout, plain.swiglu(x, cols)), gateUp),
      'dgateUp',
    )
  })

  it('of rotations', async () => {
    const [headDim, theta] = [10, 500]
    const positions = Int32Array.of(0, 1, 2, 40, 3)
    const [inp, dout] = [values(5 * 3 * headDim, 10), values(5 * 3 * headDim, 11)]
    const out = await engine.rope({ inp, headDim, positions, theta })
    assertClose(out, plain.rope(inp, positions, headDim, theta), 'out')
    const found = await engine.ropeBackward({ inp: dout, headDim, positions, theta })
    const loss = (x: ArrayLike<number>) => dot(dout, plain.rope(x, positions, headDim, theta))
    assertClose(found, differences(loss, inp), 'dinp')
  })

  it('of attention over several sequences, with grouped queries', async () => {
    const shape = { numHeads: 4, numKvHeads: 2, headDim: 6 }
    const offsets = Int32Array.of(0, 1, 1, 8, 12)
    const [q, k, v] = [values(12 * 24, 12), values(12 * 12, 13), values(12 * 12, 14)]
    const dout = values(12 * 24, 15)
    const found = await engine.attentionBackward({ dout, q, k, v, offsets, ...shape })
    const loss = (of: Partial<plain.PlainAttention>) =>
      dot(dout, plain.attention({ q, k, v, offsets, ...shape, ...of }))
    assertClose(
      found.dq,
      differences((x) => loss({ q: x }), q),
      'dq',
    )
    assertClose(
      found.dk,
      differences((x) => loss({ k: x }), k),
      'dk',
    )
    assertClose(
      found.dv,
      differences((x) => loss({ v: x }), v),
      'dv',
    )
  })

  it('of log-probs and entropies', async () => {
    const [rows, vocab, cols] = [6, 37, 9]
    const [hidden, head] = [values(rows * cols, 16), values(vocab * cols, 17)]
    const targets = Int32Array.from({ length: rows }, (_, i) => (i * 11) % vocab)
    const temperature = Float32Array.from({ length: rows }, (_, i) => 0.5 + i / 4)
    const [dLogprobs, dEntropies] = [values(rows, 18), values(rows, 19)]
    const given = { hidden, head, targets, temperature }
    const loss = (h: ArrayLike<number>, w: ArrayLike<number>, withEntropies: boolean) => {
      const found = plain.logprobGather(h, w, targets, temperature)
      return dot(dLogprobs, found.logprobs) + (withEntropies ? dot(dEntropies, found.entropies) : 0)
    }
    for (const both of [false, true]) {
      const more = both ? { dEntropies } : {}
      const found = await engine.logprobGatherBackward({ ...given, dLogprobs, ...more })
      assertClose(
        found.dhidden,
        differences((x) => loss(x, head, both), hidden),
        'dhidden',
      )
      assertClose(
        found.dhead,
        differences((x) => loss(hidden, x, both), head),
        'dhead',
      )
    }
  })

  it('lead from rewards to the head, and a step along them makes the right answer likelier', async () => {
    const [rows, vocab, cols] = [8, 20, 12]
    const [hidden, head] = [values(rows * cols, 20), values(vocab * cols, 21)]
    const targets = Int32Array.from({ length: rows }, (_, i) => (i * 7) % vocab)
    const before = await engine.logprobGather(hidden, head, targets)
    const { tokenGradients } = policyLoss(
      {
        logprobs: before.logprobs,
        oldLogprobs: before.logprobs,
        offsets: Int32Array.of(0, 4, 8),
        rewards: [1, 0],
        groupIds: [0, 0],
      },
      { kind: 'w-reinforce', lambda: 0.1 },
    )
    const { dhead } = await engine.logprobGatherBackward({
      ...{ hidden, head, targets, dLogprobs: Float32Array.from(tokenGradients) },
    })
    const zeros = new Float32Array(head.length)
    const stepped = await engine.adamw({
      ...{ params: head, grad: dhead, m: zeros, v: zeros, step: 1, learningRate: 0.01 },
    })
    const later = await engine.logprobGather(hidden, stepped.params, targets)
    const of = (logprobs: Float32Array, begin: number) =>
      logprobs.subarray(begin, begin + 4).reduce((a, b) => a + b)
    assert.ok(of(later.logprobs, 0) > of(before.logprobs, 0) + 0.1)
  })

  it('are taken by AdamW as its formula says, into new arrays', async () => {
    const count = 40
    const [params, grad, m, v] = [values(count, 22), values(count, 23), values(count, 24), values(count, 25)]
    for (let i = 0; i < count; i++) v[i] = v[i]! ** 2
    const given = { learningRate: 0.02, beta1: 0.8, beta2: 0.95, eps: 1e-6, weightDecay: 0.1, gradScale: 0.5 }
    const copies = [params, grad, m, v].map((array) => array.slice())
    const found = await engine.adamw({ params, grad, m, v, step: 3, ...given })
    assert.deepEqual([params, grad, m, v], copies)
    const first = Float64Array.from(m, (x, i) => 0.8 * x + 0.2 * 0.5 * grad[i]!)
    const second = Float64Array.from(v, (x, i) => 0.95 * x + 0.05 * (0.5 * grad[i]!) ** 2)
    const moved = Float64Array.from(params, (x, i) => {
      const [mean, square] = [first[i]! / (1 - 0.8 ** 3), second[i]! / (1 - 0.95 ** 3)]
      return x * (1 - 0.02 * 0.1) - (0.02 * mean) / (Math.sqrt(square) + 1e-6)
    })
    assertClose(found.m, first, 'm')
    assertClose(found.v, second, 'v')
    assertClose(found.params, moved, 'params')
  })

  it('are the same bits on the shared instance', async () => {
    const given = { dout: values(6, 1), inp: values(8, 2), weight: values(12, 3), inner: 4 }
    assert.deepEqual(await kernels.linearBackward(given), await engine.linearBackward(given))
  })

  it('refuse what does not fit, and name it', async () => {
    const [four, six, eight] = [values(4, 1), values(6, 1), values(8, 1)]
    const head = { hidden: four, head: six, targets: Int32Array.of(0, 1) }
    const moments = { m: four, v: four, step: 1, learningRate: 0.1 }
    const wrong: [() => Promise<unknown>, string, RegExp][] = [
      [() => engine.linear({ inp: six, weight: six, inner: 2, bias: four }), 'SHAPE_MISMATCH', /bias/],
      [
        () => engine.linear({ inp: six, weight: six, inner: 2, biass: four } as never),
        ...(['INVALID_ARGUMENT', /did you mean 'bias'/] as const),
      ],
      [
        () => engine.linearBackward({ dout: six, inp: six, weight: eight, inner: 2 }),
        ...(['SHAPE_MISMATCH', /dout: expected 3 x 4 values; received 6/] as const),
      ],
      [() => engine.rmsnormBackward({ dout: four, inp: six, weight: six }), 'SHAPE_MISMATCH', /dout/],
      [() => engine.swigluBackward({ dout: four, gateUp: six, cols: 2 }), 'SHAPE_MISMATCH', /gateUp/],
      [
        () => engine.rope({ inp: six, headDim: 3, positions: Int32Array.of(0, 1) }),
        ...(['INVALID_ARGUMENT', /headDim.*even/] as const),
      ],
      [
        () => engine.rope({ inp: six, headDim: 2, positions: Int32Array.of(0, 1) }),
        ...(['SHAPE_MISMATCH', /whole heads/] as const),
      ],
      [
        () => engine.rope({ inp: four, headDim: 2, positions: Int32Array.of(0, -1) }),
        ...(['INVALID_ARGUMENT', /positions\[1\]/] as const),
      ],
      [
        () => engine.attentionBackward({ dout: six, q: eight, k: eight, v: eight, numHeads: 1, headDim: 4 }),
        ...(['SHAPE_MISMATCH', /dout/] as const),
      ],
      [
        () => engine.logprobGatherBackward({ ...head, dLogprobs: four }),
        ...(['SHAPE_MISMATCH', /dLogprobs/] as const),
      ],
      [
        () =>
          engine.logprobGatherBackward({ ...head, targets: Int32Array.of(0, 3), dLogprobs: four.slice(2) }),
        ...(['INVALID_ARGUMENT', /targets: entry 1/] as const),
      ],
      [
        () => engine.logprobGatherBackward({ ...head, dLogprobs: new Float64Array(2) as never }),
        ...(['INVALID_ARGUMENT', /dLogprobs.*Float32Array/] as const),
      ],
      [() => engine.adamw({ params: four, grad: six, ...moments }), 'SHAPE_MISMATCH', /grad/],
      [
        () => engine.adamw({ params: four, grad: four, ...moments, step: 0 }),
        ...(['INVALID_ARGUMENT', /step/] as const),
      ],
      [
        () => engine.adamw({ params: four, grad: four, ...moments, learningRate: Number.NaN }),
        ...(['INVALID_ARGUMENT', /learningRate/] as const),
      ],
    ]
    for (const [work, code, message] of wrong) {
      await assert.rejects(work, (failure: CoppiceError) => {
        assert.ok(failure instanceof CoppiceError, String(failure))
        assert.equal(failure.code, code, failure.message)
        assert.match(failure.message, message)
        return true
      })
    }
  })
})
