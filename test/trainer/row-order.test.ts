import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RowOrder } from '../../src/trainer/row-order.ts'

describe('RowOrder', () => {
  it('takes every row once an epoch, in another order each epoch', () => {
    const order = new RowOrder(7, 'prompts', 12, 4, 'promptsPerStep')
    const epochs = [0, 1, 2].map((epoch) => [1, 2, 3].flatMap((step) => order.rowsOf(epoch * 3 + step)))
    for (const rows of epochs)
      assert.deepEqual(
        [...rows].sort((a, b) => a - b),
        Array.from({ length: 12 }, (_, i) => i),
      )
    assert.notDeepEqual(epochs[0], epochs[1])
    assert.notDeepEqual(epochs[1], epochs[2])
  })

  it('is a function of seed, stream and step', () => {
    const straight = new RowOrder(3, 'prompts', 50, 7, 'promptsPerStep')
    for (let step = 1; step < 20; step++) straight.rowsOf(step)
    const resumed = new RowOrder(3, 'prompts', 50, 7, 'promptsPerStep')
    assert.deepEqual(resumed.rowsOf(20), straight.rowsOf(20))
    assert.notDeepEqual(new RowOrder(4, 'prompts', 50, 7, 'promptsPerStep').rowsOf(20), straight.rowsOf(20))
    assert.notDeepEqual(new RowOrder(3, 'rows', 50, 7, 'promptsPerStep').rowsOf(20), straight.rowsOf(20))
  })

  it('lets the leftover of an epoch sit it out', () => {
    const order = new RowOrder(1, 'prompts', 10, 4, 'promptsPerStep')
    assert.equal(order.stepsPerEpoch, 2)
    for (let step = 1; step <= 40; step++) assert.equal(new Set(order.rowsOf(step)).size, 4)
    assert.equal(order.epochOf(2), 0)
    assert.equal(order.epochOf(3), 1)
  })

  it('refuses a step larger than the rows there are, by the name of the option', () => {
    assert.throws(() => new RowOrder(1, 'prompts', 3, 4, 'promptsPerStep'), {
      code: 'INVALID_ARGUMENT',
      message: /promptsPerStep.*at most 3.*received 4/,
    })
  })
})
