import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { tableFromIPC } from 'apache-arrow'
import { addon } from '../../src/native.ts'
import { columnsOf, makeBatch, sliceRows, writeTable } from '../../src/rollouts.ts'
import { promptsOfLength, tinyPolicy } from './tiny-policy.ts'

const address = (view: ArrayBufferView) => addon().addressOf(view)
const HERE = dirname(fileURLToPath(import.meta.url))
/** Of load, use and dispose. */
const CYCLES = Number(process.env.COPPICE_CYCLES ?? 200)

describe('memory shared with Arrow', () => {
  it('shows generated columns to Arrow where native code wrote them', async () => {
    await using policy = await tinyPolicy()
    const [prompt] = promptsOfLength(5)
    const batch = await policy.generateAll([prompt!], {
      numGenerations: 3,
      maxCompletionLength: 20,
      entropies: true,
    })
    const { promptTokens, completionTokens, completionMask, logprobs, entropies, groupIds } = columnsOf(batch)
    const block = completionTokens.values.buffer
    const views = [promptTokens.values, completionMask.values, logprobs.values, entropies!.values, groupIds]
    // One block of native memory per group: every column is a view of it, and Arrow's vectors see the same addresses.
    for (const view of [...views, completionTokens.offsets]) assert.equal(view.buffer, block)
    const start = address(new Uint8Array(block))
    for (const view of views) assert.equal(address(view), start + BigInt(view.byteOffset))
    const arrow = batch.getChild('logprobs')!.data[0]!.children[0]!.values as Float32Array
    assert.equal(address(arrow), address(logprobs.values))
    assert.equal(start % 64n, 0n)
    // What is written through one is read through the other.
    logprobs.values[0] = 42
    assert.equal(batch.getChild('logprobs')!.get(0)!.get(0), 42)
  })

  it("shows an engine's arrays to JavaScript where native code wrote them", async () => {
    await using policy = await tinyPolicy()
    const batch = await policy.generateAll(promptsOfLength(4), { numGenerations: 2, maxCompletionLength: 8 })
    const { logprobs } = await policy.score(batch)
    assert.equal(address(logprobs) % 64n, 0n)
    assert.equal(logprobs.byteOffset, 0)
  })

  it('gives native code the addresses of the arrays that an Arrow batch was made of, slices included', () => {
    const values = Int32Array.of(9, 9, 1, 2, 3)
    const offsets = Int32Array.of(2, 3, 5)
    const logprobs = Float32Array.of(-1, -2, -3)
    const temperature = Float32Array.of(1, 1)
    const batch = makeBatch(2, {
      prompt_tokens: { values, offsets },
      completion_tokens: { values, offsets },
      completion_mask: { values: Uint8Array.of(1, 1, 1), offsets: Int32Array.of(0, 1, 3) },
      logprobs: { values: logprobs, offsets: Int32Array.of(0, 1, 3) },
      temperature,
      group_id: Int32Array.of(0, 0),
      sample_index: Int32Array.of(0, 1),
      policy_step: Int32Array.of(0, 0),
      finish_reason: ['stop', 'stop'],
    })
    const columns = columnsOf(batch)
    assert.equal(address(columns.promptTokens.values), address(values))
    assert.equal(address(columns.promptTokens.offsets), address(offsets))
    assert.equal(address(columns.logprobs.values), address(logprobs))
    assert.equal(address(columns.temperature), address(temperature))
    const sliced = columnsOf(sliceRows(batch, 1, 2))
    assert.equal(address(sliced.promptTokens.values), address(values))
    assert.equal(address(sliced.promptTokens.offsets), address(offsets) + 4n)
    assert.equal(address(sliced.temperature), address(temperature) + 4n)
    assert.deepEqual([...sliced.promptTokens.offsets], [3, 5])
  })

  it('copies finished groups where the runtime forbids native memory in ArrayBuffers', async () => {
    await using policy = await tinyPolicy()
    const options = { numGenerations: 2, maxCompletionLength: 12, entropies: true }
    const shared = await policy.generateAll(promptsOfLength(4, 9), options)
    addon().useExternalBuffers(false)
    try {
      assert.equal(addon().machine().externalBuffers, false)
      const copied = await policy.generateAll(promptsOfLength(4, 9), options)
      assert.deepEqual(copied.toArray().map(String), shared.toArray().map(String))
    } finally {
      addon().useExternalBuffers(true)
    }
  })

  it("survives the group's native owner: rollouts outlive their policy", async () => {
    const policy = await tinyPolicy()
    const batch = await policy.generateAll(promptsOfLength(6), { numGenerations: 4, maxCompletionLength: 30 })
    const before = [...columnsOf(batch).logprobs.values]
    await policy.dispose()
    assert.deepEqual([...columnsOf(batch).logprobs.values], before)
    const path = join(process.env.TMPDIR ?? '/tmp', `coppice-outlive-${process.pid}.arrow`)
    await writeTable(path, [batch])
    const { readFileSync, rmSync } = await import('node:fs')
    assert.equal(tableFromIPC(readFileSync(path)).numRows, 4)
    rmSync(path)
  })
})

describe('memory over time', () => {
  it(`stays flat over ${CYCLES} cycles of load, use and dispose, and over engines that nobody disposes`, () => {
    const result = spawnSync(
      process.execPath,
      ['--expose-gc', '--import', 'tsx', join(HERE, 'load-dispose-cycles.mts'), String(CYCLES)],
      { encoding: 'utf8', timeout: Math.max(240_000, 1_200 * CYCLES) },
    )
    assert.equal(result.status, 0, result.stderr)
    const { disposed, collected, forgotten } = JSON.parse(result.stdout) as {
      disposed: [number, number]
      collected: [number, number]
      forgotten: { growth: number; engine: number }
    }
    // An allocator may keep the memory of one engine for the next; engines that leaked would be gigabytes.
    assert.ok(disposed[1] - disposed[0] < 1.5 * forgotten.engine, `disposed: ${disposed}`)
    // Fifty engines that were not freed would be hundreds of megabytes; allocators take some cycles to settle.
    assert.ok(collected[1] - collected[0] < 4 * forgotten.engine, `collected: ${collected}`)
    // 60 engines would hold this many times as much, were they not reported to the garbage collector.
    assert.ok(forgotten.growth < 30 * forgotten.engine, `forgotten: ${JSON.stringify(forgotten)}`)
  })
})
