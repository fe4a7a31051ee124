#include "binding/kernel_arguments.h"

#include <cmath>

namespace coppice::binding {

int64_t read_size(const Napi::Value& value, const char* name) {
  return read_integer(value, name, 1, kMaxSize);
}

std::vector<float> read_matrix(const Napi::Value& value, const char* name, int64_t rows, int64_t cols) {
  const auto array = read_array<float>(value, name);
  if (array.length == static_cast<size_t>(rows * cols)) return array.values();
  fail(ErrorCode::kShapeMismatch, "%s: expected %lld x %lld values; received %zu", name,
       static_cast<long long>(rows), static_cast<long long>(cols), array.length);
}

int64_t rows_of(const ArrayArgument<float>& array, int64_t cols, const char* name) {
  if (array.length == 0 || array.length % static_cast<size_t>(cols) != 0) {
    fail(ErrorCode::kShapeMismatch, "%s: expected rows of %lld values; received %zu values", name,
         static_cast<long long>(cols), array.length);
  }
  return static_cast<int64_t>(array.length) / cols;
}

AttentionArguments read_attention(const Napi::CallbackInfo& info, size_t first) {
  AttentionArguments arguments;
  const Napi::Object given = read_object(info[first + 4], "shape");
  const auto number = [&](const char* key, const char* name, int64_t max) {
    return static_cast<int32_t>(read_integer(given.Get(key), name, 1, max));
  };
  AttentionShape& shape = arguments.shape;
  shape.num_heads = number("numHeads", "shape.numHeads", 1 << 20);
  shape.num_kv_heads = number("numKvHeads", "shape.numKvHeads", 1 << 20);
  shape.head_dim = number("headDim", "shape.headDim", 1 << 10);
  shape.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(shape.head_dim)));
  const int64_t q_cols = int64_t{shape.num_heads} * shape.head_dim,
                kv_cols = int64_t{shape.num_kv_heads} * shape.head_dim;
  const int64_t rows = rows_of(read_array<float>(info[first], "q"), q_cols, "q");
  arguments.q = read_matrix(info[first], "q", rows, q_cols);
  arguments.k = read_matrix(info[first + 1], "k", rows, kv_cols);
  arguments.v = read_matrix(info[first + 2], "v", rows, kv_cols);
  arguments.offsets = read_offsets(info[first + 3], "offsets", static_cast<size_t>(rows));
  if (arguments.offsets.front() != 0 || arguments.offsets.back() != rows) {
    fail(ErrorCode::kShapeMismatch,
         "offsets: expected entries from 0 to %lld, the number of rows; received %d to %d",
         static_cast<long long>(rows), arguments.offsets.front(), arguments.offsets.back());
  }
  return arguments;
}

HeadArguments read_head(const Napi::CallbackInfo& info, size_t first) {
  HeadArguments arguments;
  const auto head = read_array<float>(info[first + 1], "head");
  const auto targets = read_array<int32_t>(info[first + 2], "targets");
  const auto temperature = read_optional_array<float>(info[first + 3], "temperature");
  arguments.cols = read_size(info[first + 4], "hiddenSize");
  if (targets.length == 0) fail(ErrorCode::kShapeMismatch, "targets: expected at least one; received none");
  arguments.hidden = read_matrix(info[first], "hidden", static_cast<int64_t>(targets.length), arguments.cols);
  arguments.vocab = rows_of(head, arguments.cols, "head");
  arguments.head = head.values();
  arguments.targets = targets.values();
  arguments.temperature.assign(targets.length, 1.0f);
  if (temperature.given) {
    require_length(temperature.length, targets.length, "temperature", "a target");
    arguments.temperature = temperature.values();
  }
  for (size_t i = 0; i < targets.length; ++i) {
    const float value = arguments.temperature[i];
    if (value > 0.0f && std::isfinite(value)) continue;
    fail(ErrorCode::kInvalidArgument, "temperature: entry %zu: expected a finite number > 0; received %g", i,
         static_cast<double>(value));
  }
  return arguments;
}

}  // namespace coppice::binding
