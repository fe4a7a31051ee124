// The parameters of one model: the backend's compute copies and, from the first update on, fp32 masters.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "engine/memory.h"
#include "engine/model_config.h"

namespace coppice {

// One layer's parameters, null where the family has none.
struct LayerParameters {
  const Parameter* attention_norm = nullptr;
  const Parameter* qkv = nullptr;
  const Parameter* qkv_bias = nullptr;
  const Parameter* q_norm = nullptr;
  const Parameter* k_norm = nullptr;
  const Parameter* attention_out = nullptr;
  const Parameter* mlp_norm = nullptr;
  const Parameter* gate_up = nullptr;
  const Parameter* down = nullptr;
};

// Elements of a tensor that are moved at a time between a file, the host and a parameter, in whole rows.
int64_t piece_of(const TensorSpec& tensor);

class ParameterStore {
 public:
  // Without storage it only knows sizes, for a plan.
  ParameterStore(Backend& backend, const ModelConfig& config, DType dtype, bool with_storage = true);

  DType dtype() const { return dtype_; }  // of the compute copies

  const ModelLayout& layout() const { return layout_; }
  const Parameter& embedding() const { return parameters_.front(); }
  const Parameter& final_norm() const { return *final_norm_; }
  const Parameter& head() const { return *head_; }  // the embedding when tied
  const Parameter& value_head() const { return *value_head_; }
  const LayerParameters& layer(int32_t index) const { return layers_[static_cast<size_t>(index)]; }

  // The piece of an arena in layout order (gradients, say) that belongs to a parameter; null for null.
  float* in_arena(float* arena, const Parameter* parameter) const;

  const TensorSpec& tensor(const std::string& name) const;  // INVALID_ARGUMENT for an unknown name

  // Values of one tensor, `count` elements from its `begin`-th; begin and count must be multiples of its row
  // length.
  void write(const TensorSpec& tensor, int64_t begin, int64_t count, const float* values);
  void read(const TensorSpec& tensor, int64_t begin, int64_t count, float* values) const;

  bool has_masters() const { return !masters_.empty(); }
  void make_masters();           // from the compute copies; nothing when they exist
  void make_room_for_masters();  // for `write` to fill, where the values are more exact than the copies
  void drop_masters() { masters_ = Buffer(); }
  float* masters() const { return masters_.f32(); }
  void pack_from_masters();

  uint64_t compute_bytes() const;
  uint64_t master_bytes() const { return static_cast<uint64_t>(layout_.total_elements) * sizeof(float); }

 private:
  Backend* backend_;
  DType dtype_;
  ModelLayout layout_;
  std::vector<Buffer> storage_;
  std::vector<Parameter> parameters_;
  std::vector<LayerParameters> layers_;
  const Parameter* final_norm_ = nullptr;
  const Parameter* head_ = nullptr;
  const Parameter* value_head_ = nullptr;
  std::unordered_map<std::string, size_t> tensor_index_;
  Buffer masters_;
};

}  // namespace coppice
