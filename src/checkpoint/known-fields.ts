import { refused } from './config-fields.ts'
import { type JsonObject, type JsonValue, shortJson } from './strict-json.ts'

// What becomes of each field of a config.json. A field that stands in none of these lists is refused by name, unless it is
// null: a reader that passes over what it does not know computes another model than the one that was meant.

/** Read by model-config.ts, rope-config.ts and stop-tokens.ts. */
const HONOURED = [
  'model_type architectures vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads',
  'num_key_value_heads head_dim max_position_embeddings rms_norm_eps tie_word_embeddings',
  'rope_theta rope_scaling rope_parameters original_max_position_embeddings partial_rotary_factor',
  'eos_token_id',
]

/** Nothing that is computed here depends on them: book-keeping, padding, other heads, initialisation, generation defaults. */
const WITHOUT_EFFECT = [
  'transformers_version torch_dtype dtype _name_or_path name_or_path _commit_hash use_cache initializer_range',
  'bos_token_id pad_token_id sep_token_id unk_token_id decoder_start_token_id tokenizer_class task_specific_params prefix',
  'pretraining_tp torchscript use_bfloat16 tf_legacy_loss gradient_checkpointing finetuning_task pruned_heads',
  'return_dict use_return_dict output_attentions output_hidden_states output_scores chunk_size_feed_forward',
  'attn_implementation _attn_implementation _attn_implementation_autoset id2label label2id num_labels problem_type',
  'max_length min_length max_new_tokens do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature',
  'top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size',
  'bad_words_ids num_return_sequences return_dict_in_generate forced_bos_token_id forced_eos_token_id',
  'remove_invalid_values exponential_decay_length_penalty suppress_tokens begin_suppress_tokens',
  'unsloth_version unsloth_fixed transformers.js_config is_llama_config max_sequence_length',
]

/** Honoured by having only these values; any other is refused. */
const ONLY: Record<string, readonly JsonValue[]> = {
  hidden_act: ['silu', 'swish'],
  attention_bias: [false],
  mlp_bias: [false],
  attention_dropout: [0],
  is_decoder: [true, false],
  is_encoder_decoder: [false],
  add_cross_attention: [false],
  tie_encoder_decoder: [false],
  use_mrope: [false],
  rope_interleaved: [false],
  use_sliding_window: [false],
}

const WHY: Record<string, string> = {
  attention_bias: 'the output projection would carry a bias',
  quantization_config: 'parameters must be F32, BF16 or F16',
  auto_map: 'code from a model folder is never run',
  attention_dropout: 'training is without dropout',
}

const PASSED_OVER = new Set([...HONOURED, ...WITHOUT_EFFECT].flatMap((line) => line.split(' ')))
// Read by layer-windows.ts.
const SLIDING_WINDOW_FIELDS: Readonly<Record<string, readonly string[]>> = {
  mistral: ['sliding_window'],
  qwen2: ['sliding_window', 'use_sliding_window', 'max_window_layers', 'layer_types'],
  qwen3: ['sliding_window', 'use_sliding_window', 'max_window_layers', 'layer_types'],
}

/** Refuses a config.json (INVALID_ARGUMENT, by the field's name) that holds more than is honoured. */
export function refuseUnknownFields(raw: JsonObject, modelType: string, where: string): void {
  for (const [field, value] of Object.entries(raw)) {
    if (value === null || PASSED_OVER.has(field)) continue
    if (SLIDING_WINDOW_FIELDS[modelType]?.includes(field)) continue
    const allowed = Object.hasOwn(ONLY, field) ? ONLY[field]! : undefined
    if (allowed?.includes(value)) continue
    const why = Object.hasOwn(WHY, field) ? ` (${WHY[field]})` : ''
    throw refused(where, `field ${shortJson(field)} is not supported${why}`, {
      expected:
        allowed === undefined
          ? 'no such field; remove it if the model is the same without it'
          : allowed.map((entry) => JSON.stringify(entry)).join(' or '),
      received: shortJson(value),
    })
  }
}
