import assert from 'node:assert/strict'
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { RunFolder, readMetrics } from '../../src/trainer/run-folder.ts'

describe('RunFolder', () => {
  let root = ''
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'coppice-run-'))
  })
  after(() => rm(root, { recursive: true }))

  const save = (run: RunFolder, step: number, keep: number) =>
    run.saveCheckpoint({ step, numTokens: 10 * step }, keep, (directory) =>
      writeFile(join(directory, 'model'), `${step}`),
    )

  it('keeps the newest checkpoints and finds them by looking', async () => {
    const run = new RunFolder(join(root, 'keep'))
    assert.deepEqual(await run.checkpointSteps(), [])
    await run.writeRecord({})
    for (const step of [2, 4, 10]) await save(run, step, 2)
    assert.deepEqual(await run.checkpointSteps(), [4, 10])
    assert.deepEqual(await run.readRunState(10), { step: 10, numTokens: 100 })
  })

  it('does not take an unfinished folder for a checkpoint', async () => {
    const run = new RunFolder(join(root, 'partial'))
    await run.writeRecord({})
    await save(run, 3, 5)
    const failing = run.saveCheckpoint({ step: 4, numTokens: 0 }, 5, async (directory) => {
      await writeFile(join(directory, 'model'), 'half')
      throw new Error('killed')
    })
    await assert.rejects(failing, /killed/)
    await mkdir(run.checkpointPath(7))
    assert.deepEqual(await run.checkpointSteps(), [3])
    await save(run, 4, 5)
    assert.deepEqual(await run.checkpointSteps(), [3, 4])
    assert.equal((await readdir(join(run.path, 'checkpoints'))).includes('.4.partial'), false)
  })

  it('refuses a run state of another step', async () => {
    const run = new RunFolder(join(root, 'state'))
    await run.writeRecord({})
    await save(run, 3, 5)
    await writeFile(join(run.checkpointPath(3), 'run-state.json'), '{"step":4,"num_tokens":1}')
    await assert.rejects(run.readRunState(3), { code: 'CHECKPOINT_CORRUPT' })
  })

  it('cuts metrics back to a checkpoint, an unfinished last line included', async () => {
    const run = new RunFolder(join(root, 'metrics'))
    await run.writeRecord({})
    for (const step of [1, 2, 3]) run.appendMetrics({ step, reward: step / 2 })
    await appendFile(run.metricsPath, '{"step":4,"rew')
    assert.deepEqual(
      await readMetrics(run.metricsPath),
      [1, 2, 3].map((step) => ({ step, reward: step / 2 })),
    )
    await run.cutMetrics(2)
    run.appendMetrics({ step: 3, reward: 9 })
    const lines = (await readFile(run.metricsPath, 'utf8')).trimEnd().split('\n')
    assert.deepEqual(lines, ['{"step":1,"reward":0.5}', '{"step":2,"reward":1}', '{"step":3,"reward":9}'])
  })
})
