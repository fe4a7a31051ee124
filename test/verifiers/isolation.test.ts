import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Sample, Verdict } from '../../src/verdicts.ts'
import { createVerifierPool, verifyAll } from '../../src/verify.ts'
import { sampleOf } from './verdict-table.ts'

const dir = await mkdtemp(join(tmpdir(), 'coppice-verify-'))
after(() => rm(dir, { recursive: true }))

async function moduleFile(name: string, text: string): Promise<string> {
  const path = join(dir, name)
  await writeFile(path, text)
  return path
}

const hostile = await moduleFile(
  'hostile.ts',
  `import { appendFileSync } from 'node:fs'
   type Sample = { completion: string; reference: string; promptTokens: Int32Array }
   let judged = 0
   export default async ({ completion, reference, promptTokens }: Sample, context: { signal: AbortSignal }): Promise<unknown> => {
     judged++
     if (completion === 'count') return { verdict: 'right', reward: judged }
     if (completion === 'tokens') return { verdict: 'right', reward: promptTokens[1], reason: promptTokens.constructor.name }
     if (completion === 'hang') for (;;);
     if (completion === 'never') return new Promise(() => {})
     if (completion === 'polite') return new Promise((_, reject) => context.signal.addEventListener('abort', reject))
     if (completion === 'exit') process.exit(3)
     if (completion === 'abort') process.abort()
     if (completion === 'throw') throw new Error('boom')
     if (completion === 'stray') setTimeout(() => { throw new Error('stray') }, 1)
     if (completion === 'slow') await new Promise((resolve) => setTimeout(resolve, 60))
     if (completion === 'pid') { appendFileSync(reference, process.pid + ' '); for (;;); }
     if (completion === 'print') console.log('printed by a verifier')
     if (completion === 'typo') return 'rigth'
     if (completion === 'function') return () => 1
     if (completion === 'nan') return Number.NaN
     if (completion === 'huge') return 1e39
     if (completion === 'tiny') return { verdict: 'right', reward: 1e-60 }
     if (completion === 'contradiction') return { verdict: 'wrong', reward: 0.5 }
     if (completion === 'undefined') return undefined
     if (completion === 'null') return null
     if (completion === 'half') return 0.5
     if (completion === 'minus') return -1
     if (completion === 'heap') { const kept: unknown[] = []; for (;;) kept.push(new Array(1000).fill(kept.length)) }
     if (completion === 'buffers') { const kept: unknown[] = []; for (;;) kept.push(Buffer.alloc(1e7, 1)) }
     return completion === reference ? 'right' : 'wrong'
   }`,
)

const samples = (...completions: string[]) => completions.map((completion) => sampleOf('a', completion))

/** A child process that must end by itself. */
async function runProgram(text: string): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const file = await moduleFile(`program-${Math.random()}.mts`, text)
  const child = spawn(process.execPath, ['--import', 'tsx', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (data) => {
    stdout += data
  })
  child.stderr.on('data', (data) => {
    stderr += data
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000)
  const [code] = await once(child, 'close')
  clearTimeout(timer)
  return { code, stdout, stderr }
}

const imports = `
  import { createVerifierPool, verifyAll } from ${JSON.stringify(new URL('../../src/verify.ts', import.meta.url).href)}
  const sample = (reference, completion) => ({ promptId: 'p', prompt: '', reference, completion,
    promptTokens: new Int32Array(2), completionTokens: new Int32Array(2), finishReason: 'stop' })`

describe('a verifier in processes of its own', () => {
  it('costs a hanging, crashing or failing sample its own verdict and no other', {
    timeout: 120_000,
  }, async () => {
    const bad = [
      'hang',
      'exit',
      'abort',
      'throw',
      'never',
      'polite',
      'typo',
      'function',
      'nan',
      'huge',
      'tiny',
      'contradiction',
      'undefined',
      'stray',
    ]
    const completions = ['a', 'b', ...bad.flatMap((each) => [each, 'a'])]
    const judgements = await verifyAll(samples(...completions), hostile, { timeoutMs: 1000, concurrency: 2 })
    const found = Object.fromEntries(completions.map((completion, i) => [completion, judgements[i]!]))
    for (const [i, completion] of completions.entries()) {
      if (completion === 'a')
        assert.deepEqual(judgements[i], { verdict: 'right', reward: 1 }, `after ${completions[i - 1]}`)
    }
    assert.deepEqual(found.b, { verdict: 'wrong', reward: 0 })
    for (const name of ['hang', 'never', 'polite']) {
      assert.deepEqual([found[name]!.verdict, found[name]!.reward], ['timed-out', 0], name)
    }
    const reasons = {
      exit: /exit code 3/,
      abort: /signal SIGABRT/,
      throw: /boom/,
      typo: /"rigth"/,
      function: /cannot be copied/,
      nan: /NaN/,
      huge: /1e\+39/,
      tiny: /1e-60/,
      contradiction: /reward 0\.5 with verdict wrong/,
      undefined: /undefined/,
    }
    for (const [name, reason] of Object.entries(reasons)) {
      const { verdict, reward, reason: given } = found[name]!
      assert.deepEqual([verdict, reward], ['unparsed', null], name)
      assert.match(given!, reason)
    }
  })

  it('counts the verdicts of the clock apart from those of the verifier', async () => {
    const verifier = ({ completion }: Sample) =>
      completion === 'never' ? new Promise<Verdict>(() => {}) : (completion as Verdict)
    await using pool = await createVerifierPool(verifier, { timeoutMs: 50 })
    const judgements = await pool.verify(samples('right', 'timed-out', 'never'))
    assert.deepEqual(
      judgements.map(({ verdict }) => verdict),
      ['right', 'timed-out', 'timed-out'],
    )
    assert.equal(pool.clockVerdicts, 1)
  })

  it('ends one that takes too much memory, in the heap or outside it', { timeout: 120_000 }, async () => {
    await using pool = await createVerifierPool(hostile, {
      timeoutMs: 60_000,
      memoryLimitMb: 64,
      concurrency: 1,
    })
    const judgements = await pool.verify(samples('a', 'heap', 'buffers', 'a'))
    assert.equal(pool.clockVerdicts, 2)
    assert.deepEqual(
      judgements.map(({ verdict }) => verdict),
      ['right', 'timed-out', 'timed-out', 'right'],
    )
    assert.match(judgements[1]!.reason!, /more than 64 MiB/)
    assert.match(judgements[2]!.reason!, /more than 64 MiB/)
  })

  it('keeps its processes from call to call, and the order of the samples', async () => {
    const pool = await createVerifierPool(hostile, { concurrency: 1 })
    try {
      const rewards: (number | null)[] = []
      for (let call = 0; call < 3; call++) rewards.push((await pool.verify(samples('count')))[0]!.reward)
      assert.deepEqual(rewards, [1, 2, 3])
      const short = await pool.verify(samples('null', 'half', 'minus', 'tokens'))
      assert.deepEqual(short, [
        { verdict: 'unparsed', reward: null },
        { verdict: 'right', reward: 0.5 },
        { verdict: 'wrong', reward: -1 },
        {
          verdict: 'unparsed',
          reward: null,
          reason: 'the verifier returned the reward undefined, which is no finite float32',
        },
      ])
      const tokens = { ...sampleOf('', 'tokens'), promptTokens: Int32Array.of(9, 8, 7).subarray(1) }
      assert.deepEqual(await pool.verify([tokens]), [{ verdict: 'right', reward: 7, reason: 'Int32Array' }])
      assert.equal(pool.failures, 1)
      assert.deepEqual(await pool.verify([]), [])
    } finally {
      await pool.dispose()
    }
    const mixed = ['slow', 'a', 'slow', 'a', 'b', 'a', 'slow', 'b']
    const progress: number[] = []
    const judgements = await verifyAll(samples(...mixed), hostile, {
      concurrency: 3,
      onProgress: (done, total) => progress.push(done * 100 + total),
    })
    assert.deepEqual(
      judgements.map(({ verdict }) => verdict),
      mixed.map((each) => (each === 'a' ? 'right' : 'wrong')),
    )
    assert.deepEqual(progress, [108, 208, 308, 408, 508, 608, 708, 808])
  })

  it('stops at a signal and at disposal, though samples hang', async () => {
    const pool = await createVerifierPool(hostile, { concurrency: 1, timeoutMs: 100_000 })
    const reason = new Error('enough')
    const controller = new AbortController()
    const stopped = pool.verify(samples('hang', 'a'), { signal: controller.signal })
    setTimeout(() => controller.abort(reason), 100)
    await assert.rejects(stopped, reason)
    await assert.rejects(pool.verify(samples('a'), { signal: AbortSignal.abort(reason) }), reason)
    assert.equal((await pool.verify(samples('a')))[0]!.verdict, 'right')
    const disposed = assert.rejects(pool.verify(samples('hang')), { code: 'DISPOSED' })
    await sleep(100)
    await pool.dispose()
    await disposed
    await pool.dispose()
    await assert.rejects(pool.verify(samples('a')), { code: 'DISPOSED' })
  })

  it('refuses what cannot be loaded, and what never works', { timeout: 120_000 }, async () => {
    const files: [string, string, RegExp][] = [
      ['none.mjs', 'export const x = 1', /neither a function nor a task/],
      ['syntax.ts', 'export default (', /cannot be loaded/],
      ['throws.mjs', 'throw new Error("at the top")', /at the top/],
      ['exits.mjs', 'process.exit(4)', /exit code 4/],
      ['hangs.mjs', 'for (;;);', /not loaded after 1500 ms/],
    ]
    for (const [name, text, message] of files) {
      const file = await moduleFile(name, text)
      const loadTimeoutMs = name === 'hangs.mjs' ? 1500 : 30_000
      await assert.rejects(
        createVerifierPool(file, { concurrency: 1, loadTimeoutMs }),
        { code: 'INVALID_ARGUMENT', message },
        name,
      )
    }
    const throwing = await moduleFile('throwing.mjs', 'export default () => { throw new Error("always") }')
    await assert.rejects(verifyAll(samples('a', 'b'), throwing, { concurrency: 1 }), {
      code: 'INVALID_ARGUMENT',
      message: /works on no sample: the verifier failed: always \(prompt p\)/,
    })
    await assert.rejects(createVerifierPool(hostile, { timeout: 5 } as never), { code: 'INVALID_ARGUMENT' })
    await assert.rejects(createVerifierPool(hostile, { concurrency: 0 }), { code: 'INVALID_ARGUMENT' })
  })

  it('takes TypeScript and JavaScript of either module kind, and a task’s file', async () => {
    const body = '(sample) => (sample.completion === "a" ? "right" : "wrong")'
    await moduleFile('helper.ts', 'export const wanted: string = "a"')
    const files = [
      await moduleFile('plain.mjs', `export default ${body}`),
      await moduleFile('plain.cjs', `module.exports = ${body}`),
      await moduleFile(
        'typed.mts',
        'import type { X } from "./none.ts"\nexport default (s: { completion: string }): "right" | "wrong" => s.completion === "a" ? "right" : "wrong"',
      ),
      await moduleFile(
        'importing.ts',
        'import { wanted } from "./helper.ts"\nexport default (s: { completion: string }) => s.completion === wanted ? "right" : "wrong"',
      ),
      await moduleFile('task.mjs', `export default { name: 'mine', verifier: ${body} }`),
    ]
    for (const file of files) {
      const judgements = await verifyAll(samples('a', 'b'), file, { concurrency: 1 })
      assert.deepEqual(
        judgements.map(({ verdict }) => verdict),
        ['right', 'wrong'],
        file,
      )
    }
  })

  it('stops a built-in one that is not bounded', async () => {
    const evil = { ...sampleOf('^(a+)+$', `${'a'.repeat(40)}!`) }
    const judgements = await verifyAll([evil, sampleOf('^a$', 'a')], 'regex', {
      timeoutMs: 500,
      concurrency: 1,
    })
    assert.deepEqual(
      judgements.map(({ verdict }) => verdict),
      ['timed-out', 'right'],
    )
  })

  it('lets the program end without disposal and keeps its standard output clean', {
    timeout: 120_000,
  }, async () => {
    const { code, stdout, stderr } = await runProgram(`${imports}
      const pool = await createVerifierPool(${JSON.stringify(hostile)}, { concurrency: 1 })
      const [judgement] = await pool.verify([sample('print', 'print')])
      console.log(JSON.stringify(judgement))`)
    assert.deepEqual([code, JSON.parse(stdout)], [0, { verdict: 'right', reward: 1 }])
    assert.match(stderr, /printed by a verifier/)
  })

  it('leaves no process behind when the host is killed', {
    timeout: 120_000,
    skip: process.platform === 'win32',
  }, async () => {
    const pids = join(dir, 'pids')
    const file = await moduleFile(
      'killed.mts',
      `${imports}
      await verifyAll([sample(${JSON.stringify(pids)}, 'pid')], ${JSON.stringify(hostile)}, { timeoutMs: 100_000, concurrency: 1 })`,
    )
    const host = spawn(process.execPath, ['--import', 'tsx', file], { stdio: 'ignore' })
    const { readFile } = await import('node:fs/promises')
    let pid = 0
    for (let tries = 0; tries < 600 && pid === 0; tries++) {
      await sleep(50)
      pid = Number.parseInt(await readFile(pids, 'utf8').catch(() => '0'), 10)
    }
    assert.ok(pid > 0)
    host.kill('SIGKILL')
    const state = async () =>
      (await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') gone')).split(') ')[1]![0]
    // A process that has ended stays as a zombie (Z) where nobody collects it.
    let last = await state()
    for (let tries = 0; tries < 200 && last !== 'g' && last !== 'Z'; tries++) {
      await sleep(50)
      last = await state()
    }
    assert.ok(last === 'g' || last === 'Z', `the verifier's process is in state ${last}`)
  })
})
