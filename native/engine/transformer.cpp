#include "engine/transformer.h"

#include <algorithm>

#include "ops/ops.h"

namespace coppice {

void Activations::carve(Carver& carver, const ModelConfig& config, int64_t rows, Keep keep) {
  const int64_t hidden_size = config.hidden_size, q = config.q_cols(), kv = config.kv_cols(),
                ff = config.intermediate_size;
  const bool keep_any = keep != Keep::kNothing;
  layers.resize(keep_any ? static_cast<size_t>(config.num_layers) : 1);
  for (LayerActivations& layer : layers) {
    const bool shared = keep == Keep::kLayerInputs && &layer != &layers.front();
    if (shared) layer = layers.front();
    layer.residual_in = carver.tensor(rows, hidden_size);
    if (shared) continue;
    layer.rstd_attention = carver.floats(rows);
    layer.qkv = carver.tensor(rows, config.qkv_cols());
    if (config.qk_norm) {
      layer.rstd_q = carver.floats(rows * config.num_heads);
      layer.rstd_k = carver.floats(rows * config.num_kv_heads);
    }
    layer.qk = config.qk_norm && keep_any ? carver.tensor(rows, q + kv) : layer.qkv.columns(0, q + kv);
    layer.attention = carver.tensor(rows, q);
    layer.lse = keep_any ? carver.floats(rows * config.num_heads) : nullptr;
    layer.residual_mid = keep_any ? carver.tensor(rows, hidden_size) : layer.residual_in;
    layer.rstd_mlp = carver.floats(rows);
    layer.gate_up = carver.tensor(rows, 2 * ff);
  }
  residual_out = keep_any ? carver.tensor(rows, hidden_size) : layers.front().residual_in;
  rstd_final = carver.floats(rows);
  hidden = carver.tensor(rows, hidden_size);
  normed = carver.tensor(rows, hidden_size);
  staging = carver.tensor(rows, hidden_size);
  swiglu = carver.tensor(rows, ff);
  if (!keep_any) return;
  dresidual = carver.tensor(rows, hidden_size);
  dnormed = carver.tensor(rows, hidden_size);
  dqkv = carver.tensor(rows, config.qkv_cols());
  dattention = carver.tensor(rows, q);
}

namespace {

Tensor first_rows(const Tensor& tensor, int64_t rows) {
  return tensor.row_range(0, rows);
}

// `pages` has one entry a layer, or one for all.
const KvPages& pages_of(const std::vector<KvPages>& pages, int32_t layer) {
  return pages[pages.size() == 1 ? 0 : static_cast<size_t>(layer)];
}

}  // namespace

Transformer::Transformer(Backend& backend, const ModelConfig& config, const ParameterStore& parameters)
    : backend_(&backend), config_(&config), parameters_(&parameters) {
  const std::vector<float> table = rope_table(config);
  cos_sin_ = Buffer(backend, table.size() * sizeof(float));
  upload(backend, cos_sin_.data(), table);
}

size_t Transformer::scratch_bytes(int64_t rows) const {
  const ModelConfig& c = *config_;
  size_t bytes = backend_->attention_scratch_bytes(c.attention_shape(0), rows);
  const auto product = [&](int64_t out_cols, int64_t in_cols) {
    bytes = std::max(bytes, backend_->linear_scratch_bytes(rows, out_cols, in_cols, dtype()));
  };
  product(c.qkv_cols(), c.hidden_size);
  product(c.hidden_size, c.q_cols());
  product(2 * int64_t{c.intermediate_size}, c.hidden_size);
  product(c.hidden_size, c.intermediate_size);
  return bytes;
}

void Transformer::forward(Context& context, const DeviceBatch& batch, const std::vector<KvPages>& pages,
                          Activations& activations, Keep keep) const {
  const int64_t rows = batch.rows;
  LayerActivations& first = activations.layers.front();
  ops::embedding_forward(context, first_rows(first.residual_in, rows), parameters_->embedding(),
                         batch.tokens);
  for (int32_t l = 0; l < config_->num_layers; ++l) {
    if (keep == Keep::kNothing) {
      layer_forward(context, batch, l, pages_of(pages, l), first, activations,
                    first_rows(first.residual_in, rows));
    } else {
      kept_layer_forward(context, batch, l, pages, activations);
    }
  }
  ops::rmsnorm_forward(context, first_rows(activations.hidden, rows), activations.rstd_final,
                       first_rows(activations.residual_out, rows), parameters_->final_norm(),
                       config_->rms_norm_eps);
}

void Transformer::kept_layer_forward(Context& context, const DeviceBatch& batch, int32_t layer,
                                     const std::vector<KvPages>& pages, Activations& activations) const {
  const size_t next = static_cast<size_t>(layer) + 1;
  const Tensor& residual_out =
      next == activations.layers.size() ? activations.residual_out : activations.layers[next].residual_in;
  layer_forward(context, batch, layer, pages_of(pages, layer), activations.layers[static_cast<size_t>(layer)],
                activations, first_rows(residual_out, batch.rows));
}

void Transformer::layer_forward(Context& context, const DeviceBatch& batch, int32_t layer,
                                const KvPages& pages, LayerActivations& saved, Activations& work,
                                const Tensor& residual_out) const {
  const ModelConfig& c = *config_;
  const LayerParameters& parameters = parameters_->layer(layer);
  const int64_t rows = batch.rows, q = c.q_cols(), kv = c.kv_cols();
  const AttentionShape shape = c.attention_shape(layer);
  const Tensor residual_in = first_rows(saved.residual_in, rows), normed = first_rows(work.normed, rows);
  const Tensor qkv = first_rows(saved.qkv, rows), qk = first_rows(saved.qk, rows);
  const Tensor attention = first_rows(saved.attention, rows);
  const Tensor residual_mid = first_rows(saved.residual_mid, rows), gate_up = first_rows(saved.gate_up, rows);
  const Tensor swiglu = first_rows(work.swiglu, rows), staging = first_rows(work.staging, rows);

  ops::rmsnorm_forward(context, normed, saved.rstd_attention, residual_in, *parameters.attention_norm,
                       c.rms_norm_eps);
  ops::linear_forward(context, qkv, normed, *parameters.qkv, parameters.qkv_bias);
  if (parameters.q_norm != nullptr) {
    ops::rmsnorm_forward(context, qk.columns(0, q), saved.rstd_q, qkv.columns(0, q), *parameters.q_norm,
                         c.rms_norm_eps);
    ops::rmsnorm_forward(context, qk.columns(q, kv), saved.rstd_k, qkv.columns(q, kv), *parameters.k_norm,
                         c.rms_norm_eps);
  }
  ops::rope_forward(context, qk, batch.positions, cos_sin_.f32(), c.head_dim);
  ops::kv_write(context, pages, qk.columns(q, kv), qkv.columns(q + kv, kv), batch.attention, shape);
  ops::attention_forward(context, attention, saved.lse, qk.columns(0, q), pages, batch.attention, shape);
  ops::linear_residual(context, residual_mid, attention, *parameters.attention_out, residual_in, staging);

  ops::rmsnorm_forward(context, normed, saved.rstd_mlp, residual_mid, *parameters.mlp_norm, c.rms_norm_eps);
  ops::linear_swiglu(context, swiglu, gate_up, normed, *parameters.gate_up);
  ops::linear_residual(context, residual_out, swiglu, *parameters.down, residual_mid, staging);
}

void Transformer::backward(Context& context, const DeviceBatch& batch, const std::vector<KvPages>& pages,
                           Activations& activations, Keep keep, const Tensor& dhidden,
                           float* gradients) const {
  const int64_t rows = batch.rows;
  const Tensor dresidual = first_rows(activations.dresidual, rows);
  ops::rmsnorm_backward(context, dresidual, parameters_->in_arena(gradients, &parameters_->final_norm()),
                        dhidden, first_rows(activations.residual_out, rows), parameters_->final_norm(),
                        activations.rstd_final,
                        /*accumulate=*/false);
  const int32_t last = config_->num_layers - 1;
  for (int32_t l = last; l >= 0; --l) {
    // The last layer's activations are still there. The others' outputs are written over by the same bits.
    if (keep == Keep::kLayerInputs && l != last) kept_layer_forward(context, batch, l, pages, activations);
    layer_backward(context, batch, l, activations.layers[static_cast<size_t>(l)], activations, gradients);
  }
  ops::embedding_backward(context, parameters_->in_arena(gradients, &parameters_->embedding()),
                          config_->vocab_size, dresidual, batch.tokens);
}

void Transformer::layer_backward(Context& context, const DeviceBatch& batch, int32_t layer,
                                 const LayerActivations& saved, Activations& work, float* gradients) const {
  const ModelConfig& c = *config_;
  const LayerParameters& parameters = parameters_->layer(layer);
  const int64_t rows = batch.rows, q = c.q_cols(), kv = c.kv_cols();
  const auto gradient = [&](const Parameter* parameter) {
    return parameters_->in_arena(gradients, parameter);
  };
  const Tensor dresidual = first_rows(work.dresidual, rows), dnormed = first_rows(work.dnormed, rows);
  const Tensor normed = first_rows(work.normed, rows), swiglu = first_rows(work.swiglu, rows);
  const Tensor gate_up = first_rows(saved.gate_up, rows), residual_mid = first_rows(saved.residual_mid, rows);

  // From here on the saved gate_up is its own gradient.
  ops::linear_swiglu_backward(context, gate_up, swiglu, dresidual, *parameters.down);
  ops::linear_backward_weight(context, gradient(parameters.down), nullptr, dresidual, swiglu, dtype());
  ops::rmsnorm_forward(context, normed, saved.rstd_mlp, residual_mid, *parameters.mlp_norm, c.rms_norm_eps);
  ops::linear_backward_weight(context, gradient(parameters.gate_up), nullptr, gate_up, normed, dtype());
  ops::linear_backward_input(context, dnormed, gate_up, *parameters.gate_up);
  ops::rmsnorm_backward(context, dresidual, gradient(parameters.mlp_norm), dnormed, residual_mid,
                        *parameters.mlp_norm, saved.rstd_mlp, /*accumulate=*/true);

  const Tensor attention = first_rows(saved.attention, rows), dattention = first_rows(work.dattention, rows);
  const Tensor qkv = first_rows(saved.qkv, rows), qk = first_rows(saved.qk, rows),
               dqkv = first_rows(work.dqkv, rows);
  ops::linear_backward_weight(context, gradient(parameters.attention_out), nullptr, dresidual, attention,
                              dtype());
  ops::linear_backward_input(context, dattention, dresidual, *parameters.attention_out);
  ops::attention_backward(context, dqkv.columns(0, q), dqkv.columns(q, kv), dqkv.columns(q + kv, kv),
                          dattention, attention, saved.lse, qk.columns(0, q), qk.columns(q, kv),
                          qkv.columns(q + kv, kv), batch.attention, c.attention_shape(layer));
  ops::rope_backward(context, dqkv.columns(0, q + kv), batch.positions, cos_sin_.f32(), c.head_dim);
  if (parameters.q_norm != nullptr) {
    ops::rmsnorm_backward(context, dqkv.columns(0, q), gradient(parameters.q_norm), dqkv.columns(0, q),
                          qkv.columns(0, q), *parameters.q_norm, saved.rstd_q, /*accumulate=*/false);
    ops::rmsnorm_backward(context, dqkv.columns(q, kv), gradient(parameters.k_norm), dqkv.columns(q, kv),
                          qkv.columns(q, kv), *parameters.k_norm, saved.rstd_k, /*accumulate=*/false);
  }
  const Tensor residual_in = first_rows(saved.residual_in, rows);
  ops::rmsnorm_forward(context, normed, saved.rstd_attention, residual_in, *parameters.attention_norm,
                       c.rms_norm_eps);
  ops::linear_backward_weight(context, gradient(parameters.qkv), gradient(parameters.qkv_bias), dqkv, normed,
                              dtype());
  ops::linear_backward_input(context, dnormed, dqkv, *parameters.qkv);
  ops::rmsnorm_backward(context, dresidual, gradient(parameters.attention_norm), dnormed, residual_in,
                        *parameters.attention_norm, saved.rstd_attention, /*accumulate=*/true);
}

}  // namespace coppice
