import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'coppice-bench-table-'))
after(() => rmSync(folder, { recursive: true }))

const { reasonFor, tablesOf } = await import(
  new URL('../../scripts/measure/bench-tables.mjs', import.meta.url).href
)

const ROW = {
  ...{ case: 'op/rmsnorm-4096x256', op: 'rmsnorm', shape: 'rows 4096, cols 256', dtype: 'f32', threads: 2 },
  ...{ p20_ms: 1, p50_ms: 2, p80_ms: 3, gflops: null, peak_share: 0.5, floor_ms: 1, peak_gbytes: 20 },
  ...{ peak_rss_mib: 100, isa: 'avx512', commit: 'abc', machine: 'm', cores: 2, versions: { node: 'v20' } },
}
const REASONS = [
  { op: 'rmsnorm', dtype: 'bf16', why: 'of the type' },
  { op: 'rmsnorm', shape: 'rows 4\\d+,', why: 'of the shape' },
]

describe('the tables of bench rows', () => {
  it('give a row below 70 % its reason, and leave the others alone', () => {
    assert.equal(reasonFor(ROW, REASONS), 'of the shape')
    assert.equal(reasonFor({ ...ROW, dtype: 'bf16' }, REASONS), 'of the type')
    assert.equal(reasonFor({ ...ROW, shape: 'rows 8, cols 256' }, REASONS), undefined)
    assert.equal(reasonFor({ ...ROW, peak_share: 0.7 }, []), '')
    assert.equal(reasonFor({ ...ROW, peak_share: null }, []), '')
    assert.equal(reasonFor({ ...ROW, case: 'load/x', op: 'load_checkpoint' }, []), '')
  })

  it('show the newest row of each thing, its floor and the conditions', () => {
    const text: string = tablesOf([{ ...ROW, p50_ms: 9 }, ROW], REASONS)
    assert.match(text, /^m, 2 cores, avx512, commit abc, Node v20$/m)
    assert.match(text, /^Peaks that the runs measured: 20 to 20 GB\/s\.$/m)
    assert.match(text, /^### Ops$/m)
    const lines = text.split('\n').filter((line) => line.startsWith('| rmsnorm'))
    assert.equal(lines.length, 1)
    assert.match(lines[0]!, /\| 2 ms \| 1 to 3 \| 1 ms \| 50\.0 % \| 100 MiB \| of the shape \|$/)
    assert.doesNotMatch(text, /tokens\/s/)
    assert.match(tablesOf([{ ...ROW, shape: 'rows 8' }], REASONS), /\*\*no reason known\*\*/)
  })

  it('fail a check where a reason is missing', () => {
    const [rows, why] = [join(folder, 'rows.jsonl'), join(folder, 'why.json')]
    writeFileSync(rows, `${JSON.stringify(ROW)}\n`)
    const check = (reasons: unknown) => {
      writeFileSync(why, JSON.stringify(reasons))
      const args = ['scripts/bench-table.mjs', rows, '--why', why, '--check']
      return spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
    }
    assert.equal(check(REASONS).status, 0)
    const { status, stderr } = check([])
    assert.equal(status, 1)
    assert.match(stderr, /without a reason: rmsnorm, rows 4096, cols 256, f32/)
  })

  it('has reasons in whole: an op, words, and patterns that compile', () => {
    const reasons = JSON.parse(readFileSync(join(root, 'bench/results/why.json'), 'utf8'))
    for (const { op, why, shape, dtype, ...rest } of reasons) {
      assert.ok(typeof op === 'string' && typeof why === 'string' && why.length > 20, op)
      assert.ok([undefined, 'f32', 'bf16'].includes(dtype), op)
      if (shape !== undefined) new RegExp(shape)
      assert.deepEqual(rest, {})
    }
  })
})

describe('scripts/bench-all.mjs', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['scripts/bench-all.mjs', ...args], { cwd: root, encoding: 'utf8' })

  it('measures each case in a process of its own, and what has a row not again', () => {
    const out = join(folder, 'all.jsonl')
    const args = [
      '--quick',
      '--kinds',
      'slice,eventloop',
      '--isa',
      'portable',
      '--threads',
      '1',
      '--out',
      out,
    ]
    const first = run(...args)
    assert.equal(first.status, 0, first.stderr)
    assert.match(first.stdout, /^3 of 3 done/m)
    const lines = readFileSync(out, 'utf8').trim().split('\n')
    const rows = lines.map((line) => JSON.parse(line))
    assert.deepEqual(
      rows.map((row) => `${row.case} ${row.dtype}`),
      ['slice/Qwen2.5-0.5B f32', 'slice/Qwen2.5-0.5B bf16', 'eventloop/S f32'],
    )
    writeFileSync(out, `${lines[1]}\n${lines[2]}\n`)
    const second = run(...args)
    assert.match(second.stdout, /^\[1\/1\] slice\/Qwen2\.5-0\.5B, f32$/m)
    assert.match(run(...args).stdout, /^0 of 0 done/m)
    writeFileSync(out, `${JSON.stringify({ ...rows[0], commit: '0000000000' })}\n`)
    const other = run(...args)
    assert.equal(other.status, 2)
    assert.match(other.stderr, /holds rows of commit 0000000000/)
    for (const line of [lines[1]!.slice(0, 80), JSON.stringify({ ...rows[0], case: 'opp/x' }), 'null']) {
      writeFileSync(out, `${lines[0]}\n${line}`)
      const torn = run(...args)
      assert.equal(torn.status, 2)
      assert.match(torn.stderr, /^\S+all\.jsonl, line 2: no row of coppice bench: .*\n$/)
    }
  })

  it('refuses what it does not know', () => {
    assert.match(run('--kinds', 'op').stderr, /--out is missing/)
    const { status, stderr } = run('--kinds', 'opp', '--out', join(folder, 'x'))
    assert.equal(status, 2)
    assert.match(stderr, /--kinds: opp is none of op, head/)
  })
})
