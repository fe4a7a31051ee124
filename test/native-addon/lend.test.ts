import assert from 'node:assert/strict'
import { it } from 'node:test'
import { lend } from '../../src/native.ts'
import { randomRows, tinyPolicy } from './tiny-policy.ts'

const transferred = (array: Float32Array) => {
  const buffer = array.buffer as ArrayBuffer & { transfer?: () => ArrayBuffer }
  for (const take of [() => structuredClone(buffer, { transfer: [buffer] }), () => buffer.transfer?.()]) {
    try {
      take()
    } catch {
      // Newer versions of Node refuse in words; older ones clone.
    }
  }
}

it('keeps what a job reads, whoever tries to take its memory away meanwhile', async () => {
  const array = Float32Array.of(1, 2, 3)
  const lent = lend(array)
  transferred(array)
  assert.deepEqual([...lent], [1, 2, 3])

  await using policy = await tinyPolicy()
  const rows = randomRows(64, 30, 30)
  const count = 64 * 30
  const grad = async (takeAway: boolean) => {
    const weights = new Float32Array(count).fill(1)
    const running = policy.grad(rows, weights)
    if (takeAway) transferred(weights)
    return (await running).loss
  }
  assert.equal(await grad(true), await grad(false))
})
