import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Verdict, Verifier } from '../src/verdicts.ts'
import { createVerifierPool, resolveVerifier, verifyAll } from '../src/verify.ts'
import { sampleOf } from './verifiers/verdict-table.ts'

const dir = await mkdtemp(join(tmpdir(), 'coppice-verify-'))
after(() => rm(dir, { recursive: true }))

const samples = (...completions: string[]) => completions.map((completion) => sampleOf('a', completion))

describe('resolveVerifier', () => {
  it('tells names, files and functions apart', async () => {
    const verify: Verifier = () => 'right'
    const file = join(dir, 'mine.ts')
    await writeFile(file, 'for (;;);')
    assert.deepEqual(await resolveVerifier(verify), { kind: 'in-process', name: 'verify', verify })
    assert.equal((await resolveVerifier('countdown')).kind, 'in-process')
    assert.equal((await resolveVerifier('numeric:tolerance=0.1')).kind, 'in-process')
    assert.deepEqual(await resolveVerifier('regex'), {
      kind: 'isolated',
      name: 'regex',
      source: { builtin: 'regex' },
    })
    assert.deepEqual(await resolveVerifier(file), {
      kind: 'isolated',
      name: file,
      source: { file: file },
    })
    await assert.rejects(resolveVerifier('countdwn'), {
      code: 'INVALID_ARGUMENT',
      message: /did you mean 'countdown'/,
    })
    await assert.rejects(resolveVerifier(join(dir, 'none.ts')), {
      code: 'INVALID_ARGUMENT',
      message: /no such file/,
    })
    await assert.rejects(resolveVerifier('verifier.py/'), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(resolveVerifier(7 as never), { code: 'INVALID_ARGUMENT' })
  })
})

describe('a verifier in this process', () => {
  it('judges by name', async () => {
    const walks = ['0 2 1', '0 1 2', 'x'].map((completion) => sampleOf('[12] [0] [01]', completion))
    const judgements = await verifyAll(walks, 'walk')
    assert.deepEqual(
      judgements.map(({ verdict }) => verdict),
      ['right', 'wrong', 'unparsed'] satisfies Verdict[],
    )
  })

  it('times out promises, passes the signal on and survives throws', async () => {
    let reason: unknown
    const verifier: Verifier = ({ completion }, { signal }) => {
      if (completion === 'throw') throw new Error('boom')
      if (completion === 'reject') return Promise.reject(new Error('later'))
      if (completion === 'bad') return 'maybe' as never
      if (completion !== 'never') return Promise.resolve('right')
      signal.addEventListener('abort', () => {
        reason = signal.reason
      })
      return new Promise(() => {})
    }
    const judgements = await verifyAll(samples('a', 'throw', 'reject', 'bad', 'never', 'a'), verifier, {
      timeoutMs: 100,
    })
    assert.deepEqual(
      judgements.map(({ verdict, reward }) => [verdict, reward]),
      [
        ['right', 1],
        ['unparsed', null],
        ['unparsed', null],
        ['unparsed', null],
        ['timed-out', 0],
        ['right', 1],
      ],
    )
    assert.match(String(reason), /timed out after 100 ms/)
  })

  it('shares one pool’s places among overlapping calls', async () => {
    let [running, most] = [0, 0]
    const verifier: Verifier = async (): Promise<Verdict> => {
      most = Math.max(most, ++running)
      await sleep(5)
      running--
      return 'right'
    }
    const pool = await createVerifierPool(verifier, { concurrency: 3 })
    const calls = await Promise.all([1, 2, 3, 4].map(() => pool.verify(samples('a', 'b', 'c', 'd', 'e'))))
    assert.equal(most, 3)
    assert.ok(
      calls.every(
        (judgements) => judgements.length === 5 && judgements.every(({ verdict }) => verdict === 'right'),
      ),
    )
    await pool.dispose()
  })

  it('judges samples as they come, and gives judgements in their order', async () => {
    const judged: string[] = []
    const verifier: Verifier = async ({ completion }): Promise<number> => {
      await sleep(Number(completion) % 3)
      judged.push(completion)
      return Number(completion)
    }
    const pool = await createVerifierPool(verifier, { concurrency: 2 })
    const totals: number[] = []
    const call = pool.open({ onProgress: (_, total) => totals.push(total) })
    call.add(samples('1', '2', '3'))
    while (judged.length < 3) await sleep(1)
    call.add(samples())
    call.add(samples('4'))
    call.add(samples('5', '6', '7'))
    const rewards = (await call.finish()).map(({ reward }) => reward)
    assert.deepEqual(rewards, [1, 2, 3, 4, 5, 6, 7])
    assert.deepEqual(totals.slice(0, 3), [3, 3, 3])
    assert.equal(totals.at(-1), 7)
    assert.deepEqual(await pool.open().finish(), [])
    await pool.dispose()
  })

  it('takes more samples at once than a call can have arguments', async () => {
    const many = new Array(200_000).fill(sampleOf('a', 'a'))
    const judgements = await verifyAll(many, () => 'right')
    assert.equal(judgements.length, many.length)
    assert.ok(judgements.every(({ verdict }) => verdict === 'right'))
  })

  it('calls a verifier useless only when it failed on every sample of a call', async () => {
    const verifier: Verifier = ({ completion }) => {
      if (completion === 'throw') throw new Error('no')
      return 'right'
    }
    await using pool = await createVerifierPool(verifier)
    const call = pool.open()
    call.add(samples('throw', 'throw'))
    call.add(samples('a'))
    assert.deepEqual(
      (await call.finish()).map(({ reward }) => reward),
      [null, null, 1],
    )
    await using other = await createVerifierPool(verifier)
    const failing = other.open()
    failing.add(samples('throw', 'throw'))
    await assert.rejects(failing.finish(), { code: 'INVALID_ARGUMENT', message: /works on no sample/ })
  })

  it('takes no more samples after a failure, an abort or a disposal, and tells why', async () => {
    const hangs: Verifier = () => new Promise(() => {})
    const pool = await createVerifierPool(hangs)
    const controller = new AbortController()
    const [aborted, disposed, closed] = [pool.open({ signal: controller.signal }), pool.open(), pool.open()]
    for (const call of [aborted, disposed, closed]) call.add(samples('a', 'b', 'c'))
    closed.close()
    controller.abort(new Error('enough'))
    assert.throws(() => aborted.add(samples('d')), /enough/)
    await assert.rejects(aborted.finish(), /enough/)
    const finishing = assert.rejects(disposed.finish(), { code: 'DISPOSED' })
    await pool.dispose()
    await finishing
    assert.throws(() => disposed.add(samples('d')), { code: 'DISPOSED' })
    assert.throws(() => pool.open(), { code: 'DISPOSED' })
  })

  it('gives other work its turn', async () => {
    const busy: Verifier = () => {
      const until = performance.now() + 1
      while (performance.now() < until);
      return 'right'
    }
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    await verifyAll(samples(...Array<string>(100).fill('a')), busy, { concurrency: 1 })
    clearInterval(timer)
    assert.ok(turns >= 5, `${turns} turns during 100 ms`)
  })

  it('gives up at once on a function that never works', async () => {
    let calls = 0
    const broken: Verifier = () => {
      calls++
      throw new Error('no')
    }
    await assert.rejects(verifyAll(samples(...Array<string>(1000).fill('a')), broken, { concurrency: 1 }), {
      code: 'INVALID_ARGUMENT',
    })
    assert.equal(calls, 32)
  })

  it('does not pile up listeners over many calls and wide lanes', async () => {
    const warnings: string[] = []
    const listen = (warning: Error) => warnings.push(warning.message)
    process.on('warning', listen)
    const { signal } = new AbortController()
    const pool = await createVerifierPool(async (): Promise<Verdict> => 'right', { concurrency: 64 })
    for (let call = 0; call < 50; call++)
      await pool.verify(samples(...Array<string>(64).fill('a')), { signal })
    await pool.dispose()
    await sleep(10)
    process.off('warning', listen)
    assert.deepEqual(warnings, [])
  })
})
