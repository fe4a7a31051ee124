import { CoppiceError } from '../errors.ts'
import type { ModelConfig } from './model-config.ts'

export interface TensorShape {
  /** Hugging Face name. */
  name: string
  shape: readonly number[]
}

/** What reads the final hidden states: a head over the vocabulary, a value head, or both. */
export type Heads = 'tokens' | 'value' | 'tokens-and-value'

/** Every tensor of a model, in the order of the engine's layout. Shapes are [rows, columns] or [columns]. */
export function tensorShapesOf(config: ModelConfig, heads: Heads = 'tokens'): TensorShape[] {
  const hidden = config.hiddenSize
  const queries = config.numHeads * config.headDim
  const keys = config.numKvHeads * config.headDim
  const shapes: TensorShape[] = [{ name: EMBEDDING, shape: [config.vocabSize, hidden] }]
  for (let layer = 0; layer < config.numLayers; layer++) {
    const add = (name: string, ...shape: number[]) =>
      shapes.push({ name: `model.layers.${layer}.${name}`, shape })
    add('input_layernorm.weight', hidden)
    add('self_attn.q_proj.weight', queries, hidden)
    add('self_attn.k_proj.weight', keys, hidden)
    add('self_attn.v_proj.weight', keys, hidden)
    if (config.qkvBias) {
      add('self_attn.q_proj.bias', queries)
      add('self_attn.k_proj.bias', keys)
      add('self_attn.v_proj.bias', keys)
    }
    if (config.qkNorm) {
      add('self_attn.q_norm.weight', config.headDim)
      add('self_attn.k_norm.weight', config.headDim)
    }
    add('self_attn.o_proj.weight', hidden, queries)
    add('post_attention_layernorm.weight', hidden)
    add('mlp.gate_proj.weight', config.intermediateSize, hidden)
    add('mlp.up_proj.weight', config.intermediateSize, hidden)
    add('mlp.down_proj.weight', hidden, config.intermediateSize)
  }
  shapes.push({ name: 'model.norm.weight', shape: [hidden] })
  if (!config.tieEmbeddings && heads !== 'value')
    shapes.push({ name: HEAD, shape: [config.vocabSize, hidden] })
  if (heads !== 'tokens') shapes.push({ name: VALUE_HEAD, shape: [1, hidden] })
  return shapes
}

export const EMBEDDING = 'model.embed_tokens.weight'
export const HEAD = 'lm_head.weight'
/** Hugging Face's name for the head of a model for sequence classification, here with one label: the value. */
export const VALUE_HEAD = 'score.weight'

/** Tables that old checkpoints store although they follow from config.json; transformers passes over them too. */
export function isDerivedTensor(name: string): boolean {
  return /^model\.(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq$/.test(name)
}

/** Refuses to read the parameters of another model into one of this layout. CHECKPOINT_CORRUPT. */
export function requireSameShape(
  layout: readonly TensorShape[],
  found: readonly TensorShape[],
  where: string,
): void {
  const text = (tensors: readonly TensorShape[]) =>
    tensors.map(({ name, shape }) => `${name} [${shape.join(', ')}]`)
  const [expected, received] = [text(layout), text(found)]
  const i = Array.from({ length: Math.max(expected.length, received.length) }).findIndex(
    (_, at) => expected[at] !== received[at],
  )
  if (i === -1) return
  throw new CoppiceError('CHECKPOINT_CORRUPT', 'a model of another shape', {
    where,
    expected: expected[i] ?? 'no further tensor',
    received: received[i] ?? 'no further tensor',
  })
}
