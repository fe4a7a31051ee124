// The largest elements of a row of logits, in order. Used by sample_select.cpp alone.
#pragma once

#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {

// In descending order, ties by smaller index.
struct Leaders {
  static constexpr int64_t kMost = 256;
  int64_t count = 0;
  float value[kMost];
  int32_t index[kMost];
};

// The `wanted` largest elements of y [vocab], 1 <= wanted <= Leaders::kMost and <= vocab.
void find_leaders(Leaders* leaders, const float* y, int64_t vocab, int64_t wanted);

}  // namespace COPPICE_ISA
}  // namespace coppice
