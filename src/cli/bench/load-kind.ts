import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { medianOf, Policy } from '../../index.ts'
import type { BenchCase, BenchKind, BenchSetup } from './bench-case.ts'
import { type BenchRow, benchRow } from './bench-row.ts'
import { forget, readThrough } from './file-cache.ts'
import { BENCH_MODELS, contextOf, openModel, tinyModel } from './model-shapes.ts'
import { peakRssMib } from './peak-rss.ts'
import { timePrepared } from './time-runs.ts'

type State = 'warm' | 'cold'

/** Opening a checkpoint in Hugging Face layout; its floor is a plain read of the same file in the same state. */
function loadCase(state: State): BenchCase {
  const name = `load/Qwen2.5-0.5B-${state}`
  return {
    name,
    async *run(setup) {
      const folder = await mkdtemp(join(tmpdir(), 'coppice-bench-load-'))
      try {
        const row = await measureLoad(setup, name, state, join(folder, 'model'))
        if (row !== undefined) yield row
      } finally {
        await rm(folder, { recursive: true })
      }
    },
  }
}

async function measureLoad(
  { backend, timing, isQuick, onSkipped }: BenchSetup,
  name: string,
  state: State,
  folder: string,
): Promise<BenchRow | undefined> {
  const model = isQuick ? tinyModel(BENCH_MODELS.S) : BENCH_MODELS.halfBillion
  const { dtype = 'f32' } = backend
  const policy = await openModel(model, backend, 4096)
  const context = { ...contextOf(policy), case: name }
  try {
    await policy.save(folder, { dtype })
  } finally {
    await policy.dispose()
  }
  const files = (await readdir(folder))
    .filter((file) => file.endsWith('.safetensors'))
    .map((file) => join(folder, file))
  if (state === 'cold' && !files.every(forget)) {
    onSkipped(`${name}: this system does not let go of a file's contents`)
    return undefined
  }
  const prepare = state === 'cold' ? () => files.every(forget) : () => {}
  const load = await timePrepared(timing, prepare, async () => {
    await using loaded = await Policy.load({ model: folder, ...backend })
    void loaded
  })
  const rss = peakRssMib()
  const read = await timePrepared(timing, prepare, async () => {
    for (const file of files) await readThrough(file)
  })
  const sizes = await Promise.all(files.map((file) => stat(file)))
  const bytes = sizes.reduce((sum, { size }) => sum + size, 0)
  const floor = medianOf(read)
  const measured = {
    ...{
      op: 'load_checkpoint',
      shape: `${model.name}, ${dtype} safetensors, ${state}`,
      seconds: load,
      bytes,
    },
    peakRssMib: rss,
  }
  return benchRow(context, measured, { seconds: floor, gbytes: bytes / floor / 1e9 })
}

export const LOAD_KIND: BenchKind = {
  describe: "opening a checkpoint, from the system's file cache and from the disk",
  cases: () => [loadCase('warm'), loadCase('cold')],
}
