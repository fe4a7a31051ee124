import { refused, requirePositive, requireSize } from './config-fields.ts'
import { isJsonObject, type JsonObject, type JsonValue, shortJson } from './strict-json.ts'

/** Rotary position embedding. The last four fields mean something for `llama3` only. */
export interface RopeConfig {
  ropeTheta: number
  ropeScaling: 'default' | 'llama3'
  ropeFactor: number
  ropeLowFreqFactor: number
  ropeHighFreqFactor: number
  ropeOriginalMaxPositions: number
}

const KEYS = {
  default: ['rope_type', 'type', 'rope_theta', 'partial_rotary_factor'],
  llama3: [
    ...[
      'rope_type',
      'type',
      'rope_theta',
      'partial_rotary_factor',
      'factor',
      'low_freq_factor',
      'high_freq_factor',
    ],
    'original_max_position_embeddings',
  ],
}

/**
 * Reads both layouts of transformers: `rope_theta` with `rope_scaling` beside it, and `rope_parameters` (from version 5)
 * with everything inside. A config that has both must say the same in both.
 */
export function ropeConfigOf(raw: JsonObject, where: string): RopeConfig {
  refusePartialRotary(raw, where)
  const layouts = (['rope_scaling', 'rope_parameters'] as const)
    .filter((field) => raw[field] != null && !isEmptyObject(raw[field]))
    .map((field) => ({ field, rope: readLayout(raw, raw[field]!, `${where}: ${field}`) }))
  if (layouts.length === 0)
    return { ...unscaled(), ropeTheta: requirePositive(raw, 'rope_theta', 10000, where) }
  const [first, second] = layouts
  if (second !== undefined && JSON.stringify(first!.rope) !== JSON.stringify(second.rope)) {
    throw refused(where, 'rope_scaling and rope_parameters contradict each other', {
      received: `${shortJson(raw.rope_scaling)} and ${shortJson(raw.rope_parameters)}`,
    })
  }
  return first!.rope
}

function readLayout(raw: JsonObject, rope: JsonValue, where: string): RopeConfig {
  if (!isJsonObject(rope)) throw refused(where, 'not an object', { received: shortJson(rope) })
  const type = rope.rope_type ?? rope.type ?? 'default'
  if (type !== 'default' && type !== 'llama3') {
    throw refused(where, 'this kind of rotary scaling is not supported', {
      expected: '"default" or "llama3"',
      received: shortJson(type),
    })
  }
  const unknown = Object.keys(rope).find((key) => rope[key] !== null && !KEYS[type].includes(key))
  if (unknown !== undefined) {
    throw refused(where, `${shortJson(unknown)} is not supported with rope_type "${type}"`, {
      received: shortJson(rope[unknown]),
    })
  }
  refusePartialRotary(rope, where)
  const ropeTheta = thetaOf(raw, rope, where)
  if (type === 'default') return { ...unscaled(), ropeTheta }
  const factor = (field: string) => {
    if (rope[field] == null) throw refused(where, `${field} is missing`)
    return requirePositive(rope, field, 1, where)
  }
  return {
    ropeTheta,
    ropeScaling: 'llama3',
    ropeFactor: factor('factor'),
    ropeLowFreqFactor: factor('low_freq_factor'),
    ropeHighFreqFactor: factor('high_freq_factor'),
    ropeOriginalMaxPositions: originalMaxPositions(raw, rope, where),
  }
}

/** The value inside the rope object comes first in transformers; two different values are refused here. */
function thetaOf(raw: JsonObject, rope: JsonObject, where: string): number {
  if (raw.rope_theta != null && rope.rope_theta != null && raw.rope_theta !== rope.rope_theta) {
    throw refused(where, 'rope_theta contradicts the rope_theta beside it', {
      received: `${shortJson(rope.rope_theta)} and ${shortJson(raw.rope_theta)}`,
    })
  }
  return requirePositive(rope.rope_theta != null ? rope : raw, 'rope_theta', 10000, where)
}

/** In the order of transformers: beside the rope object, in it, max_position_embeddings. */
function originalMaxPositions(raw: JsonObject, rope: JsonObject, where: string): number {
  const field = 'original_max_position_embeddings'
  for (const holder of [raw, rope]) {
    if (holder[field] != null) return requireSize(holder, field, where, 2 ** 31 - 1)
  }
  return requireSize(raw, 'max_position_embeddings', where, 2 ** 31 - 1)
}

function refusePartialRotary(holder: JsonObject, where: string): void {
  const factor = holder.partial_rotary_factor
  if (factor != null && factor !== 1) {
    throw refused(where, 'partial_rotary_factor is not supported', {
      expected: '1',
      received: shortJson(factor),
    })
  }
}

function isEmptyObject(value: JsonValue | undefined): boolean {
  return isJsonObject(value) && Object.keys(value).length === 0
}

function unscaled(): Omit<RopeConfig, 'ropeTheta'> {
  return {
    ropeScaling: 'default',
    ropeFactor: 1,
    ropeLowFreqFactor: 1,
    ropeHighFreqFactor: 4,
    ropeOriginalMaxPositions: 8192,
  }
}
