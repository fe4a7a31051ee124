import { refused, requireBoolean } from './config-fields.ts'
import type { ModelType } from './model-types.ts'
import { type JsonObject, shortJson } from './strict-json.ts'

/** What transformers takes where a config.json does not say. */
const DEFAULT_WINDOW = 4096
const DEFAULT_FIRST_SLIDING_LAYER = 28

/**
 * How many keys a query sees in each layer, its own included: 0 where it sees all. Empty where no layer has a window that is
 * shorter than the model is long. As transformers reads it: mistral slides in every layer, qwen2 and qwen3 behind
 * `use_sliding_window`, in the layers that `layer_types` names or from `max_window_layers` on.
 */
export function layerWindowsOf(
  raw: JsonObject,
  modelType: ModelType,
  numLayers: number,
  maxPositions: number,
  where: string,
): number[] {
  const window = windowOf(raw, modelType, where)
  const slides = slidingLayersOf(raw, modelType, numLayers, window, where)
  if (window === undefined || window >= maxPositions || !slides.includes(true)) return []
  return slides.map((slide) => (slide ? window : 0))
}

function windowOf(raw: JsonObject, modelType: ModelType, where: string): number | undefined {
  if (modelType === 'llama') return undefined
  if (modelType !== 'mistral' && !requireBoolean(raw, 'use_sliding_window', false, where)) return undefined
  const window = raw.sliding_window === undefined ? DEFAULT_WINDOW : raw.sliding_window
  if (window === null) return undefined
  if (typeof window !== 'number' || !Number.isInteger(window) || window < 1) {
    throw refused(where, 'bad sliding_window', {
      expected: 'a whole number from 1, or null',
      received: shortJson(window),
    })
  }
  return window
}

function slidingLayersOf(
  raw: JsonObject,
  modelType: ModelType,
  numLayers: number,
  window: number | undefined,
  where: string,
): boolean[] {
  const types = raw.layer_types
  if (types != null && (modelType === 'qwen2' || modelType === 'qwen3')) {
    const allowed = window === undefined ? ['full_attention'] : ['full_attention', 'sliding_attention']
    const known = Array.isArray(types) && types.every((type) => allowed.includes(type as string))
    if (!known || types.length !== numLayers) {
      throw refused(where, 'layer_types is not supported', {
        expected: `${allowed.map((type) => `"${type}"`).join(' or ')} for each of ${numLayers} layers`,
        received: shortJson(types),
      })
    }
    return types.map((type) => type === 'sliding_attention')
  }
  if (modelType === 'mistral') return Array<boolean>(numLayers).fill(true)
  const first = raw.max_window_layers ?? DEFAULT_FIRST_SLIDING_LAYER
  if (typeof first !== 'number' || !Number.isInteger(first)) {
    throw refused(where, 'bad max_window_layers', { expected: 'a whole number', received: shortJson(first) })
  }
  return Array.from({ length: numLayers }, (_, layer) => layer >= first)
}
