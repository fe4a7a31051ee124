import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { copiedColumns } from '../../../src/cli/bench/arrow-kind.ts'
import type { BenchRow } from '../../../src/cli/bench/bench-row.ts'
import { chooseNamed } from '../../../src/cli/bench/choose-named.ts'
import { BENCH_KINDS, casesOf } from '../../../src/cli/bench/kinds.ts'
import {
  BENCH_MODELS,
  contextOf,
  openModel,
  promptsOfLength,
  tinyModel,
} from '../../../src/cli/bench/model-shapes.ts'
import { concatBatches } from '../../../src/index.ts'

type Kind = keyof typeof BENCH_KINDS

const BACKEND = { device: 'cpu', isa: 'portable', threads: 1 } as const

async function rowsOf(kind: Kind, names?: readonly string[], dtype: 'f32' | 'bf16' = 'f32') {
  const rows: BenchRow[] = []
  const skipped: string[] = []
  const setup = {
    ...{ backend: { ...BACKEND, dtype }, timing: { repeats: 3, seconds: 0 }, isQuick: true },
    onSkipped: (line: string) => void skipped.push(line),
  }
  for (const bench of chooseNamed(casesOf(kind), names)) {
    for await (const row of bench.run(setup)) {
      assert.equal(row.case, bench.name)
      requireWhole(row)
      rows.push(row)
    }
  }
  return { rows, skipped }
}

/** A share or the reason why there is none, and what every row says of itself. */
function requireWhole(row: BenchRow): void {
  const text = JSON.stringify(row)
  assert.equal(row.peak_share === null, typeof row.no_floor === 'string', text)
  assert.equal(row.peak_share === null, row.floor_ms === undefined, text)
  if (row.peak_share !== null) {
    assert.ok(row.peak_share > 0 && Math.abs(row.floor_ms! / row.p50_ms / row.peak_share - 1) < 2e-3, text)
  }
  assert.ok(row.peak_rss_mib > 10 && row.cores >= 1 && row.op !== '' && row.shape !== '', text)
}

const shapes = ({ rows }: { rows: readonly BenchRow[] }) => rows.map(({ shape }) => shape)

describe('coppice bench, every kind at tiny sizes', () => {
  it('has a name of its own for every case, which begins with its kind', () => {
    const names = casesOf('all').map(({ name }) => name)
    assert.equal(new Set(names).size, names.length)
    for (const kind of Object.keys(BENCH_KINDS) as Kind[]) {
      for (const { name } of casesOf(kind)) assert.ok(name.startsWith(`${kind}/`), name)
    }
  })

  it('head: forward, backward, and both, of which the work is three products', async () => {
    const { rows } = await rowsOf('head', ['head/2048x151936x896'])
    assert.deepEqual(
      rows.map(({ op }) => op),
      ['head', 'head_backward', 'head_forward_backward'],
    )
    const [forward, , both] = rows
    assert.ok(Math.abs(both!.floor_ms! / forward!.floor_ms! - 3) < 0.01)
  })

  it('step and slice, in both types of parameters', async () => {
    const bf16 = await rowsOf('step', ['step/S'], 'bf16')
    assert.deepEqual([bf16.rows[0]!.dtype, bf16.rows[0]!.op], ['bf16', 'train_step'])
    const { rows } = await rowsOf('slice')
    assert.ok(rows[0]!.tokens_per_second! > 0 && rows[0]!.gflops! > 0)
  })

  it('generate, with prompts of one completion and of a group', async () => {
    assert.deepEqual(shapes(await rowsOf('generate', ['generate/S-256', 'generate/S-32x8'])), [
      'S made tiny, 2 prompts of 4 x 8 tokens',
      'S made tiny, 2 prompts of 4 x 8 completions of 8 tokens',
    ])
  })

  it('load: beside a plain read of the same file', async () => {
    const { rows, skipped } = await rowsOf('load')
    assert.equal(rows.length + skipped.length, 2)
    assert.equal(rows[0]!.shape, 'S made tiny, f32 safetensors, warm')
    assert.ok(rows.every((row) => row.gbytes_per_second! > 0 && row.peak_gbytes! > 0))
  })

  it('arrow: nothing is copied on the way out of the engine, and back', async () => {
    const { rows } = await rowsOf('arrow')
    assert.deepEqual(
      rows.map(({ op }) => op),
      ['arrow_columns', 'arrow_write', 'arrow_read', 'jsonl_write', 'jsonl_read'],
    )
    assert.equal(rows[0]!.copied_columns, 0)
  })

  it('arrow: sees a copy', async () => {
    await using policy = await openModel(tinyModel(BENCH_MODELS.S), BACKEND, 64)
    assert.equal(contextOf(policy).isa, 'portable')
    const sampling = { numGenerations: 2, maxCompletionLength: 4, stopTokens: [] }
    for await (const group of policy.generate(promptsOfLength(64, 1, 4), sampling)) {
      assert.deepEqual(copiedColumns(group), [])
      assert.equal(copiedColumns(concatBatches([group, group])).length, 4)
    }
  })

  it('grade: with every answer judged, and with judgements that are kept', async () => {
    const { rows } = await rowsOf('grade', ['grade/exact', 'grade/math'])
    assert.deepEqual(shapes({ rows }).slice(0, 2), [
      'exact, 64 answers, in process',
      'exact, 64 answers, in process, groups of 8 equal ones',
    ])
    assert.ok(rows.every((row) => row.answers_per_second! > 0))
  })

  it('scaling: one size at a time', async () => {
    const { rows, skipped } = await rowsOf('scaling')
    assert.deepEqual(skipped, [])
    assert.equal(rows.length, casesOf('scaling').length)
    const find = (name: string) => rows.find((row) => row.case === name)!
    const [shared, apart] = ['shared', 'apart'].map((word) => find(`scaling/group-8-${word}`))
    assert.ok(shared!.floor_ms! < apart!.floor_ms!, 'a shared prompt is less work')
    assert.equal(find('scaling/threads-1').threads, 1)
  })

  it('scaling: leaves out what does not fit into memory, and says so', async () => {
    const huge = {
      ...BENCH_MODELS.L,
      name: 'huge',
      numLayers: 4096,
      numHeads: 64,
      numKvHeads: 64,
      hiddenSize: 16_384,
      headDim: 256,
    }
    const { ifItFits } = await import('../../../src/cli/bench/scaling-kind.ts')
    const never = ifItFits(huge, 128, {
      name: 'scaling/huge',
      // biome-ignore lint/correctness/useYield: it must not come to that
      async *run() {
        assert.fail('was run')
      },
    })
    const skipped: string[] = []
    const timing = { repeats: 3, seconds: 0 }
    const setup = {
      backend: BACKEND,
      timing,
      isQuick: false,
      onSkipped: (line: string) => void skipped.push(line),
    }
    for await (const row of never.run(setup)) assert.fail(row.case)
    assert.match(skipped.join(), /^scaling\/huge: needs [\d.]+ GiB of memory, [\d.]+ GiB are there$/)
  })

  it('eventloop', async () => {
    const { rows } = await rowsOf('eventloop')
    const [{ op, shape, p20_ms, p50_ms, p80_ms, p99_ms }] = rows as [BenchRow]
    assert.deepEqual([op, shape], ['event_loop_delay', 'training S made tiny'])
    assert.ok([p20_ms, p50_ms, p80_ms, p99_ms].every(Number.isFinite))
  })
})
