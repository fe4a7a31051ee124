import { copyFileSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { refuseUnknownKeys, requireInteger, requireOneOf } from '../options.ts'
import { COMPANION_FILES } from './companion-files.ts'
import { writeFile, writeFolder } from './durable-files.ts'
import { modelConfigOf } from './model-config.ts'
import { createSafetensorsFile, type TensorInFile } from './safetensors.ts'
import type { JsonObject } from './strict-json.ts'
import type { TensorShape } from './tensor-names.ts'

/** Writes the bodies of tensors into existing files at the offsets given: the engine's part. */
export type SaveTensors = (tensors: TensorInFile[]) => Promise<void>

export interface WriteModelOptions {
  /** `f32` keeps the masters to the last bit; `bf16` is for shipping a model. Default `f32`. */
  dtype?: 'f32' | 'bf16'
  /** Largest file; a model that is longer is cut into shards with an index. Default 5 GB. */
  shardBytes?: number
  /** What config.json is to say, where that is another model around the same transformer. Default: `rawConfig`. */
  writtenConfig?: JsonObject
  /** A folder whose tokenizer and generation_config.json belong to the model too. */
  copyTokenizerFrom?: string
  /** Whether a model folder of this name may be replaced. Default false: INVALID_ARGUMENT unless new or empty. */
  overwrite?: boolean
  /** Writes further files into the folder before it takes its name, so that all appear at once. */
  alongside?: (directory: string) => Promise<void>
}

const KNOWN = ['dtype', 'shardBytes', 'writtenConfig', 'copyTokenizerFrom', 'overwrite', 'alongside']

/**
 * Writes a model in Hugging Face layout: config.json, model.safetensors (or shards with an index), tokenizer files. The
 * folder appears complete and on the disk, or not at all.
 */
export async function writeModelFolder(
  directory: string,
  rawConfig: JsonObject,
  layout: readonly TensorShape[],
  saveInto: SaveTensors,
  options: WriteModelOptions = {},
): Promise<void> {
  refuseUnknownKeys(options, KNOWN, 'writeModelFolder')
  const dtype = requireOneOf(options.dtype ?? 'f32', 'writeModelFolder.dtype', ['f32', 'bf16'])
  const shardBytes = requireInteger(options.shardBytes ?? 5e9, 'writeModelFolder.shardBytes', 1)
  modelConfigOf(rawConfig, 'writeModelFolder: config')
  await writeFolder(directory, options.overwrite ?? false, async (partial) => {
    writeJson(join(partial, 'config.json'), withDtype(options.writtenConfig ?? rawConfig, dtype))
    if (options.copyTokenizerFrom !== undefined) copyCompanions(options.copyTokenizerFrom, partial)
    await saveInto(createModelFiles(partial, layout, dtype, shardBytes))
    await options.alongside?.(partial)
  })
}

/** Writes gradients as one safetensors file in F32, under the tensors' Hugging Face names. */
export async function writeGradients(
  path: string,
  layout: readonly TensorShape[],
  saveInto: SaveTensors,
): Promise<void> {
  await writeFile(path, async (partial) => saveInto(createFile(partial, layout, 'f32')))
}

function createModelFiles(
  directory: string,
  layout: readonly TensorShape[],
  dtype: 'f32' | 'bf16',
  shardBytes: number,
): TensorInFile[] {
  const shards = cutIntoShards(layout, dtype, shardBytes)
  if (shards.length === 1) return createFile(join(directory, 'model.safetensors'), layout, dtype)
  const number = (n: number) => String(n).padStart(5, '0')
  const weightMap: [string, string][] = []
  const tensors = shards.flatMap((shard, i) => {
    const file = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`
    for (const { name } of shard) weightMap.push([name, file])
    return createFile(join(directory, file), shard, dtype)
  })
  const totalSize = layout.reduce((sum, tensor) => sum + bytesOf(tensor, dtype), 0)
  writeJson(join(directory, 'model.safetensors.index.json'), {
    metadata: { total_size: totalSize },
    weight_map: Object.fromEntries(weightMap),
  })
  return tensors
}

function cutIntoShards(
  layout: readonly TensorShape[],
  dtype: 'f32' | 'bf16',
  shardBytes: number,
): TensorShape[][] {
  const shards: TensorShape[][] = [[]]
  let filled = 0
  for (const tensor of layout) {
    const bytes = bytesOf(tensor, dtype)
    if (filled > 0 && filled + bytes > shardBytes) {
      shards.push([])
      filled = 0
    }
    shards.at(-1)!.push(tensor)
    filled += bytes
  }
  return shards
}

function createFile(path: string, layout: readonly TensorShape[], dtype: 'f32' | 'bf16'): TensorInFile[] {
  const fileDtype = dtype === 'f32' ? 'F32' : 'BF16'
  const { offsets } = createSafetensorsFile(
    path,
    layout.map(({ name, shape }) => ({ name, shape, dtype: fileDtype })),
  )
  return layout.map(({ name }, i) => ({ name, path, offset: offsets[i]!, dtype }))
}

function bytesOf({ shape }: TensorShape, dtype: 'f32' | 'bf16'): number {
  return shape.reduce((product, size) => product * size, dtype === 'f32' ? 4 : 2)
}

/** `dtype` is the field's name since transformers 4.56, `torch_dtype` the one that all versions read. */
function withDtype(rawConfig: JsonObject, dtype: 'f32' | 'bf16'): JsonObject {
  const field = rawConfig.dtype === undefined ? 'torch_dtype' : 'dtype'
  const { torch_dtype: _old, ...rest } = rawConfig
  return { ...rest, [field]: dtype === 'f32' ? 'float32' : 'bfloat16' }
}

function copyCompanions(from: string, to: string): void {
  for (const name of COMPANION_FILES) {
    if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name))
  }
}

function writeJson(path: string, value: JsonObject): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`)
}
