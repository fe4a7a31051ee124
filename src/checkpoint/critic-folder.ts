import { join } from 'node:path'
import { type ModelConfig, modelConfigOf } from './model-config.ts'
import { findModelTensors } from './model-tensors.ts'
import type { TensorInFile } from './safetensors.ts'
import { type JsonObject, readJsonObject } from './strict-json.ts'

const LANGUAGE_MODEL = /ForCausalLM$/
const CLASSIFIER = /ForSequenceClassification$/

/** A model to make a critic of, or a critic that was saved; bodies of tensors are not read yet. */
export interface CriticFolder {
  config: ModelConfig
  /** Of the language model that the critic shares its transformer with. */
  rawConfig: JsonObject
  /** Without `score.weight` where the folder has none. */
  tensors: TensorInFile[]
}

/** Reads the folder of a language model, whose head is passed over, or of a critic. Errors as those of `readModelFolder`. */
export function readCriticFolder(directory: string): CriticFolder {
  const path = join(directory, 'config.json')
  const rawConfig = renamed(readJsonObject(path), CLASSIFIER, 'ForCausalLM')
  delete rawConfig.id2label
  delete rawConfig.label2id
  const config = modelConfigOf(rawConfig, path)
  return { config, rawConfig, tensors: findModelTensors(directory, config, 'value').tensors }
}

/** config.json of a critic: Hugging Face's model for sequence classification with one label, whose head is `score.weight`. */
export function criticConfigOf(rawConfig: JsonObject): JsonObject {
  const config = renamed(rawConfig, LANGUAGE_MODEL, 'ForSequenceClassification')
  return { ...config, id2label: { 0: 'LABEL_0' }, label2id: { LABEL_0: 0 } }
}

function renamed(rawConfig: JsonObject, ending: RegExp, to: string): JsonObject {
  const { architectures } = rawConfig
  if (!Array.isArray(architectures)) return { ...rawConfig }
  const names = architectures.map((name) => (typeof name === 'string' ? name.replace(ending, to) : name))
  return { ...rawConfig, architectures: names }
}
