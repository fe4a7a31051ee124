#include "engine/model_config.h"

#include <cmath>

#include "base/error.h"
#include "engine/value_head.h"

namespace coppice {

AttentionShape ModelConfig::attention_shape(int32_t layer) const {
  return {num_heads, num_kv_heads, head_dim,
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim))),
          layer_windows.empty() ? 0 : layer_windows[static_cast<size_t>(layer)]};
}

namespace {

void require_positive(int64_t value, const char* field) {
  if (value <= 0) {
    fail(ErrorCode::kInvalidArgument, "model config: %s must be positive; received %lld", field,
         static_cast<long long>(value));
  }
}

}  // namespace

void ModelConfig::check() const {
  require_positive(vocab_size, "vocab_size");
  require_positive(hidden_size, "hidden_size");
  require_positive(num_layers, "num_hidden_layers");
  require_positive(num_heads, "num_attention_heads");
  require_positive(num_kv_heads, "num_key_value_heads");
  require_positive(head_dim, "head_dim");
  require_positive(intermediate_size, "intermediate_size");
  require_positive(max_positions, "max_position_embeddings");
  if (num_heads % num_kv_heads != 0) {
    fail(ErrorCode::kInvalidArgument,
         "model config: num_attention_heads (%d) must be a multiple of num_key_value_heads (%d)", num_heads,
         num_kv_heads);
  }
  if (head_dim % 8 != 0 || head_dim > 256) {
    fail(ErrorCode::kInvalidArgument, "model config: head_dim must be a multiple of 8 up to 256; received %d",
         head_dim);
  }
  if (!layer_windows.empty() && layer_windows.size() != static_cast<size_t>(num_layers)) {
    fail(ErrorCode::kInvalidArgument, "model config: %zu layer windows for %d layers", layer_windows.size(),
         num_layers);
  }
  for (const int32_t window : layer_windows) {
    if (window < 0) {
      fail(ErrorCode::kInvalidArgument, "model config: a window must not be negative; received %d", window);
    }
  }
  if (!(rms_norm_eps >= 0.0f) || !std::isfinite(rms_norm_eps)) {
    fail(ErrorCode::kInvalidArgument,
         "model config: rms_norm_eps must be a finite number from 0; received %g",
         static_cast<double>(rms_norm_eps));
  }
  if (!(rope_theta > 0.0) || !std::isfinite(rope_theta)) {
    fail(ErrorCode::kInvalidArgument, "model config: rope_theta must be positive; received %g", rope_theta);
  }
  if (rope_scaling == RopeScaling::kLlama3) {
    const bool fits = rope_factor > 0 && rope_low_freq_factor > 0 &&
                      rope_high_freq_factor > rope_low_freq_factor && rope_original_max_positions > 0;
    if (!fits) {
      fail(ErrorCode::kInvalidArgument,
           "model config: llama3 rope scaling needs factor > 0, 0 < low_freq_factor < high_freq_factor and "
           "original_max_position_embeddings > 0; received %g, %g, %g, %d",
           rope_factor, rope_low_freq_factor, rope_high_freq_factor, rope_original_max_positions);
    }
  }
}

namespace {

// Lists parameters and the Hugging Face tensors that they are made of, in one order for every arena and file.
class LayoutBuilder {
 public:
  int32_t matrix(const std::string& name, int64_t rows, int64_t cols) {
    return parameter(name, ParameterKind::kMatrix, rows, cols);
  }
  int32_t vector(const std::string& name, int64_t cols) {
    return parameter(name, ParameterKind::kVector, 1, cols);
  }
  int32_t f32_matrix(const std::string& name, int64_t rows, int64_t cols) {
    const int32_t index = matrix(name, rows, cols);
    layout_.parameters.back().stays_f32 = true;
    return index;
  }

  void matrix_rows(const std::string& tensor, int32_t parameter, int64_t row_begin, int64_t rows) {
    const ParameterSpec& spec = layout_.parameters[static_cast<size_t>(parameter)];
    layout_.tensors.push_back({tensor,
                               {rows, spec.cols},
                               parameter,
                               row_begin,
                               0,
                               rows,
                               spec.cols,
                               spec.master_offset + row_begin * spec.cols});
  }
  void vector_columns(const std::string& tensor, int32_t parameter, int64_t col_begin, int64_t cols) {
    const ParameterSpec& spec = layout_.parameters[static_cast<size_t>(parameter)];
    layout_.tensors.push_back(
        {tensor, {cols}, parameter, 0, col_begin, 1, cols, spec.master_offset + col_begin});
  }
  void whole(const std::string& tensor, int32_t parameter) {
    const ParameterSpec& spec = layout_.parameters[static_cast<size_t>(parameter)];
    if (spec.kind == ParameterKind::kMatrix) {
      matrix_rows(tensor, parameter, 0, spec.rows);
    } else {
      vector_columns(tensor, parameter, 0, spec.cols);
    }
  }
  ModelLayout take() { return std::move(layout_); }

 private:
  int32_t parameter(const std::string& name, ParameterKind kind, int64_t rows, int64_t cols) {
    layout_.parameters.push_back({name, kind, rows, cols, false, layout_.total_elements});
    layout_.total_elements += rows * cols;
    return static_cast<int32_t>(layout_.parameters.size()) - 1;
  }
  ModelLayout layout_;
};

}  // namespace

ModelLayout layout_of(const ModelConfig& config) {
  LayoutBuilder build;
  const int64_t hidden = config.hidden_size, q = config.q_cols(), kv = config.kv_cols(),
                ff = config.intermediate_size;
  build.whole("model.embed_tokens.weight", build.matrix("embedding", config.vocab_size, hidden));
  for (int32_t l = 0; l < config.num_layers; ++l) {
    const std::string ours = "layers." + std::to_string(l) + ".";
    const std::string theirs = "model.layers." + std::to_string(l) + ".";
    build.whole(theirs + "input_layernorm.weight", build.vector(ours + "attention_norm", hidden));
    const int32_t qkv = build.matrix(ours + "qkv", config.qkv_cols(), hidden);
    build.matrix_rows(theirs + "self_attn.q_proj.weight", qkv, 0, q);
    build.matrix_rows(theirs + "self_attn.k_proj.weight", qkv, q, kv);
    build.matrix_rows(theirs + "self_attn.v_proj.weight", qkv, q + kv, kv);
    if (config.qkv_bias) {
      const int32_t bias = build.vector(ours + "qkv_bias", config.qkv_cols());
      build.vector_columns(theirs + "self_attn.q_proj.bias", bias, 0, q);
      build.vector_columns(theirs + "self_attn.k_proj.bias", bias, q, kv);
      build.vector_columns(theirs + "self_attn.v_proj.bias", bias, q + kv, kv);
    }
    if (config.qk_norm) {
      build.whole(theirs + "self_attn.q_norm.weight", build.vector(ours + "q_norm", config.head_dim));
      build.whole(theirs + "self_attn.k_norm.weight", build.vector(ours + "k_norm", config.head_dim));
    }
    build.whole(theirs + "self_attn.o_proj.weight", build.matrix(ours + "attention_out", hidden, q));
    build.whole(theirs + "post_attention_layernorm.weight", build.vector(ours + "mlp_norm", hidden));
    const int32_t gate_up = build.matrix(ours + "gate_up", 2 * ff, hidden);
    build.matrix_rows(theirs + "mlp.gate_proj.weight", gate_up, 0, ff);
    build.matrix_rows(theirs + "mlp.up_proj.weight", gate_up, ff, ff);
    build.whole(theirs + "mlp.down_proj.weight", build.matrix(ours + "down", hidden, ff));
  }
  build.whole("model.norm.weight", build.vector("final_norm", hidden));
  if (config.has_token_head() && !config.tie_embeddings) {
    build.whole("lm_head.weight", build.matrix("head", config.vocab_size, hidden));
  }
  if (config.has_value_head()) build.whole(kValueHeadTensor, build.f32_matrix("value_head", 1, hidden));
  return build.take();
}

namespace {

// Frequencies in fp32 with the roundings of transformers' modeling_rope_utils, so that positions far out
// agree with the angles that a checkpoint was trained with.
std::vector<float> inverse_frequencies(const ModelConfig& config) {
  const int32_t half = config.head_dim / 2;
  std::vector<float> frequency(static_cast<size_t>(half));
  for (int32_t j = 0; j < half; ++j) {
    const float exponent = static_cast<float>(2 * j) / static_cast<float>(config.head_dim);
    frequency[static_cast<size_t>(j)] =
        1.0f / static_cast<float>(std::pow(config.rope_theta, static_cast<double>(exponent)));
  }
  if (config.rope_scaling == RopeScaling::kDefault) return frequency;
  const double original = config.rope_original_max_positions;
  const float low_wavelength = static_cast<float>(original / config.rope_low_freq_factor);
  const float high_wavelength = static_cast<float>(original / config.rope_high_freq_factor);
  const float factor = static_cast<float>(config.rope_factor);
  for (float& f : frequency) {
    const float wavelength = static_cast<float>(2.0 * M_PI) / f;
    if (wavelength > low_wavelength) {
      f = f / factor;
    } else if (wavelength >= high_wavelength) {
      const float smooth =
          (static_cast<float>(original) / wavelength - static_cast<float>(config.rope_low_freq_factor)) /
          static_cast<float>(config.rope_high_freq_factor - config.rope_low_freq_factor);
      f = (1.0f - smooth) * f / factor + smooth * f;
    }
  }
  return frequency;
}

}  // namespace

std::vector<float> rope_table(const ModelConfig& config) {
  const std::vector<float> frequency = inverse_frequencies(config);
  const size_t half = frequency.size(), positions = static_cast<size_t>(config.max_positions);
  std::vector<float> table(positions * 2 * half);
  for (size_t p = 0; p < positions; ++p) {
    for (size_t j = 0; j < half; ++j) {
      const float angle =
          static_cast<float>(p) * frequency[j];  // rounded to fp32 before the cosine, as transformers does
      table[p * 2 * half + j] = static_cast<float>(std::cos(static_cast<double>(angle)));
      table[p * 2 * half + half + j] = static_cast<float>(std::sin(static_cast<double>(angle)));
    }
  }
  return table;
}

}  // namespace coppice
