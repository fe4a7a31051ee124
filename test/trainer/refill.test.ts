import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { TrainOptions } from '../../src/index.ts'
import { columnsOf, joinColumns } from '../../src/rollouts.ts'
import { RowOrder } from '../../src/trainer/row-order.ts'
import { sampleBatch } from '../rollouts/sample-batch.ts'
import { checkpointDigest, makeFolder, runToEnd, timelessMetrics } from './tiny-run.ts'

const SETTINGS = {
  objective: { kind: 'dapo' },
  ...{ promptsPerStep: 2, numGenerations: 3, refillRounds: 4, steps: 6, miniBatchRows: null },
  // Right by chance alone, so that many groups of three have equal rewards.
  verifier: ({ completionTokens }) =>
    Number(completionTokens.reduce((sum, token) => sum + token, 0) % 4 === 0),
} satisfies Partial<TrainOptions>

describe('dynamic sampling with refill', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  before(async () => {
    folder = await makeFolder()
  })
  after(() => folder.remove())

  it('samples other prompts of the data until the batch is full', async () => {
    const steps = await runToEnd(folder.model, join(folder.path, 'full'), SETTINGS)
    const order = new RowOrder(11, 'prompts', 8, 2, 'promptsPerStep')
    let refills = 0
    for (const { step, metrics, rollouts } of steps) {
      const { groupIds, rewards, advantages, rows } = columnsOf(rollouts)
      const groups = [...new Set(groupIds)]
      const mixed = groups.filter((group) => {
        const own = Array.from({ length: rows }, (_, row) => row).filter((row) => groupIds[row] === group)
        const differ = new Set(own.map((row) => rewards![row])).size > 1
        for (const row of own) assert.equal((advantages!.valid?.[row] ?? 1) === 1, differ)
        return differ
      })
      // A prompt is sampled once a step, and in the order that the seed gives.
      const sampled = [...order.rowsOf(step), ...order.furtherRowsOf(step)]
      assert.deepEqual(groups, sampled.slice(0, groups.length))
      assert.equal(rows, groups.length * 3)
      assert.equal(metrics.sampled_groups, groups.length)
      assert.equal(metrics.dropped_share, 1 - mixed.length / groups.length)
      assert.equal(metrics.kept_rows, 3 * mixed.length)
      assert.ok(mixed.length <= 2)
      assert.ok(mixed.length === 2 || metrics.refill_rounds === 4 || groups.length === 8)
      assert.equal(metrics.refill_rounds === 0, groups.length === 2)
      refills += metrics.refill_rounds!
    }
    assert.ok(refills > 0, 'nothing was ever refilled')
  })

  it('ends in the same bytes when it was stopped in between', async () => {
    const [whole, halves] = [join(folder.path, 'whole'), join(folder.path, 'halves')]
    await runToEnd(folder.model, whole, SETTINGS)
    await runToEnd(folder.model, halves, { ...SETTINGS, steps: 3 })
    await runToEnd(folder.model, halves, { ...SETTINGS, resume: true })
    assert.deepEqual(await timelessMetrics(halves), await timelessMetrics(whole))
    assert.deepEqual(await checkpointDigest(halves, 6), await checkpointDigest(whole, 6))
  })

  it('stops where there are no other prompts, and keeps to its rounds', async () => {
    const never = { ...SETTINGS, verifier: () => 0, steps: 1 }
    const [bounded] = await runToEnd(folder.model, join(folder.path, 'bounded'), {
      ...never,
      refillRounds: 2,
    })
    assert.deepEqual([bounded!.metrics.refill_rounds, bounded!.metrics.sampled_groups], [2, 6])
    assert.deepEqual([bounded!.metrics.updates, bounded!.metrics.dropped_share], [0, 1])
    const [used] = await runToEnd(folder.model, join(folder.path, 'used'), { ...never, refillRounds: 9 })
    assert.deepEqual([used!.metrics.refill_rounds, used!.metrics.sampled_groups], [3, 8])
  })

  it('is refused where no group is left out', async () => {
    const run = runToEnd(folder.model, join(folder.path, 'refused'), { refillRounds: 1 })
    await assert.rejects(run, { code: 'INVALID_ARGUMENT', message: /refillRounds.*filterGroups 'none'/ })
  })
})

it('columns are joined as their rows stand, whatever offsets they begin at', () => {
  const columns = columnsOf(sampleBatch())
  const { completionTokens, logprobs, rows } = columns
  const listed = (part: typeof columns) =>
    Array.from({ length: part.rows }, (_, row) => [
      ...part.completionTokens.values.subarray(
        part.completionTokens.offsets[row],
        part.completionTokens.offsets[row + 1],
      ),
    ])
  const joined = joinColumns([columns, columns])
  assert.equal(joined.rows, 2 * rows)
  assert.deepEqual(listed(joined), [...listed(columns), ...listed(columns)])
  const sliced = {
    ...columns,
    completionTokens: { ...completionTokens, offsets: completionTokens.offsets.map((offset) => offset) },
    logprobs: {
      values: Float32Array.of(7, ...logprobs.values),
      offsets: logprobs.offsets.map((offset) => offset + 1),
    },
  }
  const twice = joinColumns([sliced, sliced]).logprobs
  const tokens = logprobs.values.subarray(logprobs.offsets[0], logprobs.offsets.at(-1))
  assert.deepEqual([...twice.values], [...tokens, ...tokens])
})
