import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { SERIES, type StudyRecord, writeRecord } from '../../src/study/record.ts'
import { holdsIn, judgeClaims, verdictOf } from '../../src/study/report/claims.ts'
import { studyGroups } from '../../src/study/report/groups.ts'
import { type StudyRun, type StudySettings, studyRuns } from '../../src/study/settings.ts'
import { writeStudyReport } from '../../src/study.ts'
import { tinyStudy } from './tiny-study.ts'

/** A record with so many of 8 completions right on every prompt. */
function record(run: StudyRun, right: readonly number[], entropy: number): StudyRecord {
  const set = { n: 8, right: [...right], greedy_accuracy: 0.5, entropy, distinct_right: 1, unparsed: 0 }
  const series = Object.fromEntries(['step', ...SERIES].map((key) => [key, [1, 2]]))
  return {
    ...{ format: 1, hash: run.hash, label: run.label, identity: run.identity },
    environment: {
      ...{ machine: 'test', commit: 'abc', versions: {}, isa: 'avx2', threads: 1 },
      started_at: '2026-01-01T00:00:00Z',
    },
    seconds: { train: 30, evaluate: 15, processor: 20 },
    sets: { hard: set, medium: set },
    series: run.base === undefined ? {} : series,
  }
}

function rightCountsOf(label: string): number[] {
  if (label.includes('nsr')) return [4, 4, 3, 1]
  return label.includes('psr') ? [8, 4, 0, 0] : [2, 2, 1, 1]
}

describe('the report of a study', () => {
  let folder = ''
  let settings: StudySettings
  const records = new Map<string, StudyRecord>()
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coppice-study-report-'))
    settings = await tinyStudy()
    for (const run of studyRuns(settings)) {
      // One seed of one method is missing, so that only the seed that both have is compared.
      if (run.label === 'walk weak core nsr seed 2' || run.label.includes('one-update psr')) continue
      const one = record(run, rightCountsOf(run.label), run.label.includes('nsr') ? 0.5 : 0.25)
      records.set(run.hash, one)
      await writeRecord(join(folder, 'records'), one)
    }
  })
  after(() => rm(folder, { recursive: true }))

  it('takes no record for that of an arm that cannot be run yet, though its settings are still those of another', () => {
    const arms = settings.arms.map((arm, i) => (i === 0 ? { ...arm, pending: 'an option is missing' } : arm))
    const [weak] = studyGroups({ ...settings, arms }, records)
    assert.deepEqual([weak!.seeds, weak!.methods], [[], []])
    assert.ok(weak!.missing.every(({ pending }) => pending !== undefined))
  })

  it('compares methods over the seeds that all have, and names what is missing and why', () => {
    const [weak, strong, oneUpdate] = studyGroups(settings, records)
    assert.deepEqual([weak!.seeds, strong!.seeds, oneUpdate!.seeds], [[1], [1, 2], [1, 2]])
    assert.deepEqual(
      weak!.missing.map(({ method, seeds }) => [method, seeds]),
      [
        ['NSR', [2]],
        ['PPO', [1, 2]],
      ],
    )
    assert.match(weak!.missing[1]!.pending!, /critic/)
    assert.deepEqual(
      oneUpdate!.methods.map(({ name }) => name),
      ['nsr'],
    )
  })

  it('judges claims by the intervals, and says nothing where a side is missing', () => {
    const judged = new Map(judgeClaims(studyGroups(settings, records)).map((one) => [one.claim.text, one]))
    const nsr = judged.get('NSR raises pass@1 over the base policy')!
    // Both bases, two sets each; the differences are 2, 2, 2 and 0 of 8.
    assert.equal(nsr.findings.length, 4)
    assert.ok(Math.abs(nsr.findings[0]!.interval.mean - 6 / 32) < 1e-12)
    assert.equal(nsr.verdict, 'reproduced')
    assert.ok(nsr.soFar)
    assert.equal(judged.get('NSR is above GRPO at k = 256')!.verdict, 'not measured')
    const oneUpdate = judged.get('With one update a batch NSR is not above PSR at k = 256')!
    assert.equal(oneUpdate.verdict, 'not measured')
    // Entropies are one number a policy: two seeds make no interval.
    assert.equal(judged.get('NSR ends with more entropy than PSR')!.verdict, 'undecided')
  })

  it('turns intervals into findings and findings into a verdict by its rule', () => {
    const at = (low: number, high: number) => ({ mean: (low + high) / 2, low, high })
    const above = (low: number, high: number, ...seeds: number[]) => holdsIn(at(low, high), seeds, 'above')
    assert.deepEqual(
      [above(0.01, 0.1, 0.1), above(-0.01, 0.1, 0.1), above(-0.1, -0.01, -0.1)],
      ['yes', 'open', 'no'],
    )
    // One seed on the other side of 0 leaves it open, whatever the prompts say.
    assert.deepEqual([above(0.01, 0.1, 0.2, -0.1), above(-0.1, -0.01, -0.2, 0.1)], ['open', 'open'])
    const notBelow = (low: number, high: number) => holdsIn(at(low, high), [low, high], 'not below')
    assert.deepEqual(
      [notBelow(-0.019, 0.1), notBelow(-0.03, 0.1), notBelow(-0.1, -0.03), notBelow(-0.015, -0.005)],
      ['yes', 'open', 'no', 'yes'],
    )
    assert.equal(verdictOf([]), 'not measured')
    assert.equal(verdictOf(['yes', 'yes', 'open']), 'reproduced')
    assert.equal(verdictOf(['yes', 'open']), 'partly')
    assert.equal(verdictOf(['yes', 'yes', 'no']), 'partly')
    assert.equal(verdictOf(['no', 'open']), 'not')
    assert.equal(verdictOf(['open']), 'undecided')
  })

  it('is made of the records alone, in the same bytes each time', async () => {
    const write = async (out: string) => {
      const options = { settings, records: join(folder, 'records'), out: join(folder, out) }
      const { summary, tables, pages } = await writeStudyReport(options)
      const texts = await Promise.all([summary, tables, ...pages].map((path) => readFile(path, 'utf8')))
      return { texts, pages }
    }
    const first = await write('first')
    assert.equal(first.pages.length, 2)
    assert.deepEqual((await write('second')).texts, first.texts)
    const [summary, tables] = first.texts
    const done = records.size
    assert.match(
      summary!,
      new RegExp(`${done} runs recorded, ${Math.floor((done * 45) / 60)} min.* in the ${done} that tell it`),
    )
    assert.match(summary!, /NSR: seed 2; PPO: the learning rate of its critic is still/)
    assert.match(summary!, /The tabular form was not run yet/)
    assert.match(summary!, /\| The comparison \| Walk, strong base, hard graphs \| seeds 1, 2 \| 0\.0 /)
    // PSR has 12 of 32 right, the base 6.
    assert.match(tables!, /\| PSR \| 37\.5 /)
    assert.match(tables!, /\| Base minus PSR \| −18\.8 /)
  })
})
