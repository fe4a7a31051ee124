import { refused, requireBoolean, requirePositive, requireSize } from './config-fields.ts'
import { refuseUnknownFields } from './known-fields.ts'
import { layerWindowsOf } from './layer-windows.ts'
import { ARCHITECTURES, MODEL_TYPES, type ModelType } from './model-types.ts'
import { type RopeConfig, ropeConfigOf } from './rope-config.ts'
import { type JsonObject, shortJson } from './strict-json.ts'

/** The shape of a model as the engine knows it (native/engine/model_config.h). */
export interface ModelConfig extends RopeConfig {
  vocabSize: number
  hiddenSize: number
  numLayers: number
  numHeads: number
  numKvHeads: number
  headDim: number
  intermediateSize: number
  maxPositions: number
  rmsNormEps: number
  qkvBias: boolean
  qkNorm: boolean
  tieEmbeddings: boolean
  /** Keys that a query sees in each layer, its own included, 0 = all; empty = all in every layer. */
  layerWindows: number[]
}

const MAX_SIZE = 2 ** 31 - 1
/** More is a damaged file, and would make lists of tensors that do not fit in memory. */
const MAX_LAYERS = 4096

/**
 * Turns a Hugging Face config.json into a ModelConfig. Every field is honoured, known to change nothing here, or refused
 * by name with INVALID_ARGUMENT. Defaults are those of transformers, except where that default (32 key/value heads of
 * qwen2 and qwen3, 8 of mistral, head_dim 128 of qwen3) would be a guess about somebody's model: such fields must be present.
 */
export function modelConfigOf(raw: JsonObject, where: string): ModelConfig {
  const modelType = modelTypeOf(raw, where)
  refuseUnknownFields(raw, modelType, where)
  const size = (field: string, max = MAX_SIZE) => requireSize(raw, field, where, max)
  const numHeads = size('num_attention_heads')
  const hiddenSize = size('hidden_size')
  const numLayers = size('num_hidden_layers', MAX_LAYERS)
  const maxPositions = size('max_position_embeddings')
  const config: ModelConfig = {
    vocabSize: size('vocab_size'),
    hiddenSize,
    numLayers,
    numHeads,
    numKvHeads: numKvHeadsOf(raw, modelType, numHeads, where),
    headDim: headDimOf(raw, modelType, hiddenSize, numHeads, where),
    intermediateSize: size('intermediate_size'),
    maxPositions,
    rmsNormEps: requirePositive(raw, 'rms_norm_eps', 1e-6, where),
    ...ropeConfigOf(raw, where),
    qkvBias: modelType === 'qwen2',
    qkNorm: modelType === 'qwen3',
    tieEmbeddings: requireBoolean(raw, 'tie_word_embeddings', false, where),
    layerWindows: layerWindowsOf(raw, modelType, numLayers, maxPositions, where),
  }
  if (config.numHeads % config.numKvHeads !== 0) {
    throw refused(where, 'num_attention_heads is not a multiple of num_key_value_heads', {
      received: `${config.numHeads} and ${config.numKvHeads}`,
    })
  }
  return config
}

/** The architecture that a config.json names; INVALID_ARGUMENT unless it is one that coppice implements. */
export function modelTypeOf(raw: JsonObject, where: string): ModelType {
  const modelType = raw.model_type
  if (typeof modelType !== 'string' || !(MODEL_TYPES as readonly string[]).includes(modelType)) {
    throw refused(where, 'model_type is not supported', {
      expected: `one of ${MODEL_TYPES.join(', ')}`,
      received: shortJson(modelType),
    })
  }
  const { architectures } = raw
  if (architectures != null) {
    const expected = ARCHITECTURES[modelType as ModelType]
    if (!Array.isArray(architectures) || !architectures.includes(expected)) {
      throw refused(where, 'architectures does not name a causal language model of this model_type', {
        expected: `["${expected}"]`,
        received: shortJson(architectures),
      })
    }
  }
  return modelType as ModelType
}

function numKvHeadsOf(raw: JsonObject, modelType: ModelType, numHeads: number, where: string): number {
  const absent = raw.num_key_value_heads === undefined
  if (raw.num_key_value_heads === null || (absent && modelType === 'llama')) return numHeads
  return requireSize(raw, 'num_key_value_heads', where, MAX_SIZE)
}

function headDimOf(
  raw: JsonObject,
  modelType: ModelType,
  hiddenSize: number,
  numHeads: number,
  where: string,
): number {
  if (raw.head_dim != null || modelType === 'qwen3') return requireSize(raw, 'head_dim', where, MAX_SIZE)
  if (hiddenSize % numHeads !== 0) {
    throw refused(where, 'hidden_size is not a multiple of num_attention_heads and head_dim is not given', {
      received: `${hiddenSize} and ${numHeads}`,
    })
  }
  return hiddenSize / numHeads
}
