import { refuseUnknownKeys, requireInteger, requireNumber, requireOneOf } from '../options.ts'
import { refused } from './config-fields.ts'
import { ARCHITECTURES, MODEL_TYPES, type ModelType } from './model-types.ts'
import { type JsonObject, shortJson } from './strict-json.ts'

/** The shape of a new model. Sizes in tokens, features, layers and heads. */
export interface DefaultConfigOptions {
  /** Default `qwen3`. */
  modelType?: ModelType
  vocabSize: number
  hiddenSize: number
  numLayers: number
  numHeads: number
  /** Default `numHeads`: no grouped queries. */
  numKvHeads?: number
  /** Default `hiddenSize / numHeads`. */
  headDim?: number
  intermediateSize: number
  maxPositions: number
  /** Default 10000. */
  ropeTheta?: number
  /** Default 1e-6. */
  rmsNormEps?: number
  /** Whether the head is the embedding. Default true. */
  tieEmbeddings?: boolean
  /** Tokens that end a completion. */
  eosTokenId?: number | number[]
  bosTokenId?: number
  padTokenId?: number
}

const KNOWN = [
  ...[
    'modelType',
    'vocabSize',
    'hiddenSize',
    'numLayers',
    'numHeads',
    'numKvHeads',
    'headDim',
    'intermediateSize',
  ],
  ...['maxPositions', 'ropeTheta', 'rmsNormEps', 'tieEmbeddings', 'eosTokenId', 'bosTokenId', 'padTokenId'],
]

/**
 * The config.json of a new model, in the layout that every version of transformers reads (rope_theta beside, not inside,
 * the rope object).
 */
export function defaultConfig(options: DefaultConfigOptions): JsonObject {
  refuseUnknownKeys(options, KNOWN, 'defaultConfig')
  const size = (key: keyof DefaultConfigOptions, fallback?: number) =>
    requireInteger(options[key] ?? fallback, `defaultConfig.${key}`, 1, 2 ** 31 - 1)
  const modelType = requireOneOf(options.modelType ?? 'qwen3', 'defaultConfig.modelType', MODEL_TYPES)
  const [hiddenSize, numHeads] = [size('hiddenSize'), size('numHeads')]
  return {
    architectures: [ARCHITECTURES[modelType]],
    model_type: modelType,
    vocab_size: size('vocabSize'),
    hidden_size: hiddenSize,
    intermediate_size: size('intermediateSize'),
    num_hidden_layers: size('numLayers'),
    num_attention_heads: numHeads,
    num_key_value_heads: size('numKvHeads', numHeads),
    head_dim: size('headDim', hiddenSize / numHeads),
    max_position_embeddings: size('maxPositions'),
    rms_norm_eps: requireNumber(options.rmsNormEps ?? 1e-6, 'defaultConfig.rmsNormEps', Number.MIN_VALUE),
    rope_theta: requireNumber(options.ropeTheta ?? 10000, 'defaultConfig.ropeTheta', Number.MIN_VALUE),
    hidden_act: 'silu',
    tie_word_embeddings: options.tieEmbeddings ?? true,
    ...(modelType === 'mistral' ? { sliding_window: null } : {}),
    initializer_range: INITIALIZER_RANGE,
    torch_dtype: 'float32',
    eos_token_id: options.eosTokenId ?? null,
    bos_token_id: options.bosTokenId ?? null,
    pad_token_id: options.padTokenId ?? null,
  }
}

/** Standard deviation of a new model's parameters, the engine's and transformers' alike. */
const INITIALIZER_RANGE = 0.02

/** A config.json may ask for another initialisation than the engine's; for a new model that cannot be passed over. */
export function requireInitialisable(raw: JsonObject, where: string): void {
  const range = raw.initializer_range ?? INITIALIZER_RANGE
  if (range !== INITIALIZER_RANGE) {
    throw refused(where, 'initializer_range is not supported for a new model', {
      expected: `${INITIALIZER_RANGE}`,
      received: shortJson(range),
    })
  }
}
