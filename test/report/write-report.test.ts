import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { CoppiceError } from '../../src/errors.ts'
import { percent } from '../../src/report/numbers.ts'
import type { ReportData } from '../../src/report/report-data.ts'
import { type WrittenReport, writeReport } from '../../src/report/write-report.ts'
import { passAtKTableOverSeeds } from '../../src/statistics/pass-at-k-table.ts'
import { syntheticReport } from './synthetic-data.ts'

const SMALL = { prompts: 10, n: 8, steps: 6 }
const HOSTILE = `<script>alert(1)</script><img src=x onerror="alert(2)">"'&amp;\u0000\ud800</style></pre>`

let dir: string
let plain: { html: string; report: WrittenReport }
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'coppice-report-'))
  plain = await pageOf(syntheticReport(SMALL), 'plain')
})
after(async () => {
  await rm(dir, { recursive: true, force: true })
})

async function pageOf(data: ReportData, name: string): Promise<{ html: string; report: WrittenReport }> {
  const report = await writeReport(join(dir, name), data)
  return { html: await readFile(report.html, 'utf8'), report }
}

describe('writeReport', () => {
  it('writes one page and the charts, and says which PNG files it could not make', async () => {
    const { report } = plain
    const names = report.files.map((file) => basename(file))
    for (const name of ['report.html', 'passk.svg', 'dynamics.svg']) assert.ok(names.includes(name), name)
    for (const name of ['passk.png', 'dynamics.png']) {
      const warned = report.warnings.some((warning) => warning.startsWith(name))
      assert.notEqual(names.includes(name), warned, name)
    }
    const without = await writeReport(join(dir, 'no-fonts'), syntheticReport(SMALL), { systemFonts: false })
    assert.equal(without.warnings.length, 2)
    assert.ok(!without.files.some((file) => file.endsWith('.png')))
  })

  it('gives the same bytes for the same data', async () => {
    const again = await pageOf(syntheticReport(SMALL), 'again')
    assert.equal(again.html, plain.html)
    for (const name of ['passk.svg', 'dynamics.svg']) {
      assert.equal(
        await readFile(join(dir, 'plain', name), 'utf8'),
        await readFile(join(dir, 'again', name), 'utf8'),
      )
    }
  })

  it('writes the ticks of its charts without exponents', () => {
    assert.match(plain.html, />500<\/text>/)
    assert.doesNotMatch(plain.html, />[\d.]+e\+?\d+<\/text>/)
  })

  it('refers to nothing outside itself', async () => {
    const { html } = plain
    const links = [...html.matchAll(/(?:href|src|srcset|action)="([^"]*)"/g)].map(([, target]) => target)
    assert.ok(links.length > 5)
    for (const link of links) assert.match(link!, /^(#|data:,$)/)
    assert.doesNotMatch(html, /url\(|@import|<iframe|<link rel="stylesheet"/)
    const addresses = html.match(/https?:\/\/[^"' ]+/g) ?? []
    assert.deepEqual([...new Set(addresses)].sort(), [
      'http://www.w3.org/1999/xlink',
      'http://www.w3.org/2000/svg',
    ])
  })

  it('shows the table of the statistics', async () => {
    const data = syntheticReport(SMALL)
    for (const set of data.sets) {
      for (const method of data.methods) {
        const seeds = method.runs.map((run) => run.evaluations[set.name]!.right_counts)
        const { mean, low, high } = passAtKTableOverSeeds(seeds, undefined, data.bootstrap)['8']!
        const cell = `${percent(mean)}(</strong>)?<span class="ci">${percent(low)}–${percent(high)}</span>`
        assert.match(plain.html, new RegExp(cell), `${set.name} ${method.name}`)
      }
    }
  })

  it('escapes every text, wherever it comes from', async () => {
    const data = hostile(syntheticReport({ ...SMALL, methods: 3 })) as ReportData
    const { html } = await pageOf(data, 'hostile')
    assert.equal(html.match(/<script/gi)?.length, 1, 'one script: the page’s own')
    assert.equal(html.match(/<\/style/gi)?.length, 1)
    assert.doesNotMatch(html, /<img/)
    assert.ok(!html.includes('\u0000') && !html.includes('\ud800'))
    assert.ok(html.includes('&lt;script&gt;alert(1)&lt;/script&gt;'))
    assert.ok(html.includes('&amp;amp;'))
  })

  it('copes with what may be missing', async () => {
    const { html } = await pageOf(
      { ...syntheticReport({ prompts: 2, n: 1, methods: 1 }), groups: [], notes: [], settings: [] },
      'bare',
    )
    const page = html.slice(0, html.indexOf('<script>'))
    assert.doesNotMatch(page, /id="training"|id="samples"|NaN|undefined|Infinity/)
    assert.match(html, /Pass@k on hard/)
  })

  it('stays under two megabytes for long runs and long samples', async () => {
    const data = syntheticReport({ prompts: 20, n: 16, steps: 1000, seeds: [1, 2, 3] })
    for (const { columns } of data.groups!) {
      for (const sample of columns.flatMap((column) => column.samples)) {
        sample.tokens = Array.from({ length: 2000 }, (_, i) => ` token${i}`)
        sample.logprobs = sample.tokens.map(() => -0.5)
        sample.token_weights = sample.tokens.map(() => 1e-4)
      }
    }
    const { html, report } = await pageOf(data, 'large')
    assert.ok((await stat(report.html)).size < 2e6, `${(await stat(report.html)).size} bytes`)
    assert.match(html, /… 1800 more tokens/)
  })
})

/** The same data with every text replaced by markup; names that other parts refer to are replaced alike. */
function hostile(value: unknown, key = ''): unknown {
  if (typeof value === 'string')
    return key === 'verdict' || key === 'finish_reason' ? value : `${value}${HOSTILE}`
  if (Array.isArray(value)) return value.map((item) => hostile(item, key))
  if (typeof value !== 'object' || value === null) return value
  const renamed = key === 'evaluations' || key === 'values' || key === 'versions'
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [renamed ? `${name}${HOSTILE}` : name, hostile(item, name)]),
  )
}

describe('writeReport refuses', () => {
  const cases: [name: string, spoil: (data: ReportData) => void, code: string, message: RegExp][] = [
    ['no sets', (data) => data.sets.splice(0), 'INVALID_ARGUMENT', /at least one held-out set/],
    ['no methods', (data) => data.methods.splice(0), 'INVALID_ARGUMENT', /at least one method/],
    [
      'two of a name',
      (data) => data.methods.push(data.methods[1]!),
      'INVALID_ARGUMENT',
      /each name once.*psr/,
    ],
    [
      'two bases',
      (data) => Object.assign(data.methods[1]!, { base: true }),
      'INVALID_ARGUMENT',
      /one base policy/,
    ],
    ['a run too few', (data) => data.methods[2]!.runs.splice(0), 'INVALID_ARGUMENT', /method nsr: .*one run/],
    [
      'a missing set',
      (data) => {
        delete data.methods[1]!.runs[1]!.evaluations.hard
      },
      'INVALID_ARGUMENT',
      /method psr, seed 2: .*set 'hard'/,
    ],
    [
      'other prompts',
      (data) => {
        data.methods[1]!.runs[0]!.evaluations.medium!.right_counts.pop()
      },
      'SHAPE_MISMATCH',
      /method psr, seed 1, set medium: .*10 prompts/,
    ],
    [
      'c > n',
      (data) => {
        data.methods[0]!.runs[0]!.evaluations.hard!.right_counts[3] = { n: 8, c: 9 }
      },
      'INVALID_ARGUMENT',
      /prompt 3, c/,
    ],
    [
      'too few log-probs',
      (data) => {
        data.groups![0]!.columns[0]!.samples[1]!.logprobs.pop()
      },
      'SHAPE_MISMATCH',
      /prompt train-0017, psr, sample 1: logprobs do not fit/,
    ],
    [
      'an unknown method in a group',
      (data) => {
        data.groups![0]!.columns[0]!.method = 'ppo'
      },
      'INVALID_ARGUMENT',
      /one of the methods base, psr/,
    ],
  ]
  for (const [name, spoil, code, message] of cases) {
    it(name, async () => {
      const data = syntheticReport(SMALL)
      spoil(data)
      await assert.rejects(
        writeReport(join(dir, 'refused'), data),
        (error) => error instanceof CoppiceError && error.code === code && message.test(error.message),
      )
    })
  }

  it('what is not the data of a report, by path', async () => {
    const whole = () => JSON.parse(JSON.stringify(syntheticReport(SMALL)))
    const spoilt: [spoil: (data: ReturnType<typeof whole>) => unknown, message: RegExp][] = [
      [() => null, /report data: .*an object/],
      [() => ({}), /title: .*a text/],
      [(data) => ({ ...data, sets: {} }), /sets: .*a list/],
      [(data) => ({ ...data, environment: undefined }), /environment: .*an object/],
      [
        (data) => {
          delete data.methods[2].runs[0].seed
          return data
        },
        /methods\[2\]\.runs\[0\]\.seed: .*number/,
      ],
      [
        (data) => {
          data.groups[0].columns[1].samples[0].logprobs[3] = null
          return data
        },
        /groups\[0\]\.columns\[1\]\.samples\[0\]\.logprobs\[3\]: .*finite number; received null/,
      ],
      [
        (data) => {
          data.groups[0].columns[0].samples[0].verdict = 'maybe'
          return data
        },
        /verdict: .*one of right, wrong, unparsed, timed-out; received "maybe"/,
      ],
    ]
    for (const [spoil, message] of spoilt) {
      const data = whole()
      await assert.rejects(
        writeReport(join(dir, 'refused'), spoil(data) as ReportData),
        (error) =>
          error instanceof CoppiceError && error.code === 'DATA_CORRUPT' && message.test(error.message),
        String(message),
      )
    }
  })

  it('unknown options', async () => {
    await assert.rejects(
      writeReport(join(dir, 'refused'), syntheticReport(SMALL), { fontFile: 'x' } as object),
      /did you mean 'fontFiles'/,
    )
  })
})
