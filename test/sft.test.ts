import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  demonstrationBatches,
  Policy,
  readSupervisedRows,
  type SftStep,
  sft,
  shuffledBatches,
} from '../src/index.ts'
import { makeFolder, task } from './trainer/tiny-run.ts'

describe('sft', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  before(async () => {
    folder = await makeFolder()
  })
  after(() => folder.remove())

  interface Given {
    out?: string
    resume?: boolean
    signal?: AbortSignal
    onStep?: (step: SftStep) => void
  }
  const run = async (steps: number, given: Given = {}) => {
    await using policy = await Policy.load({ model: folder.model, threads: 1 })
    const done: SftStep[] = []
    const batches = demonstrationBatches(task, 16, 5)
    const { onStep, ...options } = given
    for await (const step of sft({ policy, batches, steps, learningRate: 3e-3, ...options })) {
      onStep?.(step)
      done.push(step)
    }
    return { steps: done, head: await policy.parameter('model.embed_tokens.weight') }
  }

  it('lowers the loss of demonstrations', async () => {
    const { steps } = await run(60)
    assert.ok(steps[59]!.metrics.loss! < 0.6 * steps[0]!.metrics.loss!)
    assert.ok(Math.abs(steps[0]!.metrics.loss! - Math.log(13)) < 0.2)
  })

  it('ends in the same parameters when it is stopped and resumed', async () => {
    const { head } = await run(12)
    const controller = new AbortController()
    const out = join(folder.path, 'run')
    const stopped = run(12, {
      out,
      signal: controller.signal,
      onStep: ({ step }) => step === 5 && controller.abort(),
    })
    await assert.rejects(stopped, { name: 'AbortError' })
    const resumed = await run(12, { out, resume: true })
    assert.deepEqual(
      resumed.steps.map(({ step }) => step),
      [7, 8, 9, 10, 11, 12],
    )
    assert.deepEqual(resumed.head, head)
  })

  it('reads text with the end token put behind it, or tokens as they are', async () => {
    await using policy = await Policy.load({ model: folder.model, threads: 1 })
    const path = join(folder.path, 'rows.jsonl')
    const rows = task.demonstrations(4, 1)
    await writeFile(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''))
    const read = await readSupervisedRows(path, policy.tokenizer)
    for (const { completionTokens } of read)
      assert.equal(completionTokens.at(-1), policy.tokenizer?.eosTokenId)
    const { tokens } = task.demonstrationTokens(4, 1)
    assert.deepEqual(
      read.flatMap((row) => [...row.promptTokens, ...row.completionTokens]),
      [...tokens],
    )
    await writeFile(path, '{"prompt_tokens":[1,2],"completion_tokens":[3]}\n')
    assert.deepEqual(await readSupervisedRows(path, undefined), [
      { promptTokens: Int32Array.of(1, 2), completionTokens: Int32Array.of(3) },
    ])
    await writeFile(path, `${JSON.stringify({ prompt: rows[0]!.prompt })}\n`)
    await assert.rejects(readSupervisedRows(path, policy.tokenizer), /completion/)
  })

  it('takes every row of a file once an epoch', () => {
    const rows = Array.from({ length: 6 }, (_, i) => ({
      promptTokens: Int32Array.of(1),
      completionTokens: Int32Array.of(i),
    }))
    const batches = shuffledBatches(rows, 2, 3)
    const epoch = [1, 2, 3].flatMap((step) => [...batches.batchOf(step).completionTokens.values])
    assert.deepEqual(epoch.sort(), [0, 1, 2, 3, 4, 5])
  })

  it('copies nothing but what belongs to the run', async () => {
    const out = join(folder.path, 'record')
    await run(2, { out })
    const { settings } = JSON.parse(await readFile(join(out, 'run.json'), 'utf8'))
    assert.deepEqual(settings.batches, { task: 'walk', options: task.options, batch_rows: 16, seed: 5 })
  })
})
