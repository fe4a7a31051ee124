import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { writeFile } from './durable-files.ts'
import { corrupt, createSafetensorsFile, readSafetensorsHeader } from './safetensors.ts'
import { shortJson } from './strict-json.ts'
import type { TensorShape } from './tensor-names.ts'

const FILE = 'optimizer.safetensors'

/** Where AdamW's moments lie: all elements of the model in layout order, F32. */
export interface OptimizerStateInFile {
  path: string
  /** First byte of the first and of the second moments. */
  mOffset: number
  vOffset: number
  /** Optimiser steps done. */
  step: number
}

/** Writes `optimizer.safetensors` into a checkpoint folder; `saveInto` writes the two arenas at the offsets given. */
export async function writeOptimizerState(
  directory: string,
  layout: readonly TensorShape[],
  step: number,
  saveInto: (path: string, mOffset: number, vOffset: number) => Promise<void>,
): Promise<void> {
  const shape = [elementsOf(layout)]
  await writeFile(join(directory, FILE), async (partial) => {
    const arenas = (['m', 'v'] as const).map((name) => ({ name, shape, dtype: 'F32' as const }))
    const { offsets } = createSafetensorsFile(partial, arenas, {
      step: String(step),
      layout: fingerprint(layout),
    })
    await saveInto(partial, offsets[0]!, offsets[1]!)
  })
}

/** Whether a folder holds a run's moments beside its model. */
export function hasOptimizerState(directory: string): boolean {
  return existsSync(join(directory, FILE))
}

/** Reads and checks its header; CHECKPOINT_CORRUPT when it is missing, damaged or of a model of another shape. */
export function readOptimizerState(directory: string, layout: readonly TensorShape[]): OptimizerStateInFile {
  const path = join(directory, FILE)
  const { tensors, metadata } = readSafetensorsHeader(path)
  const [m, v] = ['m', 'v'].map((name) => tensors.get(name))
  const elements = elementsOf(layout)
  for (const [name, arena] of [['m', m] as const, ['v', v] as const]) {
    if (
      arena === undefined ||
      arena.dtype !== 'F32' ||
      arena.shape.length !== 1 ||
      arena.shape[0] !== elements
    ) {
      throw corrupt(path, `tensor "${name}" does not fit the model`, {
        expected: `F32 [${elements}]`,
        received: arena === undefined ? 'nothing' : `${arena.dtype} ${shortJson(arena.shape)}`,
      })
    }
  }
  if (metadata.get('layout') !== fingerprint(layout)) {
    throw corrupt(path, 'the moments belong to a model of another shape', {
      expected: `layout ${fingerprint(layout)}`,
      received: shortJson(metadata.get('layout')),
    })
  }
  const step = Number(metadata.get('step'))
  if (!/^\d+$/.test(metadata.get('step') ?? '') || !Number.isSafeInteger(step)) {
    throw corrupt(path, 'bad step', { expected: 'a whole number', received: shortJson(metadata.get('step')) })
  }
  return { path, mOffset: m!.offset, vOffset: v!.offset, step }
}

function elementsOf(layout: readonly TensorShape[]): number {
  return layout.reduce((sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1), 0)
}

/** Arenas are without names: what lies where follows from the tensors' names, shapes and order. */
function fingerprint(layout: readonly TensorShape[]): string {
  const text = layout.map(({ name, shape }) => `${name} ${shape.join('x')}`).join('\n')
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
