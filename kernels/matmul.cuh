// Products in f32 on the device, shared by linear, head and sample.
#pragma once

#include <cstdint>

#include "base/tensor.h"
#include "launch.cuh"

namespace coppice {

// out[i][j] = sum_k A(i, k) B(k, j), summed in fp32 over k in order, so that neither the tile nor the number
// of rows changes a bit: one fma chain. A product that is
// added to what is there adds a sum for each kProductDepth of the depth, in order, so that it may be cut
// between them.
//   A(i, k) = a[i * a_row + k * a_depth]
//   B(k, j) = b[k * b_depth + j * b_col]
struct MatmulArgs {
  float* out = nullptr;
  int64_t out_stride = 0;
  const float* a = nullptr;
  int64_t a_row = 0, a_depth = 1;
  const float* b = nullptr;
  int64_t b_depth = 1, b_col = 0;
  int64_t rows = 0, cols = 0, depth = 0;
  const float* bias = nullptr;  // [cols], added after the sum
  bool accumulate = false;      // out += the sums
};

void matmul(const MatmulArgs& args, const Stream& stream);

}  // namespace coppice
