import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { appendFile, mkdir, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkpointDigest, makeFolder, runToEnd, TINY, timelessMetrics } from './tiny-run.ts'

const SCRIPT = join(dirname(fileURLToPath(import.meta.url)), 'killed-run.mts')

/** Runs the script until it ends, or kills it without warning after `ms`; resolves to whether it ended. */
function runUntilKilled(model: string, out: string, ms: number): Promise<boolean> {
  const child = spawn(process.execPath, ['--import', 'tsx', SCRIPT, model, out], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), ms)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      if (code !== 0 && signal !== 'SIGKILL') reject(new Error(`the run failed with exit ${code}`))
      else resolve(code === 0)
    })
  })
}

describe('a run that is stopped', () => {
  let folder: Awaited<ReturnType<typeof makeFolder>>
  let whole = ''
  before(async () => {
    folder = await makeFolder()
    whole = join(folder.path, 'whole')
    await runToEnd(folder.model, whole)
  })
  after(() => folder.remove())

  const requireSameEnd = async (run: string) => {
    assert.deepEqual(await timelessMetrics(run), await timelessMetrics(whole))
    assert.deepEqual(await checkpointDigest(run, TINY.steps), await checkpointDigest(whole, TINY.steps))
  }

  it('ends in the same bytes when it is killed again and again', async () => {
    const out = join(folder.path, 'killed')
    // The first time is spent on starting up; the later ones fall anywhere, also into the writing of a checkpoint.
    let ended = false
    for (let attempt = 0; !ended && attempt < 60; attempt++) {
      ended = await runUntilKilled(folder.model, out, attempt < 12 ? 900 + 90 * attempt : 20_000)
    }
    assert.ok(ended)
    await requireSameEnd(out)
  })

  it('ends in the same bytes when it is aborted in any phase', async () => {
    for (const phase of ['generate', 'verify', 'update', 'save'] as const) {
      const out = join(folder.path, `aborted-${phase}`)
      const controller = new AbortController()
      const aborted = runToEnd(folder.model, out, {
        signal: controller.signal,
        saveEvery: 3,
        onProgress: (state) => {
          if (state.step === 3 && state.phase === phase) controller.abort()
        },
      })
      await assert.rejects(aborted, { name: 'AbortError' })
      const [saved] = await readdir(join(out, 'checkpoints'))
      assert.equal(saved, phase === 'generate' || phase === 'verify' ? '2' : '3')
      await runToEnd(folder.model, out, { saveEvery: 3, resume: true })
      await requireSameEnd(out)
    }
  })

  it('passes over what a kill left half done', async () => {
    const out = join(folder.path, 'half')
    await runToEnd(folder.model, out, { steps: 5 })
    await appendFile(join(out, 'metrics.jsonl'), '{"step":6,"rew')
    await mkdir(join(out, 'checkpoints', '7'))
    await mkdir(join(out, 'checkpoints', '.7.partial'))
    await runToEnd(folder.model, out, { resume: true })
    await requireSameEnd(out)
  })

  it('refuses a folder that holds a run, and a changed setting by name', async () => {
    await assert.rejects(runToEnd(folder.model, whole), /holds a run already/)
    const changed = (given: Parameters<typeof runToEnd>[2]) =>
      runToEnd(folder.model, whole, { ...given, resume: true })
    await assert.rejects(
      changed({ seed: 12 }),
      /a resumed run cannot change 'seed'; expected 11; received 12/,
    )
    await assert.rejects(changed({ objective: { kind: 'w-reinforce', lambda: 0.2 } }), /'objective\.lambda'/)
    await assert.rejects(
      changed({ steps: 9, learningRateSchedule: 'linear' }),
      /'steps'|'learning_rate_schedule'/,
    )
    await assert.rejects(changed({ verifier: 'exact' }), /'verifier'/)
  })
})
