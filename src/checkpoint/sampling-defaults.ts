import { refused } from './config-fields.ts'
import { type JsonObject, type JsonValue, shortJson } from './strict-json.ts'

/** What generation_config.json says of sampling; a field that it does not name is absent. */
export interface SamplingDefaults {
  /** 0 where `do_sample` is false. */
  temperature?: number
  topP?: number
  topK?: number
  minP?: number
  /** Fields that change what is sampled and that the sampler has no counterpart for, as `name value`. */
  unsupported: string[]
}

type NumberName = Exclude<keyof SamplingDefaults, 'unsupported'>

const NUMBERS: readonly [field: string, name: NumberName, isValid: (value: number) => boolean][] = [
  ['temperature', 'temperature', (value) => value >= 0],
  ['top_p', 'topP', (value) => value >= 0 && value <= 1],
  ['top_k', 'topK', (value) => Number.isInteger(value) && value >= 0],
  ['min_p', 'minP', (value) => value >= 0 && value <= 1],
]

/** Values under which a field does nothing; any other makes it unsupported. `null` always does nothing. */
const NEUTRAL: Readonly<Record<string, readonly JsonValue[]>> = {
  repetition_penalty: [1],
  encoder_repetition_penalty: [1],
  typical_p: [1],
  top_h: [],
  epsilon_cutoff: [0],
  eta_cutoff: [0],
  no_repeat_ngram_size: [0],
  penalty_alpha: [0],
  diversity_penalty: [0],
  num_beams: [1],
  num_beam_groups: [1],
  min_length: [0],
  min_new_tokens: [0],
  bad_words_ids: [],
  sequence_bias: [],
  suppress_tokens: [],
  begin_suppress_tokens: [],
  forced_bos_token_id: [],
  forced_eos_token_id: [],
  exponential_decay_length_penalty: [],
  guidance_scale: [1],
}

/** Reads the fields of transformers' GenerationConfig that decide how tokens are drawn. INVALID_ARGUMENT names a bad one. */
export function samplingDefaultsOf(generationConfig: JsonObject, where: string): SamplingDefaults {
  const defaults: SamplingDefaults = { unsupported: [] }
  for (const [field, name, isValid] of NUMBERS) {
    const value = generationConfig[field] ?? undefined
    if (value === undefined) continue
    if (typeof value !== 'number' || !isValid(value)) {
      throw refused(where, `bad ${field}`, { expected: 'a number in its range', received: shortJson(value) })
    }
    defaults[name] = value
  }
  // Without `do_sample` transformers takes the likeliest token, whatever else stands there.
  if (generationConfig.do_sample === false) defaults.temperature = 0
  for (const [field, neutral] of Object.entries(NEUTRAL)) {
    const value = generationConfig[field] ?? null
    if (value !== null && !neutral.includes(value)) defaults.unsupported.push(`${field} ${shortJson(value)}`)
  }
  return defaults
}
