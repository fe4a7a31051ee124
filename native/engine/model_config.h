// The shape of a decoder-only transformer of the Llama / Qwen2 / Qwen3 family, and the list of its tensors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace coppice {

// Rotary scaling kinds of Hugging Face configs that are honoured; src/checkpoint.ts refuses all others by
// name.
enum class RopeScaling : uint8_t { kDefault, kLlama3 };

// What reads the final hidden states: the head over the vocabulary, a value head (value_head.h), or both.
enum class Heads : uint8_t { kTokens, kValue, kTokensAndValue };

struct ModelConfig {
  int32_t vocab_size = 0;
  int32_t hidden_size = 0;
  int32_t num_layers = 0;
  int32_t num_heads = 0;
  int32_t num_kv_heads = 0;
  int32_t head_dim = 0;
  int32_t intermediate_size = 0;
  int32_t max_positions = 0;
  float rms_norm_eps = 1e-6f;
  double rope_theta = 10000.0;
  RopeScaling rope_scaling = RopeScaling::kDefault;
  double rope_factor = 1.0;
  double rope_low_freq_factor = 1.0;
  double rope_high_freq_factor = 4.0;
  int32_t rope_original_max_positions = 8192;
  bool qkv_bias = false;  // Qwen2
  bool qk_norm = false;   // Qwen3
  bool tie_embeddings = false;
  Heads heads = Heads::kTokens;
  std::vector<int32_t> layer_windows;  // keys that a query sees in each layer, 0 = all; empty = 0 everywhere

  int32_t q_cols() const { return num_heads * head_dim; }
  int32_t kv_cols() const { return num_kv_heads * head_dim; }
  int32_t qkv_cols() const { return q_cols() + 2 * kv_cols(); }
  bool has_token_head() const { return heads != Heads::kValue; }
  bool has_value_head() const { return heads != Heads::kTokens; }
  AttentionShape attention_shape(int32_t layer) const;
  // INVALID_ARGUMENT that names the field, unless every size is positive and they fit together.
  void check() const;
};

// The engine keeps q, k, v in one matrix and gate, up in another; a Hugging Face tensor is a range of rows of
// a parameter.
struct ParameterSpec {
  std::string name;  // e.g. "layers.0.qkv"
  ParameterKind kind = ParameterKind::kVector;
  int64_t rows = 0;  // 1 for kVector
  int64_t cols = 0;
  bool stays_f32 = false;     // its compute copy is fp32 whatever the engine computes with
  int64_t master_offset = 0;  // first element in the fp32 arenas of masters, gradients and moments
};

struct TensorSpec {
  std::string name;  // Hugging Face name, e.g. "model.layers.0.self_attn.q_proj.weight"
  std::vector<int64_t> shape;
  int32_t parameter = 0;
  int64_t row_begin = 0;  // rows of the parameter; a bias that is part of a kVector uses col_begin instead
  int64_t col_begin = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t master_offset = 0;  // its elements are contiguous in the fp32 arenas
  int64_t elements() const { return rows * cols; }
};

struct ModelLayout {
  std::vector<ParameterSpec> parameters;
  std::vector<TensorSpec> tensors;
  int64_t total_elements = 0;
};

ModelLayout layout_of(const ModelConfig& config);

// [max_positions][head_dim]: head_dim / 2 cosines, then head_dim / 2 sines, of fp32 angles as transformers
// computes them.
std::vector<float> rope_table(const ModelConfig& config);

}  // namespace coppice
