import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { analyseSets } from '../../src/report/analysis.ts'
import { readResults } from '../../src/report/reading.ts'
import type { ReportData } from '../../src/report/report-data.ts'
import { syntheticReport } from './synthetic-data.ts'

/** Methods with the same number of right samples on every one of 20 prompts, so that intervals have no width. */
function flatReport(counts: Record<string, number[]>): ReportData {
  const frame = syntheticReport({ prompts: 1, n: 1, steps: 1, methods: 1 })
  return {
    ...frame,
    sets: [{ name: 'set', label: 'the set' }],
    methods: Object.entries(counts).map(([name, seeds]) => ({
      name,
      label: name,
      base: name === 'base',
      runs: seeds.map((c, seed) => ({
        seed,
        evaluations: { set: { right_counts: Array.from({ length: 20 }, () => ({ n: 4, c })) } },
      })),
    })),
  }
}

function textOf(data: ReportData): string {
  return readResults(data, analyseSets(data))
    .flatMap(({ heading, statements }) => [
      heading,
      ...statements.map(({ lead, text }) => `${lead}: ${text}`),
    ])
    .join('\n')
    .replaceAll('\u00a0', ' ')
    .replaceAll('\u2011', '-')
}

describe('readResults', () => {
  it('names the order at k = 1 and at the largest k, and what is separated', () => {
    const text = textOf(flatReport({ base: [1], psr: [2, 2], 'w-reinforce': [3, 3] }))
    assert.match(text, /20 held-out prompts, 4 samples each, 2 training seeds\./)
    assert.match(
      text,
      /k = 1: w-reinforce 75\.0, psr 50\.0 and base 25\.0 %\. .*excludes 0 for all 3 pairs\./,
    )
    assert.match(
      text,
      /k = 4: base 100\.0, psr 100\.0 and w-reinforce 100\.0 %\. .*includes 0 for all 3 pairs\./,
    )
    assert.match(text, /Against base: At k = 1, in points: above it psr \+25\.0 and w-reinforce \+50\.0\./)
    assert.match(text, /At k = 4, in points: not told apart psr 0\.0 and w-reinforce 0\.0\./)
    assert.match(text, /of 3 pairs that do not differ, about 0\.15 would seem to at each k/)
  })

  it('names the shorter list: those apart, or those not apart', () => {
    const few = textOf(flatReport({ base: [1], psr: [1], nsr: [2] }))
    assert.match(few, /excludes 0 for 2 of 3 pairs: not separated are base and psr\./)
    const one = flatReport({ base: [1], psr: [1] })
    assert.match(textOf(one), /k = 1: .*The interval of the paired difference includes 0\./)
  })

  it('says which trainings the clock had a part in', () => {
    const data = flatReport({ psr: [2], nsr: [1] })
    assert.doesNotMatch(textOf(data), /regenerable/)
    data.methods[1]!.runs[0]!.metrics = [
      { step: 1, clock_verdicts: 0 },
      { step: 2, clock_verdicts: 3 },
    ]
    assert.match(textOf(data), /Not regenerable: .*in training: nsr \(3\)\./)
  })

  it('says where training seeds disagree in sign', () => {
    const text = textOf(flatReport({ psr: [3, 0], nsr: [0, 1] }))
    assert.match(text, /excludes 0\. Yet the sign is not the same in every training seed for psr over nsr\./)
    assert.doesNotMatch(textOf(flatReport({ psr: [3, 2], nsr: [0, 0] })), /Yet the sign/)
  })

  it('compares no policy with a base that is not there, and a single method with nothing', () => {
    assert.doesNotMatch(textOf(flatReport({ psr: [1], nsr: [2] })), /Against/)
    const alone = textOf(flatReport({ psr: [1] }))
    assert.doesNotMatch(alone, /pair/)
  })

  it('tells how entropy moved, from the metrics', () => {
    const data = flatReport({ psr: [1] })
    data.methods[0]!.runs[0]!.metrics = Array.from({ length: 20 }, (_, i) => ({
      step: i,
      entropy: i < 2 ? 1.5 : 0.25,
    }))
    assert.match(textOf(data), /first and of the last tenth of the steps: psr 1\.50 to 0\.25\./)
  })
})
