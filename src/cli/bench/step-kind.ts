import type { BenchCase, BenchKind, BenchSetup } from './bench-case.ts'
import { passedRows, trainingFlops } from './floors.ts'
import {
  BENCH_MODELS,
  type BenchModel,
  contextOf,
  openModel,
  tinyModel,
  trainingRows,
} from './model-shapes.ts'
import { peakRssMib } from './peak-rss.ts'
import { PeakMeter } from './peaks.ts'
import { timeSteps } from './policy-work.ts'

/** Optimiser steps of one model on rows of one length; its floor is the products' and the attention's arithmetic at peak. */
export function stepCase(name: string, model: BenchModel, rows: number, length: number): BenchCase {
  return {
    name,
    async *run(setup) {
      const { model: used, rows: count, length: tokens } = shrunk(setup, model, rows, length)
      await using policy = await openModel(used, setup.backend, 2 * tokens)
      const meter = new PeakMeter({ ...contextOf(policy), case: name })
      const batch = trainingRows(used.vocabSize, count, tokens)
      const seconds = await timeSteps(policy, batch, meter.during(setup.timing))
      const flops = trainingFlops(used, passedRows(count, tokens))
      const measured = {
        ...{ op: 'train_step', shape: `${used.name}, ${count} rows of ${tokens} tokens`, seconds, flops },
        ...{ tokens: count * tokens, peakRssMib: peakRssMib() },
      }
      yield meter.row(measured, [{ flops, bytes: 0 }])
    },
  }
}

function shrunk({ isQuick }: BenchSetup, model: BenchModel, rows: number, length: number) {
  if (!isQuick) return { model, rows, length }
  return { model: tinyModel(model), rows: Math.min(2, rows), length: Math.min(16, length) }
}

const { S, M, slice } = BENCH_MODELS

export const STEP_KIND: BenchKind = {
  describe: 'optimiser steps of the models S and M',
  cases: () => [stepCase('step/S', S, 32, 128), stepCase('step/M', M, 8, 256)],
}

export const SLICE_KIND: BenchKind = {
  describe: 'optimiser steps of one layer and the head of Qwen2.5-0.5B',
  cases: () => [stepCase('slice/Qwen2.5-0.5B', slice, 1, 512)],
}
