// The decoder: one forward path for training, scoring, prefill and decoding, and its backward.
#pragma once

#include <vector>

#include "engine/memory.h"
#include "engine/model_config.h"
#include "engine/parameters.h"

namespace coppice {

// A packed batch in backend memory.
struct DeviceBatch {
  int64_t rows = 0;
  const int32_t* tokens = nullptr;
  const int32_t* positions = nullptr;
  AttentionBatch attention;
};

// What a forward pass leaves behind for a backward pass.
enum class Keep {
  kNothing,      // no backward follows
  kLayerInputs,  // each layer's input; its backward computes the layer again
  kEverything,
};

// What one layer's backward reads. Norms and the SwiGLU output are computed again there.
struct LayerActivations {
  Tensor residual_in;               // [T, C]
  float* rstd_attention = nullptr;  // [T]
  Tensor qkv;                       // [T, q + k + v] as projected
  float* rstd_q = nullptr;          // [T * NH], only with q/k norm
  float* rstd_k = nullptr;          // [T * NKV]
  Tensor qk;  // [T, q + k] normed and rotated: columns of qkv itself unless the q/k norm's backward needs its
              // input
  Tensor attention;           // [T, q]
  float* lse = nullptr;       // [T * NH]
  Tensor residual_mid;        // [T, C]
  float* rstd_mlp = nullptr;  // [T]
  Tensor gate_up;             // [T, 2 FF]; its gradient from the layer's backward on
};

// Every tensor of a pass over at most `rows` packed tokens.
struct Activations {
  // One a layer when something is kept, else a single one used by all. Under Keep::kLayerInputs they share
  // everything but residual_in.
  std::vector<LayerActivations> layers;
  Tensor residual_out;  // [T, C]: what the final norm reads
  float* rstd_final = nullptr;
  Tensor hidden;   // [T, C]: what the head reads
  Tensor normed;   // [T, C]
  Tensor staging;  // [T, C]
  Tensor swiglu;   // [T, FF]
  // Backward only.
  Tensor dresidual;   // [T, C]
  Tensor dnormed;     // [T, C]
  Tensor dqkv;        // [T, q + k + v]
  Tensor dattention;  // [T, q]

  void carve(Carver& carver, const ModelConfig& config, int64_t rows, Keep keep);
};

class Transformer {
 public:
  Transformer(Backend& backend, const ModelConfig& config, const ParameterStore& parameters);

  // hidden = final norm of the last layer's output, in activations.hidden [batch.rows, C]. `pages` has one
  // entry a layer, or one that all layers share when nothing is read after the layer.
  void forward(Context& context, const DeviceBatch& batch, const std::vector<KvPages>& pages,
               Activations& activations, Keep keep) const;

  // From dhidden [rows, C] (destroyed) of a forward with the same pages that kept something; adds to the
  // gradient arena (layout order).
  void backward(Context& context, const DeviceBatch& batch, const std::vector<KvPages>& pages,
                Activations& activations, Keep keep, const Tensor& dhidden, float* gradients) const;

  size_t scratch_bytes(int64_t rows) const;
  DType dtype() const { return parameters_->dtype(); }  // of the parameters

 private:
  void layer_forward(Context& context, const DeviceBatch& batch, int32_t layer, const KvPages& pages,
                     LayerActivations& saved, Activations& work, const Tensor& residual_out) const;
  void layer_backward(Context& context, const DeviceBatch& batch, int32_t layer,
                      const LayerActivations& saved, Activations& work, float* gradients) const;
  // Runs layer_forward where a kept forward has it read and write.
  void kept_layer_forward(Context& context, const DeviceBatch& batch, int32_t layer,
                          const std::vector<KvPages>& pages, Activations& activations) const;

  Backend* backend_;
  const ModelConfig* config_;
  const ParameterStore* parameters_;
  Buffer cos_sin_;
};

}  // namespace coppice
