import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type ModelConfig, modelConfigOf } from './checkpoint/model-config.ts'
import { findModelTensors } from './checkpoint/model-tensors.ts'
import type { TensorInFile } from './checkpoint/safetensors.ts'
import { type SamplingDefaults, samplingDefaultsOf } from './checkpoint/sampling-defaults.ts'
import { stopTokensOf } from './checkpoint/stop-tokens.ts'
import { type JsonObject, readJsonObject } from './checkpoint/strict-json.ts'

export { criticConfigOf, readCriticFolder } from './checkpoint/critic-folder.ts'
export {
  type DefaultConfigOptions,
  defaultConfig,
  requireInitialisable,
} from './checkpoint/default-config.ts'
export { requireWritableFolder } from './checkpoint/durable-files.ts'
export { type ModelConfig, modelConfigOf } from './checkpoint/model-config.ts'
export {
  hasOptimizerState,
  type OptimizerStateInFile,
  readOptimizerState,
  writeOptimizerState,
} from './checkpoint/optimizer-state.ts'
export type { FileDtype, TensorInFile } from './checkpoint/safetensors.ts'
export { readSafetensorsHeader } from './checkpoint/safetensors.ts'
export type { SamplingDefaults } from './checkpoint/sampling-defaults.ts'
export type { JsonObject, JsonValue } from './checkpoint/strict-json.ts'
export { readJsonObject } from './checkpoint/strict-json.ts'
export {
  type Heads,
  requireSameShape,
  type TensorShape,
  tensorShapesOf,
  VALUE_HEAD,
} from './checkpoint/tensor-names.ts'
export { readValueHead, writeValueHead } from './checkpoint/value-head.ts'
export {
  type SaveTensors,
  type WriteModelOptions,
  writeGradients,
  writeModelFolder,
} from './checkpoint/write-model.ts'

/** A model in Hugging Face layout, checked in full; bodies of tensors are not read yet. */
export interface ModelFolder {
  path: string
  config: ModelConfig
  /** config.json as it stands, to be written back with the model. */
  rawConfig: JsonObject
  /** One for each tensor of the model, in the order of the engine's layout. */
  tensors: TensorInFile[]
  /** Tensors in the files that the model does without, by name. */
  ignoredTensors: string[]
  /** Tokens that end a completion; empty when the folder names none. */
  stopTokens: number[]
  /** How generation_config.json would have the model sampled; nothing follows from it unless it is asked for. */
  samplingDefaults: SamplingDefaults
  /** tokenizer.json, where there is one. */
  tokenizerPath: string | undefined
}

/**
 * Reads config.json, generation_config.json and the headers of model.safetensors or of the shards that
 * model.safetensors.index.json names. INVALID_ARGUMENT names a field of the config that is not supported;
 * CHECKPOINT_CORRUPT names the file and tensor that cannot be trusted, what was expected and what was found.
 */
export function readModelFolder(directory: string): ModelFolder {
  const configPath = join(directory, 'config.json')
  const rawConfig = readJsonObject(configPath)
  const config = modelConfigOf(rawConfig, configPath)
  const generationPath = join(directory, 'generation_config.json')
  const generationConfig = existsSync(generationPath) ? readJsonObject(generationPath) : undefined
  const { tensors, ignored } = findModelTensors(directory, config)
  const tokenizerPath = join(directory, 'tokenizer.json')
  return {
    path: directory,
    config,
    rawConfig,
    tensors,
    ignoredTensors: ignored,
    stopTokens: stopTokensOf(rawConfig, generationConfig, config.vocabSize, directory),
    samplingDefaults: samplingDefaultsOf(generationConfig ?? {}, generationPath),
    tokenizerPath: existsSync(tokenizerPath) ? tokenizerPath : undefined,
  }
}
