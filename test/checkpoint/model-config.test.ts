import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultConfig, requireInitialisable } from '../../src/checkpoint/default-config.ts'
import { modelConfigOf } from '../../src/checkpoint/model-config.ts'
import { stopTokensOf } from '../../src/checkpoint/stop-tokens.ts'
import { type JsonObject, parseJsonObject } from '../../src/checkpoint/strict-json.ts'

const llama: JsonObject = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 100,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
}
const qwen2: JsonObject = { ...llama, model_type: 'qwen2', architectures: ['Qwen2ForCausalLM'] }
const qwen3: JsonObject = { ...llama, model_type: 'qwen3', architectures: ['Qwen3ForCausalLM'], head_dim: 24 }
const llama3Rope = {
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
}
const mistral: JsonObject = { ...llama, model_type: 'mistral', architectures: ['MistralForCausalLM'] }
const of = (raw: JsonObject) => modelConfigOf(raw, 'config.json')
const defaultRope = {
  ropeTheta: 10000,
  ropeScaling: 'default',
  ropeFactor: 1,
  ropeLowFreqFactor: 1,
  ropeHighFreqFactor: 4,
  ropeOriginalMaxPositions: 8192,
}

test('each architecture is read with the defaults of transformers', () => {
  const common = {
    vocabSize: 100,
    hiddenSize: 64,
    numLayers: 2,
    numHeads: 4,
    numKvHeads: 2,
    intermediateSize: 96,
    maxPositions: 512,
    rmsNormEps: 1e-6,
    tieEmbeddings: false,
    ...defaultRope,
  }
  assert.deepEqual(of(llama), { ...common, headDim: 16, qkvBias: false, qkNorm: false, layerWindows: [] })
  assert.deepEqual(of(qwen2), { ...common, headDim: 16, qkvBias: true, qkNorm: false, layerWindows: [] })
  assert.deepEqual(of(qwen3), { ...common, headDim: 24, qkvBias: false, qkNorm: true, layerWindows: [] })
  const { num_key_value_heads: _, ...withoutGroups } = llama
  assert.equal(of(withoutGroups).numKvHeads, 4)
  assert.equal(of({ ...qwen2, num_key_value_heads: null }).numKvHeads, 4)
  assert.equal(of({ ...llama, head_dim: null }).headDim, 16)
  assert.equal(of({ ...llama, head_dim: 40 }).headDim, 40)
})

test('a sliding window is read as transformers reads it', () => {
  const windows = (raw: JsonObject) => of(raw).layerWindows
  const sliding = { use_sliding_window: true, sliding_window: 64 }
  assert.deepEqual(windows({ ...mistral, sliding_window: 64 }), [64, 64])
  assert.deepEqual(windows({ ...mistral, sliding_window: null }), [])
  // The default of 4096 reaches behind this model's 512 positions.
  assert.deepEqual(windows(mistral), [])
  assert.deepEqual(windows({ ...mistral, max_position_embeddings: 8192 }), [4096, 4096])
  assert.deepEqual(windows({ ...qwen2, ...sliding, max_window_layers: 1 }), [0, 64])
  assert.deepEqual(windows({ ...qwen2, ...sliding, max_window_layers: 0 }), [64, 64])
  assert.deepEqual(windows({ ...qwen2, ...sliding, sliding_window: 512, max_window_layers: 0 }), [])
  // 28 layers see everything unless the file says otherwise.
  assert.deepEqual(windows({ ...qwen2, ...sliding }), [])
  assert.deepEqual(windows({ ...qwen3, ...sliding, use_sliding_window: false, max_window_layers: 0 }), [])
  const layerTypes = { layer_types: ['sliding_attention', 'full_attention'] }
  assert.deepEqual(windows({ ...qwen3, ...sliding, ...layerTypes }), [64, 0])
})

test('both layouts of the rotary fields mean the same', () => {
  const scaled = {
    ropeTheta: 5e5,
    ropeScaling: 'llama3',
    ropeFactor: 8,
    ropeLowFreqFactor: 1,
    ropeHighFreqFactor: 4,
    ropeOriginalMaxPositions: 64,
  }
  const layouts: JsonObject[] = [
    { rope_theta: 5e5, rope_scaling: { rope_type: 'llama3', ...llama3Rope } },
    { rope_theta: 5e5, rope_scaling: { type: 'llama3', ...llama3Rope } },
    { rope_parameters: { rope_type: 'llama3', rope_theta: 5e5, ...llama3Rope } },
    { rope_parameters: { rope_type: 'llama3', rope_theta: 5e5, ...llama3Rope }, rope_scaling: null },
    {
      rope_theta: 5e5,
      rope_scaling: { rope_type: 'llama3', ...llama3Rope },
      rope_parameters: { rope_type: 'llama3', rope_theta: 5e5, ...llama3Rope },
    },
  ]
  for (const layout of layouts) {
    const {
      ropeTheta,
      ropeScaling,
      ropeFactor,
      ropeLowFreqFactor,
      ropeHighFreqFactor,
      ropeOriginalMaxPositions,
    } = of({
      ...llama,
      ...layout,
    })
    assert.deepEqual(
      { ropeTheta, ropeScaling, ropeFactor, ropeLowFreqFactor, ropeHighFreqFactor, ropeOriginalMaxPositions },
      scaled,
      JSON.stringify(layout),
    )
  }
  assert.equal(of({ ...llama, rope_theta: 1e6 }).ropeTheta, 1e6)
  assert.equal(of({ ...llama, rope_parameters: { rope_type: 'default', rope_theta: 1e6 } }).ropeTheta, 1e6)
  assert.equal(of({ ...llama, rope_theta: 1e6, rope_scaling: { rope_type: 'default' } }).ropeTheta, 1e6)
  assert.equal(of({ ...llama, rope_scaling: {} }).ropeTheta, 10000)
  const { original_max_position_embeddings: _, ...withoutOriginal } = llama3Rope
  assert.equal(
    of({ ...llama, rope_scaling: { type: 'llama3', ...withoutOriginal } }).ropeOriginalMaxPositions,
    512,
  )
})

test('what a real config carries beside the model changes nothing', () => {
  const chatter: JsonObject = {
    ...{ transformers_version: '4.40.1', torch_dtype: 'bfloat16', use_cache: true, initializer_range: 0.02 },
    ...{ bos_token_id: 1, eos_token_id: [2, 3], pad_token_id: 0, attention_dropout: 0.0, hidden_act: 'silu' },
    ...{ sliding_window: 131072, use_sliding_window: false, max_window_layers: 28, use_mrope: false },
    ...{
      attention_bias: false,
      layer_types: ['full_attention', 'full_attention'],
      quantization_config: null,
    },
    ...{ do_sample: true, temperature: 0.6, rope_parameters: { rope_type: 'default', rope_theta: 10000 } },
  }
  assert.deepEqual(of({ ...qwen2, ...chatter }), of(qwen2))
  assert.deepEqual(
    of({ ...llama, mlp_bias: false, pretraining_tp: 1, partial_rotary_factor: 1.0 }),
    of(llama),
  )
})

const refusedFields: [JsonObject, RegExp][] = [
  [
    { ...llama, model_type: 'mixtral' },
    /model_type is not supported.*llama, mistral, qwen2, qwen3.*"mixtral"/,
  ],
  [{ ...llama, model_type: 'qwen3_moe' }, /model_type/],
  [{ ...llama, model_type: '__proto__' }, /model_type/],
  [{ ...llama, architectures: ['LlamaForSequenceClassification'] }, /architectures/],
  [{ ...llama, attention_bias: true }, /"attention_bias".*output projection/],
  [{ ...qwen3, attention_bias: true }, /"attention_bias"/],
  [{ ...llama, mlp_bias: true }, /"mlp_bias"/],
  [{ ...llama, hidden_act: 'gelu' }, /"hidden_act".*"silu".*"gelu"/],
  [{ ...llama, quantization_config: { quant_method: 'gptq' } }, /"quantization_config".*F32, BF16 or F16/],
  [{ ...llama, num_experts: 8 }, /"num_experts"/],
  [{ ...llama, num_local_experts: 8 }, /"num_local_experts"/],
  [{ ...llama, auto_map: { AutoModel: 'x.py' } }, /"auto_map"/],
  [{ ...llama, attention_dropout: 0.1 }, /"attention_dropout"/],
  [{ ...llama, sliding_window: 4096 }, /"sliding_window"/],
  [{ ...llama, logit_softcapping: 30 }, /"logit_softcapping"/],
  [{ ...llama, use_sliding_window: true }, /"use_sliding_window"/],
  [{ ...llama, layer_types: ['full_attention', 'full_attention'] }, /"layer_types"/],
  [{ ...mistral, layer_types: ['full_attention', 'sliding_attention'] }, /"layer_types"/],
  [{ ...mistral, sliding_window: 0 }, /bad sliding_window/],
  [{ ...mistral, sliding_window: 1.5 }, /bad sliding_window/],
  [{ ...qwen2, use_sliding_window: true, sliding_window: '64' }, /bad sliding_window/],
  [{ ...qwen2, use_sliding_window: true, sliding_window: 64, max_window_layers: '1' }, /max_window_layers/],
  [{ ...qwen3, layer_types: ['full_attention', 'sliding_attention'] }, /layer_types/],
  [{ ...qwen3, layer_types: ['full_attention'] }, /layer_types/],
  [{ ...llama, partial_rotary_factor: 0.5 }, /partial_rotary_factor/],
  [
    { ...llama, rope_parameters: { rope_type: 'default', partial_rotary_factor: 0.5 } },
    /partial_rotary_factor/,
  ],
  [{ ...llama, rope_scaling: { type: 'linear', factor: 2 } }, /rope_scaling.*rotary scaling.*"linear"/],
  [{ ...llama, rope_scaling: { rope_type: 'yarn', factor: 2 } }, /"yarn"/],
  [{ ...llama, rope_scaling: { factor: 2 } }, /"factor" is not supported with rope_type "default"/],
  [{ ...llama, rope_scaling: { type: 'llama3', ...llama3Rope, factor: 0 } }, /bad factor/],
  [{ ...llama, rope_scaling: { type: 'llama3', factor: 8 } }, /low_freq_factor is missing/],
  [{ ...llama, rope_scaling: { type: 'llama3', ...llama3Rope, attention_factor: 2 } }, /"attention_factor"/],
  [{ ...llama, rope_scaling: [2] }, /rope_scaling: not an object/],
  [{ ...llama, rope_theta: 2e4, rope_parameters: { rope_theta: 1e4 } }, /contradicts/],
  [
    { ...llama, rope_scaling: { type: 'llama3', ...llama3Rope }, rope_parameters: { rope_type: 'default' } },
    /contradict each other/,
  ],
  [{ ...llama, rope_theta: -1 }, /rope_theta/],
  [{ ...llama, rms_norm_eps: '1e-6' }, /rms_norm_eps/],
  [{ ...llama, vocab_size: 0 }, /vocab_size/],
  [{ ...llama, hidden_size: 2 ** 31 }, /hidden_size/],
  [{ ...llama, hidden_size: 64.5 }, /hidden_size/],
  [{ ...llama, num_hidden_layers: 1e9 }, /num_hidden_layers/],
  [{ ...llama, num_key_value_heads: 3 }, /not a multiple of num_key_value_heads/],
  [{ ...llama, num_attention_heads: 6, num_key_value_heads: 6 }, /head_dim is not given/],
  [{ ...llama, tie_word_embeddings: 'yes' }, /tie_word_embeddings/],
  [without(qwen2, 'num_key_value_heads'), /num_key_value_heads/],
  [without(qwen3, 'head_dim'), /head_dim/],
  [without(llama, 'max_position_embeddings'), /max_position_embeddings/],
]
function without(raw: JsonObject, field: string): JsonObject {
  return Object.fromEntries(Object.entries(raw).filter(([key]) => key !== field))
}

for (const [raw, message] of refusedFields) {
  test(`a config is refused by name: ${message.source}`, () => {
    assert.throws(
      () => of(raw),
      (error: Error & { code: string }) => {
        assert.equal(error.code, 'INVALID_ARGUMENT')
        assert.match(error.message, message)
        assert.ok(error.message.startsWith('config.json'), error.message)
        return true
      },
    )
  })
}

test('a field that hides in the prototype is not read', () => {
  const hidden = parseJsonObject(Buffer.from('{"__proto__":{"model_type":"llama"}}'), 'config.json')
  assert.throws(() => of(hidden), /model_type is not supported.*nothing/)
})

test('stop tokens come from generation_config.json, else config.json, as a number or a list', () => {
  const stop = (config: JsonObject, generation?: JsonObject) => stopTokensOf(config, generation, 10, 'folder')
  assert.deepEqual(stop({ eos_token_id: 2 }), [2])
  assert.deepEqual(stop({ eos_token_id: 2 }, { eos_token_id: [3, 4, 3] }), [3, 4])
  assert.deepEqual(stop({ eos_token_id: 2 }, { eos_token_id: null }), [2])
  assert.deepEqual(stop({ eos_token_id: 0 }, {}), [0])
  assert.deepEqual(stop({}), [])
  for (const bad of [10, -1, 1.5, '2', [2, null]])
    assert.throws(() => stop({ eos_token_id: bad }), /eos_token_id/)
})

test('a default config is read back as asked for', () => {
  const sizes = {
    vocabSize: 265,
    hiddenSize: 64,
    numLayers: 3,
    numHeads: 4,
    intermediateSize: 256,
    maxPositions: 32,
  }
  const config = of(defaultConfig(sizes))
  assert.equal(config.numKvHeads, 4)
  assert.equal(config.headDim, 16)
  assert.equal(config.qkNorm, true)
  assert.equal(config.tieEmbeddings, true)
  const other = of(
    defaultConfig({ ...sizes, modelType: 'qwen2', numKvHeads: 2, headDim: 24, tieEmbeddings: false }),
  )
  assert.deepEqual(
    [other.numKvHeads, other.headDim, other.qkvBias, other.tieEmbeddings],
    [2, 24, true, false],
  )
  assert.throws(() => defaultConfig({ ...sizes, numHeads: 3 }), /headDim/)
  assert.throws(() => defaultConfig({ ...sizes, layers: 3 } as never), /unknown option 'layers'/)
  assert.throws(() => requireInitialisable({ initializer_range: 0.1 }, 'config.json'), /initializer_range/)
  requireInitialisable(defaultConfig(sizes), 'config.json')
})
