import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  floorSeconds,
  forwardFlops,
  generationSteps,
  passedGroups,
  passedRows,
  trainingFlops,
} from '../../../src/cli/bench/floors.ts'
import { BENCH_MODELS, configOf, rolloutRows } from '../../../src/cli/bench/model-shapes.ts'
import { Policy, tensorShapesOf } from '../../../src/index.ts'

/** By hand: every product of a token with every matrix, and every pair of a token and a key in every head. */
function counted(model: typeof BENCH_MODELS.S, positions: readonly number[], predicted: number): number {
  const { hiddenSize: H, numHeads: NH, numKvHeads: NKV, headDim: HD, intermediateSize: I } = model
  const matrices = [
    ...[
      [NH * HD, H],
      [NKV * HD, H],
      [NKV * HD, H],
      [H, NH * HD],
    ],
    ...[
      [I, H],
      [I, H],
      [H, I],
    ],
  ]
  let flops = 2 * predicted * model.vocabSize * H
  for (const position of positions) {
    for (let layer = 0; layer < model.numLayers; layer++) {
      for (const [rows, cols] of matrices) flops += 2 * rows! * cols!
      for (let head = 0; head < NH; head++) flops += (position + 1) * (2 * HD + 2 * HD)
    }
  }
  return flops
}

const span = (begin: number, length: number) => Array.from({ length }, (_, i) => begin + i)

describe('the floors of docs/bench.md', () => {
  it('count the arithmetic of rows, layer by layer and key by key', () => {
    for (const model of [BENCH_MODELS.S, BENCH_MODELS.slice]) {
      const positions = [...span(0, 7), ...span(0, 7)]
      assert.equal(forwardFlops(model, passedRows(2, 7)), counted(model, positions, 14))
      assert.equal(trainingFlops(model, passedRows(2, 7)), 3 * counted(model, positions, 14))
    }
    const perToken = trainingFlops(BENCH_MODELS.S, passedRows(32, 128)) / (32 * 128)
    assert.equal((perToken / 1e6).toFixed(1), '26.2')
  })

  it('count a shared prompt once, and the last token of a completion not at all', () => {
    const { S } = BENCH_MODELS
    const completions = [...span(5, 3), ...span(5, 3), ...span(5, 3)]
    assert.equal(
      forwardFlops(S, passedGroups(1, 3, 5, 4, true)),
      counted(S, [...span(0, 5), ...completions], 12),
    )
    const prompts = [...span(0, 5), ...span(0, 5), ...span(0, 5)]
    assert.equal(
      forwardFlops(S, passedGroups(1, 3, 5, 4, false)),
      counted(S, [...prompts, ...completions], 12),
    )
  })

  it('read all parameters once a token step, and the keys before it', () => {
    const { S } = BENCH_MODELS
    const [first, second, ...more] = generationSteps(S, 'bf16', 2, 3, 5, 3)
    assert.equal(more.length, 1)
    const parameters = 4 * (4 * 256 * 256 + 3 * 256 * 1024) + 128 * 256
    const position = 4 * 2 * 256 * 4
    assert.equal(first!.bytes, 2 * parameters + 10 * position)
    assert.equal(second!.bytes, 2 * parameters + (10 + 6) * position)
    assert.equal(more[0]!.bytes, 2 * parameters + (10 + 12) * position)
    assert.equal(second!.flops, counted(S, [5, 5, 5, 5, 5, 5], 6))
    assert.equal(generationSteps(S, 'f32', 2, 3, 5, 3)[1]!.bytes, 4 * parameters + 16 * position)
  })

  it('take the longer of arithmetic and traffic of each piece', () => {
    const peaks = { gflops: 100, gbytes: 10 }
    const work = [
      { flops: 1e9, bytes: 0 },
      { flops: 1e9, bytes: 1e9 },
    ]
    assert.ok(Math.abs(floorSeconds(work, peaks) - 0.11) < 1e-12)
  })
})

describe("the bench's models", () => {
  it('have the parameters that their floors count', async () => {
    const tiny = { ...BENCH_MODELS.slice, hiddenSize: 112, headDim: 8, intermediateSize: 40, vocabSize: 50 }
    await using policy = await Policy.init({
      config: configOf(tiny, 64),
      seed: 1,
      isa: 'portable',
      threads: 1,
    })
    const matrices = tensorShapesOf(policy.config).filter(({ shape }) => shape.length === 2)
    const parameters = matrices.reduce((sum, { shape }) => sum + shape[0]! * shape[1]!, 0)
    // One token that is predicted and attends to itself alone: two operations a parameter, and the attention.
    const attention = 4 * tiny.numHeads * tiny.headDim
    assert.equal(forwardFlops(tiny, { tokens: 1, predicted: 1, keys: 1 }), 2 * parameters + attention)
  })

  it('has the widths of Qwen2.5-0.5B in its slice', () => {
    const config = configOf(BENCH_MODELS.slice, 4096)
    const { hidden_size, num_attention_heads, num_key_value_heads, head_dim, intermediate_size, vocab_size } =
      config
    assert.deepEqual(
      [hidden_size, num_attention_heads, num_key_value_heads, head_dim, intermediate_size, vocab_size],
      [896, 14, 2, 64, 4864, 151_936],
    )
    assert.deepEqual([config.num_hidden_layers, config.tie_word_embeddings], [1, true])
  })

  it('learn from groups of neighbours with one prompt', () => {
    const { promptTokens, completionTokens } = rolloutRows(50, 6, 2, 4, 3)
    const prompt = (row: number) => promptTokens.values.slice(4 * row, 4 * row + 4).join()
    assert.equal(new Set([0, 1, 2].map(prompt)).size, 1)
    assert.equal(new Set([3, 4, 5].map(prompt)).size, 1)
    assert.notEqual(prompt(0), prompt(3))
    assert.deepEqual([...completionTokens.offsets], [0, 3, 6, 9, 12, 15, 18])
    assert.ok([...promptTokens.values, ...completionTokens.values].every((token) => token >= 0 && token < 50))
  })
})
