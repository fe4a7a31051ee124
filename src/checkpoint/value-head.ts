import { join } from 'node:path'
import { writeFile } from './durable-files.ts'
import { corrupt, createSafetensorsFile, readSafetensorsHeader, type TensorInFile } from './safetensors.ts'
import { shortJson } from './strict-json.ts'
import { VALUE_HEAD } from './tensor-names.ts'
import type { SaveTensors } from './write-model.ts'

const FILE = 'value_head.safetensors'

/** Writes `value_head.safetensors` beside a model whose folder stays as others expect it: `score.weight` [1, hidden], F32. */
export async function writeValueHead(
  directory: string,
  hiddenSize: number,
  saveInto: SaveTensors,
): Promise<void> {
  await writeFile(join(directory, FILE), async (partial) => {
    const shape = [1, hiddenSize]
    const { offsets } = createSafetensorsFile(partial, [{ name: VALUE_HEAD, shape, dtype: 'F32' }])
    await saveInto([{ name: VALUE_HEAD, path: partial, offset: offsets[0]!, dtype: 'f32' }])
  })
}

/** Where that head lies; CHECKPOINT_CORRUPT when it is missing or of another shape. */
export function readValueHead(directory: string, hiddenSize: number): TensorInFile {
  const path = join(directory, FILE)
  const found = readSafetensorsHeader(path).tensors.get(VALUE_HEAD)
  if (
    found?.dtype !== 'F32' ||
    found.shape.length !== 2 ||
    found.shape[0] !== 1 ||
    found.shape[1] !== hiddenSize
  ) {
    throw corrupt(path, `tensor ${shortJson(VALUE_HEAD)} does not fit the model`, {
      expected: `F32 [1, ${hiddenSize}]`,
      received: found === undefined ? 'nothing' : `${found.dtype} ${shortJson(found.shape)}`,
    })
  }
  return { name: VALUE_HEAD, path, offset: found.offset, dtype: 'f32' }
}
