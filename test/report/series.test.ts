import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  MAX_POINTS,
  panelSeries,
  readMetric,
  smoothingSpan,
  usedPanels,
} from '../../src/report/charts/series.ts'
import type { MetricsRow, ReportMethod } from '../../src/report/report-data.ts'
import { syntheticReport } from './synthetic-data.ts'

function method(...runs: MetricsRow[][]): ReportMethod {
  return { name: 'm', label: 'M', runs: runs.map((metrics, seed) => ({ seed, evaluations: {}, metrics })) }
}

describe('readMetric', () => {
  it('skips what is absent or not finite and sums several keys', () => {
    const rows = [
      { step: 1, a: 1, b: 10 },
      { step: 2, a: null },
      { step: 3, a: Number.NaN, b: 5 },
      { step: 4, a: 'high' },
    ]
    assert.deepEqual(readMetric(rows, ['a']), [{ step: 1, value: 1 }])
    assert.deepEqual(readMetric(rows, ['a', 'b']), [
      { step: 1, value: 11 },
      { step: 3, value: 5 },
    ])
  })
})

describe('panelSeries', () => {
  const panel = { keys: ['a'], title: 'A', format: 'd' }

  it('gives each run as logged and their mean by step', () => {
    const series = panelSeries(panel, [
      method(
        [
          { step: 1, a: 1 },
          { step: 2, a: 2 },
        ],
        [
          { step: 1, a: 3 },
          { step: 3, a: 7 },
        ],
      ),
    ])
    assert.deepEqual(
      series.map(({ seed, points }) => [seed, points.map(({ step, value }) => [step, value])]),
      [
        [
          0,
          [
            [1, 1],
            [2, 2],
          ],
        ],
        [
          1,
          [
            [1, 3],
            [3, 7],
          ],
        ],
        [
          null,
          [
            [1, 2],
            [2, 2],
            [3, 7],
          ],
        ],
      ],
    )
  })

  it('leaves a method without the metric out', () => {
    assert.deepEqual(panelSeries(panel, [method([{ step: 1, b: 1 }])]), [])
  })

  it('thins long runs by averaging and keeps their mean', () => {
    const rows = Array.from({ length: 1000 }, (_, i) => ({ step: i, a: i % 7 }))
    const [run] = panelSeries(panel, [method(rows)])
    assert.equal(run!.points.length, MAX_POINTS)
    const mean = run!.points.reduce((sum, p) => sum + p.value, 0) / MAX_POINTS
    assert.ok(Math.abs(mean - 3) < 0.05)
    assert.ok(run!.points[0]!.step < 10 && run!.points[MAX_POINTS - 1]!.step > 990)
  })

  it('smooths only the mean, over an odd span that grows with the run', () => {
    assert.deepEqual([1, 39, 40, 120, 400].map(smoothingSpan), [1, 1, 3, 7, 21])
    const rows = Array.from({ length: 40 }, (_, i) => ({ step: i, a: i === 20 ? 3 : 0 }))
    const [run, mean] = panelSeries(panel, [method(rows)])
    assert.equal(run!.points[20]!.value, 3)
    assert.deepEqual(
      [19, 20, 21].map((i) => mean!.points[i]!.value),
      [1, 1, 1],
    )
    assert.equal(mean!.points[22]!.value, 0)
  })
})

describe('usedPanels', () => {
  it('leaves out panels without data and a KL that is always 0', () => {
    const titles = usedPanels(syntheticReport({ steps: 3, prompts: 2, n: 2 })).map(({ panel }) => panel.title)
    assert.ok(titles.includes('Entropy, nats a token'))
    assert.ok(!titles.some((title) => title.startsWith('KL')))
    assert.deepEqual(usedPanels(syntheticReport({ methods: 1, prompts: 2, n: 2 })), [])
  })
})
