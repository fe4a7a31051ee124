import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { readGradients } from '../../src/study/mechanism/gradient-study.ts'
import { readTabular } from '../../src/study/mechanism/tabular-study.ts'
import { readRecords, SERIES, thinnedSeries } from '../../src/study/record.ts'
import { studyRuns } from '../../src/study/settings.ts'
import { type StudyRecord, study } from '../../src/study.ts'
import { tinyStudy } from './tiny-study.ts'

describe('study', () => {
  let folder = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-study-'))
  })
  after(() => rm(folder, { recursive: true }))
  const place = (name: string) => ({ out: join(folder, name), records: join(folder, name, 'records') })

  it('records every run, in two processes as in one, and does none twice', async () => {
    const settings = await tinyStudy()
    const begun: string[] = []
    const onProgress = (state: { label: string; finished: boolean }) => {
      if (!state.finished) begun.push(state.label)
    }
    const first = await study({ settings, ...place('two'), jobs: 2, onProgress })
    assert.equal(first.recorded, first.runs)
    assert.equal(begun.length, studyRuns(settings).length)
    assert.deepEqual(await readdir(join(folder, 'two', 'runs')), [])
    const record = first.records.get(studyRuns(settings)[1]!.hash)!
    assert.deepEqual(Object.keys(record.sets), ['hard', 'medium'])
    assert.equal(record.sets.hard!.right.length, 4)
    assert.ok(record.seconds.processor! > 0)
    assert.deepEqual(record.series.step, [1, 2, 3, 4])
    assert.deepEqual(
      record.series.greedy_accuracy!.map((value) => value === null),
      [true, false, true, false],
    )

    const [cell] = settings.gradients.cells
    const gradients = (await readGradients(place('two').records, settings, cell!))!.result
    assert.deepEqual(
      gradients.map(({ step, levels }) => [step, levels.map(({ rollouts }) => rollouts)]),
      [0, 4].map((step) => [step, [8, 16, 32]]),
    )
    const tabular = (await readTabular(place('two').records, settings.tabular))!.result
    assert.deepEqual([tabular.length, tabular[0]!.length, tabular[0]![0]!.length], [2, 5, 2])

    begun.length = 0
    await study({ settings, ...place('two'), jobs: 2, onProgress })
    assert.deepEqual(begun, [])

    const alone = await study({ settings, ...place('one'), jobs: 1, only: ['one-update'] })
    assert.equal(alone.runs, 5)
    for (const [hash, { sets, series }] of alone.records) {
      assert.deepEqual(sets, first.records.get(hash)!.sets, hash)
      assert.deepEqual(series, first.records.get(hash)!.series, hash)
    }
  })

  it('goes on after it was stopped, and makes a base policy again whose record alone is there', async () => {
    const settings = await tinyStudy()
    const controller = new AbortController()
    const stopped = study({
      ...{ settings, ...place('stopped'), jobs: 2, signal: controller.signal },
      onProgress: ({ label, finished }) => {
        if (label === 'walk strong core psr seed 1' && !finished) controller.abort()
      },
    })
    await assert.rejects(stopped, { name: 'AbortError' })
    await rm(join(folder, 'stopped', 'cache'), { recursive: true })
    const { recorded, runs } = await study({ settings, ...place('stopped'), jobs: 2 })
    assert.equal(recorded, runs)
  })

  it('does the other runs when one fails, and names it', async () => {
    const settings = await tinyStudy()
    settings.tasks[0]!.pool.taskOptions = { trainDensity: 2 }
    const failing = study({ settings, ...place('failing'), jobs: 1, only: ['core'] })
    await assert.rejects(failing, { code: 'INTERNAL', message: /walk weak core psr seed 1.*trainDensity/s })
    assert.equal((await readRecords(join(folder, 'failing', 'records'))).size, 2)
  })

  it('refuses a record that is none', async () => {
    const { out, records } = place('two')
    const [name] = await readdir(records)
    const record = JSON.parse(await readFile(join(records, name!), 'utf8')) as StudyRecord
    await writeFile(join(records, name!), JSON.stringify({ ...record, hash: 'other' }))
    await assert.rejects(study({ settings: await tinyStudy(), out, records, only: ['core'] }), {
      code: 'DATA_CORRUPT',
      message: new RegExp(name!),
    })
  })
})

describe('a record of metrics', () => {
  it('keeps means over equal spans of steps, null where there is nothing', () => {
    const rows = [1, 2, 3, 4].map((step) => ({
      step,
      accuracy: step / 10,
      ...(step === 4 && { entropy: 7 }),
    }))
    const series = thinnedSeries(rows, 2)
    assert.deepEqual(series.step, [1.5, 3.5])
    assert.deepEqual(series.accuracy, [0.15, 0.35])
    assert.deepEqual(series.entropy, [null, 7])
    assert.deepEqual(Object.keys(series), ['step', ...SERIES])
  })
})
