import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  columnsOf,
  concatBatches,
  type ListView,
  medianOf,
  type Policy,
  type RolloutBatch,
  readTable,
  writeTable,
} from '../../index.ts'
import type { BenchCase, BenchKind, BenchSetup } from './bench-case.ts'
import { type BenchContext, type BenchRow, benchRow, type Measured } from './bench-row.ts'
import { readThrough } from './file-cache.ts'
import { BENCH_MODELS, contextOf, openModel, promptsOfLength, tinyModel } from './model-shapes.ts'
import { peakRssMib } from './peak-rss.ts'
import { timeRuns } from './time-runs.ts'

const SAMPLES = 8
const LENGTH = 64
/** Rows of what is written and read, as a step of training has them. */
const ROWS = 16_384

/** Rollouts of a tiny model: what they cost to sample is no part of any row. */
async function rollouts(policy: Policy, groups: number): Promise<RolloutBatch> {
  const prompts = promptsOfLength(policy.config.vocabSize, groups, 16)
  return policy.generateAll(prompts, {
    ...{ numGenerations: SAMPLES, maxCompletionLength: LENGTH, stopTokens: [], seed: 1 },
  })
}

async function manyRollouts(policy: Policy, isQuick: boolean): Promise<RolloutBatch> {
  const batch = await rollouts(policy, isQuick ? 2 : 64)
  return concatBatches(new Array<RolloutBatch>(isQuick ? 2 : ROWS / batch.numRows).fill(batch))
}

function arrowCase(
  name: string,
  measure: (setup: BenchSetup, policy: Policy, context: BenchContext & { case: string }) => Promise<BenchRow>,
): BenchCase {
  return {
    name,
    async *run(setup) {
      await using policy = await openModel(tinyModel(BENCH_MODELS.S), setup.backend, 4 * LENGTH)
      yield measure(setup, policy, { ...contextOf(policy), case: name })
    },
  }
}

const LIST_COLUMNS = {
  prompt_tokens: 'promptTokens',
  completion_tokens: 'completionTokens',
  completion_mask: 'completionMask',
  logprobs: 'logprobs',
} as const

/** Columns of a finished group that are not the engine's own memory: in Arrow's vectors, or in the views that go back to the engine. */
export function copiedColumns(batch: RolloutBatch): string[] {
  const views = columnsOf(batch)
  const blocks = new Set<ArrayBufferLike>()
  const copied = Object.entries(LIST_COLUMNS).filter(([column, key]) => {
    const view = views[key] as ListView<Int32Array>
    const { valueOffsets, children } = batch.getChild(column)!.data[0]!
    const values = children[0]!.values as Int32Array
    blocks.add(values.buffer)
    return !isSameMemory(view.values, values) || !isSameMemory(view.offsets, valueOffsets as Int32Array)
  })
  // A group comes as one block of native memory: numbers in another block have been copied on their way.
  return blocks.size === 1 ? copied.map(([column]) => column) : Object.keys(LIST_COLUMNS)
}

/** Views of one buffer from one byte on have one address. */
function isSameMemory(a: ArrayBufferView, b: ArrayBufferView): boolean {
  return a.buffer === b.buffer && a.byteOffset === b.byteOffset
}

/** Typed views of a batch's columns, with every check that stands before a kernel. */
async function measureViews(
  { timing, isQuick }: BenchSetup,
  policy: Policy,
  context: BenchContext & { case: string },
): Promise<BenchRow> {
  let copied = 0
  for await (const group of policy.generate(promptsOfLength(policy.config.vocabSize, 4, 16), {
    ...{ numGenerations: SAMPLES, maxCompletionLength: LENGTH, stopTokens: [] },
  })) {
    copied = Math.max(copied, copiedColumns(group).length)
  }
  const batch = await manyRollouts(policy, isQuick)
  const seconds = await timeRuns(timing, () => columnsOf(batch))
  const row = benchRow(
    context,
    { ...rowsOf('arrow_columns', batch, 'numbers and words'), seconds, peakRssMib: peakRssMib() },
    'nothing is moved: its time is that of checks',
  )
  return { ...row, copied_columns: copied }
}

function rowsOf(op: string, batch: RolloutBatch, what: string): Pick<Measured, 'op' | 'shape' | 'rows'> {
  const shape = `${batch.numRows} rollouts of ${LENGTH} tokens, ${what}`
  return { op, shape, rows: batch.numRows }
}

/** Writing and reading a file of rollouts; reading has the plain read of the same file as its floor. */
async function measureFile(
  { timing, isQuick }: BenchSetup,
  policy: Policy,
  context: BenchContext & { case: string },
  direction: 'write' | 'read',
  extension: 'arrow' | 'jsonl',
): Promise<BenchRow> {
  const batch = await manyRollouts(policy, isQuick)
  const folder = await mkdtemp(join(tmpdir(), 'coppice-bench-arrow-'))
  try {
    const path = join(folder, `rollouts.${extension}`)
    await writeTable(path, [batch])
    const { size: bytes } = await stat(path)
    const work = direction === 'write' ? () => writeTable(path, [batch]) : () => readTable(path)
    const seconds = await timeRuns(timing, work)
    const measured = {
      ...{ ...rowsOf(`${extension}_${direction}`, batch, 'every column'), seconds, bytes },
      peakRssMib: peakRssMib(),
    }
    if (direction === 'write')
      return benchRow(context, measured, 'how quickly a disk can write for good is not known')
    const floor = medianOf(await timeRuns(timing, () => readThrough(path)))
    return benchRow(context, measured, { seconds: floor, gbytes: bytes / floor / 1e9 })
  } finally {
    await rm(folder, { recursive: true })
  }
}

export const ARROW_KIND: BenchKind = {
  describe: 'rollouts between the engine, Arrow and files: rows/s, GB/s, columns copied',
  cases: () => [
    arrowCase('arrow/columns', measureViews),
    ...(['arrow', 'jsonl'] as const).flatMap((extension) =>
      (['write', 'read'] as const).map((direction) =>
        arrowCase(`arrow/${extension}-${direction}`, (setup, policy, context) =>
          measureFile(setup, policy, context, direction, extension),
        ),
      ),
    ),
  ],
}
