import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Judgement, Sample, Verdict, Verifier } from '../../src/verdicts.ts'
import { JudgementCache } from '../../src/verifiers/judgement-cache.ts'
import { createVerifierPool } from '../../src/verify.ts'
import { sampleOf } from './verdict-table.ts'

const dir = await mkdtemp(join(tmpdir(), 'coppice-cache-'))
after(() => rm(dir, { recursive: true }))

const samples = (...completions: string[]) => completions.map((completion) => sampleOf('a', completion))
const verdictsOf = (judgements: readonly Judgement[]) => judgements.map(({ verdict }) => verdict)

/** A verifier that counts how often it is asked. */
function counting(answer: (sample: Sample, call: number) => ReturnType<Verifier>) {
  const counter = { calls: 0 }
  const verifier: Verifier = (sample) => answer(sample, ++counter.calls)
  return { verifier, counter }
}

describe('judgements of the same content', () => {
  it('are made once by built-in verifiers, in a call and across calls', async () => {
    await using pool = await createVerifierPool('math', { concurrency: 2 })
    const texts = ['\\boxed{a}', '\\boxed{b}', '\\boxed{a}', 'Perhaps it is a', '\\boxed{b}']
    const first = await pool.verify(samples(...texts))
    assert.deepEqual(verdictsOf(first), ['right', 'wrong', 'right', 'unparsed', 'wrong'])
    assert.equal(pool.cached, 2)
    assert.deepEqual(await pool.verify(samples(...texts)), first)
    assert.equal(pool.cached, 7)
    assert.equal(pool.failures, 0)
  })

  it('differ with each part of the content, and with nothing else', async () => {
    const { verifier, counter } = counting(() => 'right')
    await using pool = await createVerifierPool(verifier, { cacheable: true })
    const sample = { ...sampleOf('ab', 'c'), prompt: 'p' }
    const others: Sample[] = [
      { ...sample, reference: 'a', completion: 'bc' },
      { ...sample, prompt: 'pa', reference: 'b' },
      { ...sample, completion: '' },
      { ...sample, completion: '\ud800' },
      { ...sample, completion: '\udc00' },
      { ...sample, finishReason: 'length' },
    ]
    await pool.verify([sample, ...others])
    assert.deepEqual([counter.calls, pool.cached], [7, 0])
    await pool.verify([{ ...sample, promptId: 'other', completionTokens: new Int32Array(3) }])
    assert.deepEqual([counter.calls, pool.cached], [7, 1])
  })

  it('are made again for functions and files that nobody declared pure', async () => {
    const { verifier, counter } = counting((_, call) => call)
    await using pool = await createVerifierPool(verifier)
    const judgements = await pool.verify(samples('a', 'a', 'a'))
    assert.deepEqual(
      judgements.map(({ reward }) => reward),
      [1, 2, 3],
    )
    assert.deepEqual([counter.calls, pool.cached], [3, 0])
    const file = join(dir, 'counting.mjs')
    await writeFile(file, 'let calls = 0; export default () => ++calls')
    for (const cacheable of [false, true]) {
      await using files = await createVerifierPool(file, { concurrency: 1, cacheable })
      const [first, second] = await files.verify(samples('a', 'a'))
      assert.deepEqual([first!.reward, second!.reward, files.cached], cacheable ? [1, 1, 1] : [1, 2, 0])
    }
  })

  it('are shared with samples that come while they are made', async () => {
    const { verifier, counter } = counting(async (): Promise<Verdict> => {
      await sleep(5)
      return 'right'
    })
    await using pool = await createVerifierPool(verifier, { cacheable: true, concurrency: 8 })
    const judgements = await pool.verify(samples(...Array<string>(20).fill('a'), 'b'))
    assert.ok(judgements.length === 21 && judgements.every(({ verdict }) => verdict === 'right'))
    assert.deepEqual([counter.calls, pool.cached], [2, 19])
    judgements[0]!.reason = 'changed by its owner'
    assert.equal((await pool.verify(samples('a')))[0]!.reason, undefined)
  })

  it('are not kept when late or failed, and samples that hang do not queue up', async () => {
    const late = counting(() => new Promise<Verdict>(() => {}))
    await using pool = await createVerifierPool(late.verifier, {
      ...{ cacheable: true, concurrency: 4, timeoutMs: 50 },
    })
    const judgements = await pool.verify(samples('a', 'a', 'a', 'a'))
    assert.deepEqual(verdictsOf(judgements), Array<Verdict>(4).fill('timed-out'))
    assert.deepEqual([late.counter.calls, pool.cached], [4, 0])
    const moody = counting(({ completion }, call) => {
      if (completion === 'a' && call < 4) throw new Error('not today')
      return 'right'
    })
    await using other = await createVerifierPool(moody.verifier, { cacheable: true, concurrency: 1 })
    assert.deepEqual(verdictsOf(await other.verify(samples('b', 'a', 'a', 'a', 'a'))), [
      ...['right', 'unparsed', 'unparsed', 'right', 'right'],
    ])
    assert.deepEqual([moody.counter.calls, other.cached, other.failures], [4, 1, 2])
  })

  it('survive the end of the call that was making them', async () => {
    let calls = 0
    const verifier: Verifier = async (_, { signal }): Promise<Verdict> => {
      calls++
      await sleep(20, undefined, { signal })
      return 'right'
    }
    await using pool = await createVerifierPool(verifier, { cacheable: true, concurrency: 2 })
    const controller = new AbortController()
    const given = pool.verify(samples('a'), { signal: controller.signal })
    const waiting = pool.verify(samples('a'))
    controller.abort(new Error('enough'))
    await assert.rejects(given, /enough/)
    assert.deepEqual(verdictsOf(await waiting), ['right'])
    assert.equal(calls, 2)
  })

  it('are kept for each of several verifiers, but not for those that count tokens', async () => {
    const { verifier, counter } = counting(() => 0.5)
    await using pool = await createVerifierPool(
      { verifiers: ['exact', 'exact:ignoreCase=true', 'overlong:maxLength=4,cache=2', verifier] },
      { concurrency: 1 },
    )
    const [short, long] = [1, 4].map((tokens) => ({
      ...sampleOf('a', 'A'),
      completionTokens: new Int32Array(tokens),
    }))
    const judgements = await pool.verify([short!, long!])
    assert.deepEqual(
      judgements.map(({ partRewards }) => partRewards),
      [
        [0, 1, 0, 0.5],
        [0, 1, -1, 0.5],
      ],
    )
    assert.deepEqual([pool.cached, counter.calls], [2, 2])
  })

  it('may be switched off, and the options are checked', async () => {
    await using pool = await createVerifierPool('exact', { cacheMb: 0 })
    await pool.verify(samples('a', 'a'))
    assert.equal(pool.cached, 0)
    await assert.rejects(createVerifierPool('exact', { cacheMb: -1 }), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(createVerifierPool('exact', { cacheable: 1 as never }), { code: 'INVALID_ARGUMENT' })
  })
})

describe('the cache', () => {
  it('keeps to its bytes, and what was used last', () => {
    const cache = new JudgementCache(5000)
    const judgement: Judgement = { verdict: 'wrong', reward: 0, reason: 'x'.repeat(300) }
    for (let i = 0; i < 5; i++) cache.set(String(i), judgement)
    assert.equal(cache.bytes, 5000)
    assert.ok(cache.get('0') !== undefined)
    cache.set('5', judgement)
    cache.set('5', judgement)
    assert.equal(cache.bytes, 5000)
    assert.deepEqual(
      ['0', '1', '2', '3', '4', '5'].map((key) => cache.get(key) !== undefined),
      [true, false, true, true, true, true],
    )
    assert.equal(cache.hits, 6)
    cache.set('long', { ...judgement, reason: 'x'.repeat(10_000) })
    assert.deepEqual([cache.bytes, cache.get('long')], [5000, undefined])
    assert.ok(cache.get('5') !== undefined)
    for (let i = 0; i < 100_000; i++) cache.set(String(i), { verdict: 'right', reward: 1 })
    assert.ok(cache.bytes <= 5000)
  })
})
