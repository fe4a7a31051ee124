import { refused } from './config-fields.ts'
import { type JsonObject, type JsonValue, shortJson } from './strict-json.ts'

/**
 * The tokens that end a completion: `eos_token_id` of generation_config.json where it names any, else that of config.json;
 * a number, a list or nothing. INVALID_ARGUMENT unless they are in the vocabulary.
 */
export function stopTokensOf(
  config: JsonObject,
  generationConfig: JsonObject | undefined,
  vocabSize: number,
  where: string,
): number[] {
  const value: JsonValue = generationConfig?.eos_token_id ?? config.eos_token_id ?? []
  const tokens = Array.isArray(value) ? value : [value]
  for (const token of tokens) {
    if (typeof token !== 'number' || !Number.isInteger(token) || token < 0 || token >= vocabSize) {
      throw refused(where, 'bad eos_token_id', {
        expected: `token ids from 0 to ${vocabSize - 1}`,
        received: shortJson(value),
      })
    }
  }
  return [...new Set(tokens as number[])]
}
