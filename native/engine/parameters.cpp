#include "engine/parameters.h"

#include <algorithm>

#include "base/error.h"
#include "engine/tensor_file.h"

namespace coppice {

int64_t piece_of(const TensorSpec& tensor) {
  const int64_t rows = std::max<int64_t>(1, (int64_t{1} << 20) / tensor.cols);
  return std::min(rows, tensor.rows) * tensor.cols;
}

ParameterStore::ParameterStore(Backend& backend, const ModelConfig& config, DType dtype, bool with_storage)
    : backend_(&backend), dtype_(dtype), layout_(layout_of(config)) {
  std::unordered_map<std::string, const Parameter*> by_name;
  parameters_.reserve(layout_.parameters.size());  // addresses are handed out below
  for (const ParameterSpec& spec : layout_.parameters) {
    Parameter parameter;
    parameter.name = spec.name;
    parameter.kind = spec.kind;
    parameter.rows = spec.rows;
    parameter.cols = spec.cols;
    parameter.dtype = spec.stays_f32 ? DType::kF32 : dtype;
    parameter.storage_bytes =
        backend.parameter_storage_bytes(spec.kind, spec.rows, spec.cols, parameter.dtype);
    if (with_storage) {
      storage_.emplace_back(backend, parameter.storage_bytes);
      parameter.storage = storage_.back().data();
      backend.zero(parameter.storage, parameter.storage_bytes);  // packed storage may be padded
    }
    parameters_.push_back(std::move(parameter));
    by_name.emplace(spec.name, &parameters_.back());
  }
  const auto find = [&](const std::string& name) -> const Parameter* {
    const auto found = by_name.find(name);
    return found == by_name.end() ? nullptr : found->second;
  };
  for (int32_t l = 0; l < config.num_layers; ++l) {
    const std::string prefix = "layers." + std::to_string(l) + ".";
    layers_.push_back({find(prefix + "attention_norm"), find(prefix + "qkv"), find(prefix + "qkv_bias"),
                       find(prefix + "q_norm"), find(prefix + "k_norm"), find(prefix + "attention_out"),
                       find(prefix + "mlp_norm"), find(prefix + "gate_up"), find(prefix + "down")});
  }
  final_norm_ = find("final_norm");
  head_ = config.tie_embeddings ? find("embedding") : find("head");
  value_head_ = find("value_head");
  for (size_t i = 0; i < layout_.tensors.size(); ++i) tensor_index_.emplace(layout_.tensors[i].name, i);
}

float* ParameterStore::in_arena(float* arena, const Parameter* parameter) const {
  if (parameter == nullptr || arena == nullptr) return nullptr;
  return arena + layout_.parameters[static_cast<size_t>(parameter - parameters_.data())].master_offset;
}

const TensorSpec& ParameterStore::tensor(const std::string& name) const {
  const auto found = tensor_index_.find(name);
  if (found == tensor_index_.end())
    fail(ErrorCode::kInvalidArgument, "the model has no tensor '%s'", name.c_str());
  return layout_.tensors[found->second];
}

void ParameterStore::write(const TensorSpec& tensor, int64_t begin, int64_t count, const float* values) {
  Parameter& parameter = parameters_[static_cast<size_t>(tensor.parameter)];
  if (parameter.kind == ParameterKind::kMatrix) {
    backend_->parameter_upload(parameter, tensor.row_begin + begin / tensor.cols, count / tensor.cols,
                               values);
  } else {
    std::vector<float> rounded(values, values + count);
    if (dtype_ == DType::kBF16) {
      for (float& value : rounded) value = widen_bf16(narrow_bf16(value));
    }
    upload(*backend_, static_cast<float*>(parameter.storage) + tensor.col_begin + begin, rounded);
  }
  if (has_masters()) {
    backend_->upload(masters_.f32() + tensor.master_offset + begin, values,
                     static_cast<size_t>(count) * sizeof(float));
  }
}

void ParameterStore::read(const TensorSpec& tensor, int64_t begin, int64_t count, float* values) const {
  const Parameter& parameter = parameters_[static_cast<size_t>(tensor.parameter)];
  if (has_masters()) {
    backend_->download(values, masters_.f32() + tensor.master_offset + begin,
                       static_cast<size_t>(count) * sizeof(float));
  } else if (parameter.kind == ParameterKind::kMatrix) {
    backend_->parameter_download(parameter, tensor.row_begin + begin / tensor.cols, count / tensor.cols,
                                 values);
  } else {
    backend_->download(values, static_cast<float*>(parameter.storage) + tensor.col_begin + begin,
                       static_cast<size_t>(count) * sizeof(float));
  }
}

void ParameterStore::make_masters() {
  if (has_masters()) return;
  Buffer masters(*backend_, master_bytes());
  std::vector<float> host;
  for (const TensorSpec& tensor : layout_.tensors) {
    const int64_t piece = piece_of(tensor);
    for (int64_t begin = 0; begin < tensor.elements(); begin += piece) {
      host.resize(static_cast<size_t>(std::min(piece, tensor.elements() - begin)));
      read(tensor, begin, static_cast<int64_t>(host.size()), host.data());
      upload(*backend_, masters.f32() + tensor.master_offset + begin, host);
    }
  }
  masters_ = std::move(masters);
}

void ParameterStore::make_room_for_masters() {
  if (!has_masters()) masters_ = Buffer(*backend_, master_bytes());
}

void ParameterStore::pack_from_masters() {
  for (size_t i = 0; i < parameters_.size(); ++i) {
    backend_->parameter_pack(parameters_[i], masters_.f32() + layout_.parameters[i].master_offset);
  }
}

uint64_t ParameterStore::compute_bytes() const {
  uint64_t bytes = 0;
  for (const Parameter& parameter : parameters_) bytes += parameter.storage_bytes;
  return bytes;
}

}  // namespace coppice
