import assert from 'node:assert/strict'
import { it } from 'node:test'
import { randomRows, tinyPolicy } from './tiny-policy.ts'

it('works on what it was given when it was asked, whatever becomes of that memory afterwards', async () => {
  await using policy = await tinyPolicy()
  const count = 64 * 30
  const gradOf = async (spoil: (array: Float32Array | Int32Array) => void) => {
    const rows = randomRows(64, 30, 30)
    const weights = new Float32Array(count).fill(1)
    const { promptTokens, completionTokens } = rows
    const running = policy.grad(rows, weights)
    for (const array of [weights, promptTokens.values, promptTokens.offsets, completionTokens.values])
      spoil(array)
    return (await running).loss
  }
  const expected = await gradOf(() => {})
  assert.equal(await gradOf((array) => array.fill(2 ** 30)), expected)
  assert.equal(
    await gradOf(({ buffer }) => {
      structuredClone(buffer, { transfer: [buffer as ArrayBuffer] })
    }),
    expected,
  )
})
