import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { philox4x32 } from '../../src/statistics/philox.ts'
import { hashText, Random } from '../../src/tasks/random.ts'

const draw = (random: Random, count: number) => Array.from({ length: count }, () => random.uint32())

describe('random numbers of tasks', () => {
  it('are the generator’s words for (seed, stream, row, position)', () => {
    const seed = 2 ** 40 + 7
    const words = draw(new Random(seed, 'a stream').at(5), 6)
    const out = new Uint32Array(4)
    const expected: number[] = []
    for (const block of [0, 1]) {
      const counter = Uint32Array.of(block, 5, hashText('a stream'), hashText('a stream', 1))
      philox4x32(counter, Uint32Array.of(7, 2 ** 8), out)
      expected.push(...out)
    }
    assert.deepEqual(words, expected.slice(0, 6))
  })

  it('make any row again alone, and differ by seed, stream and row', () => {
    const random = new Random(1, 'x')
    const rows = [0, 1, 2].map((row) => draw(random.at(row), 9))
    assert.deepEqual(draw(new Random(1, 'x').at(2), 9), rows[2])
    const others = [rows[0], rows[1], draw(new Random(2, 'x'), 9), draw(new Random(1, 'y'), 9)]
    assert.equal(new Set(others.map(String)).size, 4)
    assert.notDeepEqual(draw(new Random(2 ** 32 + 1, 'x'), 9), rows[0])
  })

  it('are uniform below a bound, in [0, 1) and in their order', () => {
    const random = new Random(3, 'uniform')
    const counts = new Array<number>(7).fill(0)
    for (let i = 0; i < 70_000; i++) counts[random.below(7)]!++
    // Chi-square with 6 degrees of freedom: above 33 with probability 1e-5.
    assert.ok(counts.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0) < 33, String(counts))
    const orders = new Map<string, number>()
    for (let i = 0; i < 24_000; i++) {
      const order = random.shuffle([0, 1, 2, 3]).join('')
      orders.set(order, (orders.get(order) ?? 0) + 1)
    }
    // 23 degrees of freedom: above 66 with probability 5e-6.
    const spread = [...orders.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
    assert.ok(orders.size === 24 && spread < 66, `${orders.size} orders, chi-square ${spread}`)
    let sum = 0
    for (let i = 0; i < 10_000; i++) {
      const value = random.uniform()
      assert.ok(value >= 0 && value < 1)
      sum += value
    }
    assert.ok(Math.abs(sum / 10_000 - 0.5) < 0.015)
    assert.deepEqual(
      Array.from({ length: 5 }, () => [random.chance(0), random.chance(1)]),
      Array.from({ length: 5 }, () => [false, true]),
    )
    assert.deepEqual(random.shuffle([1, 2, 3, 4], 3), [1, 2, 3, 4])
    assert.equal(random.below(1), 0)
    // Without drawing again, the values below 2^32 mod 3e9 would be twice as likely as the others: 0.60 instead of 0.43.
    const bound = 3_000_000_000
    let low = 0
    for (let i = 0; i < 10_000; i++) low += random.below(bound) < 2 ** 32 % bound ? 1 : 0
    assert.ok(Math.abs(low / 10_000 - (2 ** 32 % bound) / bound) < 0.03, String(low))
    assert.ok(random.below(2 ** 32 - 1) < 2 ** 32 - 1)
  })

  it('refuse seeds, rows and bounds that are no such numbers', () => {
    for (const seed of [-1, 0.5, Number.NaN, 2 ** 53]) {
      assert.throws(() => new Random(seed, 'x'), { code: 'INVALID_ARGUMENT' })
    }
    const random = new Random(0, 'x')
    for (const row of [-1, 1.5, 2 ** 32]) assert.throws(() => random.at(row), { code: 'INVALID_ARGUMENT' })
    for (const bound of [0, -1, 2.5, 2 ** 32, Number.NaN]) {
      assert.throws(() => random.below(bound), { code: 'INVALID_ARGUMENT' })
    }
  })
})
