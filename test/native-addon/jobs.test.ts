import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises'
import { CoppiceError } from '../../src/errors.ts'
import { columnsOf } from '../../src/rollouts.ts'
import { promptsOfLength, randomRows, slowPolicy, tinyPolicy } from './tiny-policy.ts'

const UPDATE = {
  lossParams: {
    importance: 'none',
    clip: false,
    clipLow: 0,
    clipHigh: 0,
    dualClip: 0,
    klKind: 'k3',
    klCoef: 0,
    entropyCoef: 0,
  },
  optimizer: { learningRate: 1e-3 },
  oldLogprobs: null,
} as const

const arrays = (length: number) => ({
  advantages: new Float32Array(length).fill(1),
  norm: new Float32Array(length).fill(1 / length),
})

describe('the queue', () => {
  it('answers jobs in their order, and never on the caller', async () => {
    await using policy = await tinyPolicy()
    const order: number[] = []
    const rows = randomRows(8, 4, 10)
    const jobs = [0, 1, 2, 3].map((i) => policy.score(rows).then(() => order.push(i)))
    assert.deepEqual(order, [])
    await Promise.all(jobs)
    assert.deepEqual(order, [0, 1, 2, 3])
  })

  it('gives an error the stack of the call that led to it', async () => {
    await using policy = await tinyPolicy()
    const bad = randomRows(1, 2, 2)
    bad.promptTokens.values[0] = 1000
    async function theGuiltyCall() {
      await policy.score(bad)
    }
    await assert.rejects(theGuiltyCall, (error: CoppiceError) => {
      assert.ok(error instanceof CoppiceError)
      assert.equal(error.code, 'INVALID_ARGUMENT')
      assert.match(error.stack!, /theGuiltyCall/)
      assert.match(error.stack!, /^CoppiceError: prompt_tokens: row 0, token 0/)
      return true
    })
  })

  it('keeps two policies apart that work at the same time', async () => {
    await using a = await tinyPolicy({ seed: 1 })
    await using b = await tinyPolicy({ seed: 2 })
    const rows = randomRows(6, 5, 9)
    const [alone, other] = [await a.score(rows), await b.score(rows)]
    assert.notDeepEqual(alone.logprobs, other.logprobs)
    const together = await Promise.all([a.score(rows), b.score(rows), a.score(rows), b.score(rows)])
    assert.deepEqual(
      together.map(({ logprobs }) => logprobs),
      [alone.logprobs, other.logprobs, alone.logprobs, other.logprobs],
    )
  })
})

describe('an open generation', () => {
  const options = { numGenerations: 4, maxCompletionLength: 24, stopTokens: [] }

  it('lets score run between its token steps and changes nothing by it', async () => {
    await using policy = await tinyPolicy()
    const prompts = promptsOfLength(3, 8, 13, 5, 9)
    const expected = columnsOf(await policy.generateAll(prompts, options)).completionTokens.values
    const rows = randomRows(6, 5, 9)
    const { logprobs } = await policy.score(rows)
    const tokens = new Map<number, Int32Array>()
    for await (const batch of policy.generate(prompts, options)) {
      assert.deepEqual((await policy.score(rows)).logprobs, logprobs)
      const { groupIds, completionTokens } = columnsOf(batch)
      tokens.set(groupIds[0]!, completionTokens.values)
    }
    assert.deepEqual(
      prompts.flatMap((_, i) => [...tokens.get(i)!]),
      [...expected],
    )
  })

  it('refuses what would change the parameters with BUSY, and allows it afterwards', async () => {
    await using policy = await tinyPolicy()
    const rows = randomRows(2, 4, 4)
    const update = () => policy.applyUpdate(rows, { ...arrays(8), ...UPDATE })
    const busy = (error: CoppiceError) => error instanceof CoppiceError && error.code === 'BUSY'
    const before = await policy.parameter('model.norm.weight')
    for await (const _ of policy.generate(promptsOfLength(3, 4), options)) {
      await assert.rejects(update(), busy)
      await assert.rejects(policy.setParameter('model.norm.weight', before), busy)
      await assert.rejects(policy.supervisedStep(rows, { learningRate: 1 }), busy)
      assert.deepEqual(await policy.parameter('model.norm.weight'), before)
    }
    assert.equal((await update()).optimizerStep, 1)
  })

  it('ends when the loop is left early, so that an update is possible at once', async () => {
    await using policy = await tinyPolicy()
    for await (const _ of policy.generate(promptsOfLength(3, 4, 5, 6), options)) break
    const stats = await policy.applyUpdate(randomRows(2, 4, 4), { ...arrays(8), ...UPDATE })
    assert.equal(stats.optimizerStep, 1)
  })

  it('pauses while groups wait for a slow consumer', async () => {
    await using policy = await tinyPolicy()
    const prompts = promptsOfLength(...Array.from({ length: 12 }, () => 4))
    let generated = 0
    const groups = policy.generate(prompts, {
      ...options,
      maxLiveSequences: 4,
      maxWaitingGroups: 2,
      onProgress: ({ generatedTokens }) => {
        generated = generatedTokens
      },
    })
    await groups.next()
    await delay(300)
    await groups.next()
    // Two taken, at most two waiting and one group of live sequences beside them.
    assert.ok(generated <= 5 * 4 * 24, `${generated} tokens`)
    let rest = 0
    for await (const _ of groups) rest++
    assert.equal(rest, 10)
    assert.equal(generated, 12 * 4 * 24)
  })

  it('serves several open at a time', async () => {
    await using policy = await tinyPolicy()
    const prompts = promptsOfLength(3, 8, 13)
    const expected = (await policy.generateAll(prompts, options)).toArray().map(String)
    const all = await Promise.all([1, 2, 3].map(() => policy.generateAll(prompts, options)))
    for (const batch of all) assert.deepEqual(batch.toArray().map(String), expected)
  })
})

describe('abort', () => {
  it('rejects with the reason before anything is done', async () => {
    await using policy = await tinyPolicy()
    const reason = new Error('not wanted')
    const signal = AbortSignal.abort(reason)
    await assert.rejects(policy.score(randomRows(1, 2, 2), { signal }), reason)
    await assert.rejects(policy.generateAll(promptsOfLength(3), { signal }), reason)
  })

  it('ends a running job at its next micro-batch and leaves the parameters as they were', async () => {
    await using policy = await slowPolicy()
    const rows = randomRows(64, 32, 96, 2048)
    const one = randomRows(8, 32, 96, 2048)
    const input = { ...UPDATE, tokenBudget: 8 * 128 }
    const before = await policy.parameter('model.norm.weight')
    const start = performance.now()
    await policy.applyUpdate(one, { ...arrays(8 * 96), ...input })
    const microBatchMs = performance.now() - start
    const after = await policy.parameter('model.norm.weight')
    assert.notDeepEqual(after, before)

    const controller = new AbortController()
    const reason = new Error('enough')
    const running = policy.applyUpdate(rows, { ...arrays(64 * 96), ...input, signal: controller.signal })
    await delay(microBatchMs / 2)
    const abortedAt = performance.now()
    controller.abort(reason)
    await assert.rejects(running, reason)
    const took = performance.now() - abortedAt
    assert.ok(
      took < 3 * microBatchMs + 100,
      `${took} ms after the abort; a micro-batch takes ${microBatchMs} ms`,
    )
    assert.deepEqual(await policy.parameter('model.norm.weight'), after)
    assert.equal(policy.policyStep, 1)
  })

  it('settles a job that waits behind a long one at once', async () => {
    await using policy = await slowPolicy()
    let longDone = false
    const long = policy.score(randomRows(32, 32, 96, 2048)).then(() => {
      longDone = true
    })
    const controller = new AbortController()
    const waiting = policy.score(randomRows(1, 2, 2), { signal: controller.signal })
    controller.abort()
    await assert.rejects(waiting, { name: 'AbortError' })
    assert.equal(longDone, false)
    await long
  })

  it('ends a generation: rejects, or yields what there is as cancelled', async () => {
    await using policy = await slowPolicy()
    const prompts = promptsOfLength(3, 4, 5)
    const options = { numGenerations: 4, maxCompletionLength: 400, stopTokens: [] }
    const reason = new Error('enough')
    for (const onAbort of ['throw', 'finish'] as const) {
      const controller = new AbortController()
      const running = policy.generateAll(prompts, {
        ...options,
        onAbort,
        signal: controller.signal,
        // In the middle, however fast the machine is.
        onProgress: ({ generatedTokens }) => {
          if (generatedTokens > 24) controller.abort(reason)
        },
      })
      if (onAbort === 'throw') {
        await assert.rejects(running, reason)
        continue
      }
      const batch = await running
      const { finishReasons, completionTokens, logprobs } = columnsOf(batch)
      assert.equal(batch.numRows, 12)
      assert.ok(finishReasons.every((word) => word === 'cancelled'))
      assert.ok(completionTokens.values.length > 24 && completionTokens.values.length < 12 * 400)
      assert.equal(logprobs.values.length, completionTokens.values.length)
    }
  })
})

describe('nothing to sample', () => {
  it('is a batch of no rows with the columns of a batch', async () => {
    await using policy = await tinyPolicy()
    const options = { maxCompletionLength: 4, topP: 0.9, entropies: true }
    const none = await policy.generateAll([], options)
    const some = await policy.generateAll(promptsOfLength(3), options)
    assert.equal(none.numRows, 0)
    assert.equal(String(none.schema), String(some.schema))
    assert.equal((await policy.score(none)).logprobs.length, 0)
    // An abort before the first token leaves nothing, either.
    const controller = new AbortController()
    const stopped = policy.generateAll(promptsOfLength(3), {
      ...options,
      onAbort: 'finish',
      signal: controller.signal,
    })
    controller.abort()
    assert.ok((await stopped).numRows >= 0)
  })
})

describe('dispose', () => {
  const disposed = (error: CoppiceError) => error instanceof CoppiceError && error.code === 'DISPOSED'

  it('rejects what runs, what waits and what comes later', async () => {
    const policy = await slowPolicy()
    const rows = randomRows(64, 32, 96, 2048)
    const groups = policy.generate(promptsOfLength(3), { maxCompletionLength: 400, stopTokens: [] })
    const jobs = [policy.score(rows), groups.next(), policy.score(rows)]
    const outcomes = Promise.allSettled(jobs)
    await immediate()
    await policy.dispose()
    for (const outcome of await outcomes) {
      assert.equal(outcome.status, 'rejected')
      assert.ok(disposed((outcome as PromiseRejectedResult).reason), String(outcome))
    }
    assert.equal(policy.allocatedBytes, 0)
    await assert.rejects(policy.score(rows), disposed)
    await assert.rejects(policy.generateAll(promptsOfLength(3)), disposed)
    await assert.rejects(policy.parameter('model.norm.weight'), disposed)
    await policy.dispose()
  })
})
