import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { benchmark, benchmarkOps } from '../../src/bench/benchmark.ts'
import { CoppiceError } from '../../src/errors.ts'
import { Kernels } from '../../src/kernels.ts'
import { quantileOf } from '../../src/statistics/quantiles.ts'

const BACKEND = new URL('../../native/backend/backend.h', import.meta.url)

/** What the backend's header declares between its heading of ops and the private part, by the names that benches use. */
function backendOps(): string[] {
  const header = readFileSync(BACKEND, 'utf8')
  const ops = header.slice(header.indexOf('---- ops'), header.indexOf('struct BackendOptions'))
  return [...ops.matchAll(/virtual void (\w+)\(Context&/g)].map(([, name]) =>
    name!.replace(/_forward$|_step$/, ''),
  )
}

/** Sizes at which an op takes no time, and which no shape of the list has. */
const TINY: Readonly<Record<string, number>> = {
  ...{ rows: 5, cols: 24, inner: 40, heads: 3, head_dim: 8, vocab: 70, elements: 999 },
  ...{ sequences: 3, length: 9, position: 66, groups: 2, prompt: 65, completions: 2, completion: 3 },
  ...{ num_heads: 4, num_kv_heads: 2, copies: 3 },
}

function assertRefused(work: () => Promise<unknown>, message: RegExp): Promise<void> {
  return assert.rejects(work, (error: CoppiceError) => {
    assert.ok(error instanceof CoppiceError, String(error))
    assert.equal(error.code, 'INVALID_ARGUMENT')
    assert.match(error.message, message)
    return true
  })
}

describe('the list of ops that are timed', () => {
  const ops = benchmarkOps()

  it('has every op of the backend', () => {
    const listed = new Set(ops.map(({ op }) => op))
    const declared = backendOps()
    assert.ok(declared.includes('linear') && declared.includes('linear_residual'), declared.join(', '))
    assert.deepEqual(
      declared.filter((op) => !listed.has(op)),
      [],
      'write their cases in native/bench',
    )
  })

  it('names each once, with shapes of its sizes', () => {
    assert.equal(new Set(ops.map(({ op }) => op)).size, ops.length)
    for (const { op, sizes, shapes } of ops) {
      assert.ok(shapes.length > 0, op)
      for (const shape of shapes) {
        assert.deepEqual(Object.keys(shape), sizes, op)
        assert.ok(
          Object.values(shape).every((size) => Number.isInteger(size) && size > 0),
          op,
        )
      }
    }
  })

  it('has products of 1, 8, 32, 256 and more rows', () => {
    const { shapes } = ops.find(({ op }) => op === 'linear')!
    for (const rows of [1, 8, 32, 256, 2048, 4096]) {
      assert.ok(
        shapes.some((shape) => shape.rows === rows),
        String(rows),
      )
    }
  })
})

describe('a benchmark', () => {
  let engine: Kernels

  before(async () => {
    engine = await Kernels.open({ threads: 2 })
  })

  after(() => engine.dispose())

  for (const dtype of ['f32', 'bf16'] as const) {
    it(`runs every op of the list in ${dtype}, forward and backward`, async () => {
      for (const { op, sizes } of benchmarkOps()) {
        const shape = Object.fromEntries(sizes.map((size) => [size, TINY[size]!]))
        const found = await engine.benchmark(op, shape, { dtype, iterations: 2 })
        assert.deepEqual([found.op, found.shape, found.dtype, found.iterations], [op, shape, dtype, 2])
        assert.ok(
          found.seconds.every((time) => time > 0),
          op,
        )
        const quantiles = [0.2, 0.5, 0.8].map((share) => quantileOf(found.seconds, share))
        assert.deepEqual([found.p20, found.p50, found.p80], quantiles, op)
        assert.ok(found.gbytes > 0 && (found.gflops === null || found.gflops > 0), op)
        assert.ok(found.peakShare! > 0 && Number.isFinite(found.peakShare), op)
      }
    })
  }

  it('is bounded by what the machine can do', async () => {
    const cases: [string, Record<string, number>, boolean][] = [
      ['linear', { rows: 256, cols: 512, inner: 512 }, true],
      ['attention', { sequences: 4, length: 256, num_heads: 4, num_kv_heads: 4, head_dim: 64 }, true],
      ['add', { rows: 4096, cols: 256 }, false],
      ['sum_of_squares', { elements: 2 ** 22 }, false],
      ['adamw', { elements: 2 ** 20 }, false],
    ]
    for (const [op, shape, isArithmetic] of cases) {
      const found = await engine.benchmark(op, shape, { seconds: 0.1 })
      assert.equal(found.peakOf === 'f32', isArithmetic, op)
      // Peak and op are measured one after the other on a machine that has other work, too.
      assert.ok(found.peakShare! > 0 && found.peakShare! < 1.3, `${op}: ${found.peakShare}`)
      assert.ok(found.iterations >= 3, op)
    }
  })

  it('counts products of bf16 against the peak of bf16 where there is an instruction for them', async () => {
    const { hasBf16 } = await engine.peaks()
    const shape = { rows: 256, cols: 512, inner: 512 }
    const found = await engine.benchmark('linear', shape, { dtype: 'bf16', seconds: 0.05 })
    assert.equal(found.peakOf, hasBf16 ? 'bf16' : 'f32')
  })

  it('takes the first shape of an op where none is given, and the backend that is asked for', async () => {
    const found = await benchmark({ op: 'swiglu', threads: 1, isa: 'portable', iterations: 3 })
    assert.deepEqual(found.shape, benchmarkOps().find(({ op }) => op === 'swiglu')!.shapes[0])
    assert.deepEqual([found.device, found.isa, found.threads, found.iterations], ['cpu', 'portable', 1, 3])
  })

  it('refuses an op, a size or an option that is not known, with those that are', async () => {
    const shape = { rows: 1, cols: 1 }
    await assertRefused(() => benchmark({ op: 'gemm' }), /'gemm': expected one of linear, .*adamw/)
    await assertRefused(
      () => engine.benchmark('rmsnorm', { rows: 1 }),
      /'cols' is missing; expected rows, cols/,
    )
    await assertRefused(
      () => engine.benchmark('rmsnorm', { ...shape, inner: 2 }),
      /'inner' is not a size of it; expected rows, cols/,
    )
    await assertRefused(() => engine.benchmark('rmsnorm', { ...shape, rows: 0 }), /rows/)
    const far = { rows: 2 ** 29, cols: 2 ** 29, inner: 1 }
    await assertRefused(() => engine.benchmark('linear', far), /product below 2\^56/)
    const many = { sequences: 2 ** 20, length: 2 ** 20, num_heads: 1, num_kv_heads: 1, head_dim: 1 }
    await assertRefused(() => engine.benchmark('attention', many), /at most 2\^28 rows/)
    await assertRefused(() => benchmark({ op: 'add', shpae: shape } as never), /did you mean 'shape'/)
    await assertRefused(() => engine.benchmark('add', shape, { dtype: 'f16' as never }), /f32, bf16/)
  })

  it('refuses heads that do not go together', async () => {
    const shape = { sequences: 1, length: 2, num_heads: 3, num_kv_heads: 2, head_dim: 4 }
    await assert.rejects(
      engine.benchmark('attention', shape),
      (error: CoppiceError) => error.code === 'SHAPE_MISMATCH',
    )
  })
})
