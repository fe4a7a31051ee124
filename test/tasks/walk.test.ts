import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Random } from '../../src/tasks/random.ts'
import { splits } from '../../src/tasks/task.ts'
import { countWalks, walk } from '../../src/tasks/walk.ts'
import { checkTaskContract, rightShare } from './task-contract.ts'

const referenceOf = (prompt: string) => prompt.replace(/ :$/, '')
const successorsOf = (prompt: string) =>
  referenceOf(prompt)
    .split(' ')
    .map((set) => [...set.slice(1, -1)].reduce((mask, node) => mask | (1 << Number.parseInt(node, 36)), 0))
const arcsOf = (prompt: string) => referenceOf(prompt).replace(/[^0-9a-z]/g, '').length

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!
}

describe('walk', () => {
  it('keeps a task’s promises', () => {
    checkTaskContract(walk(), (prompt) => prompt)
    checkTaskContract(walk({ nodes: 11, endToken: false }), (prompt) => prompt)
  })

  it('has the vocabulary and lengths of eight nodes', () => {
    const { tokenizer, maxPromptLength, maxCompletionLength } = walk({ endToken: false })
    assert.deepEqual([tokenizer.tokens.length, maxPromptLength, maxCompletionLength], [265, 9, 8])
    assert.deepEqual([tokenizer.tokens[7], tokenizer.tokens[8], tokenizer.tokens[9]], ['7', ':', '[]'])
    assert.equal(tokenizer.tokens[9 + 0b101], '[02]')
    assert.equal(tokenizer.endToken, undefined)
    assert.deepEqual([walk().tokenizer.tokens.length, walk().maxCompletionLength], [266, 9])
    assert.equal(walk().tokenizer.tokens[265], '<end>')
  })

  it('counts walks as trying them all does', () => {
    const random = new Random(1, 'graphs')
    for (let trial = 0; trial < 20; trial++) {
      const successors = Array.from({ length: 6 }, (_, node) => random.below(64) & ~(1 << node))
      let count = 0
      const visit = (node: number, visited: number) => {
        if (visited === 63) count++
        for (let next = 0; next < 6; next++) {
          if ((successors[node]! >> next) & 1 && !((visited >> next) & 1)) visit(next, visited | (1 << next))
        }
      }
      for (let node = 0; node < 6; node++) visit(node, 1 << node)
      assert.equal(countWalks(successors), count)
    }
  })

  it('has graphs of each split’s density, about as many walks as stated, and never none', () => {
    const expected = [
      [0.8, 7000, 13_000],
      [0.35, 50, 110],
      [0.2, 6, 12],
    ] as const
    for (const [density, low, high] of expected) {
      const task = walk({ trainDensity: density })
      const prompts = task.prompts('train', 400, 3).map((row) => row.prompt)
      const counts = prompts.map((prompt) => countWalks(successorsOf(prompt)))
      assert.ok(counts.every((count) => count > 0))
      const middle = median(counts)
      assert.ok(middle > low && middle < high, `density ${density}: median ${middle}`)
      // 7 planted arcs and 49 others.
      const mean = prompts.reduce((sum, prompt) => sum + arcsOf(prompt), 0) / prompts.length
      assert.ok(Math.abs(mean - (7 + 49 * density)) < 0.6, `density ${density}: ${mean} arcs`)
    }
    const means = splits.map((split) =>
      walk()
        .prompts(split, 100, 1)
        .reduce((sum, row) => sum + arcsOf(row.prompt), 0),
    )
    assert.ok(means[0]! > 2 * means[1]! && means[0]! > 2 * means[2]!)
  })

  it('plants each walk of a graph equally often', () => {
    // On three nodes few graphs exist, so that the demonstrations of one graph are many.
    const task = walk({ nodes: 3, careless: 0, minDemonstrationDensity: 0.5, maxDemonstrationDensity: 0.5 })
    const shown = new Map<string, Map<string, number>>()
    for (const { prompt, completion } of task.demonstrations(40_000, 1)) {
      const counts = shown.get(prompt) ?? new Map<string, number>()
      shown.set(prompt, counts.set(completion, (counts.get(completion) ?? 0) + 1))
    }
    let compared = 0
    for (const [prompt, counts] of shown) {
      const walks = countWalks(successorsOf(prompt))
      assert.equal(counts.size, walks, `${prompt} has ${walks} walks`)
      const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
      for (const count of counts.values()) {
        const spread = Math.sqrt((total / walks) * (1 - 1 / walks))
        assert.ok(Math.abs(count - total / walks) < 5 * spread + 1, `${prompt}: ${[...counts.values()]}`)
        compared++
      }
    }
    assert.ok(compared > 30)
  })

  it('shows demonstrations that are right in the stated share', () => {
    assert.equal(rightShare(walk({ careless: 0 }), 500, referenceOf), 1)
    const careless = rightShare(walk({ careless: 1 }), 4000, referenceOf)
    // From the last position on nothing can change, from the others a random order is sometimes right.
    assert.ok(careless > 1 / 8 && careless < 0.45, String(careless))
    const share = rightShare(walk(), 4000, referenceOf)
    assert.ok(Math.abs(share - (0.6 + 0.4 * careless)) < 0.03, String(share))
  })

  it('refuses options that make no sense', () => {
    const bad = [
      { nodes: 2 },
      { nodes: 13 },
      { trainDensity: 1.1 },
      { minDemonstrationDensity: 0.9 },
      { endToken: 1 },
    ]
    for (const options of bad) assert.throws(() => walk(options as never), { code: 'INVALID_ARGUMENT' })
    assert.throws(() => walk({ density: 0.5 } as never), { code: 'INVALID_ARGUMENT' })
  })
})
