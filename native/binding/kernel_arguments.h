// The arguments of single ops from JavaScript: arrays whose sizes go together, copied for the job.
#pragma once

#include <napi.h>

#include <cstdint>
#include <vector>

#include "binding/arguments.h"
#include "binding/kernel_ops.h"

namespace coppice::binding {

// Sizes whose products stay far from the end of 64 bits.
inline constexpr int64_t kMaxSize = int64_t{1} << 30;

int64_t read_size(const Napi::Value& value, const char* name);
// A Float32Array of rows * cols values.
std::vector<float> read_matrix(const Napi::Value& value, const char* name, int64_t rows, int64_t cols);
// How many rows of `cols` an array has; SHAPE_MISMATCH for a part of one, or none at all.
int64_t rows_of(const ArrayArgument<float>& array, int64_t cols, const char* name);

struct AttentionArguments {
  std::vector<float> q, k, v;
  std::vector<int32_t> offsets;
  AttentionShape shape;

  AttentionOperands view() const { return {q.data(), k.data(), v.data(), offsets, shape}; }
  int64_t rows() const { return offsets.back(); }
};
// q, k, v, offsets, { numHeads, numKvHeads, headDim } from the argument `first` on.
AttentionArguments read_attention(const Napi::CallbackInfo& info, size_t first);

struct HeadArguments {
  std::vector<float> hidden, head, temperature;
  std::vector<int32_t> targets;
  int64_t vocab = 0, cols = 0;

  HeadOperands view() const { return {hidden.data(), head.data(), targets, temperature.data(), vocab, cols}; }
};
// hidden, head, targets, temperature or undefined, columns from the argument `first` on.
HeadArguments read_head(const Napi::CallbackInfo& info, size_t first);

}  // namespace coppice::binding
