// Products on the device, shared by linear and head.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace coppice {

// out[i][j] (+)= sum_k A(i, k) B(k, j) in fp32, one fma chain over k in order for every element, so that
// neither the tile nor the number of rows changes a bit.
//   A(i, k) = a[i' * a_row + k * a_depth], i' = a_rows[i] where a_rows gathers rows, else i
//   B(k, j) = b[k' * b_depth + j * b_col], k' = b_depth_index[k] where that gathers, else k
struct MatmulArgs {
  float* out = nullptr;
  int64_t out_stride = 0;
  const float* a = nullptr;
  int64_t a_row = 0, a_depth = 1;
  const int32_t* a_rows = nullptr;
  const float* b = nullptr;
  int64_t b_depth = 1, b_col = 0;
  const int32_t* b_depth_index = nullptr;
  int64_t rows = 0, cols = 0, depth = 0;
  const float* bias = nullptr;  // [cols], added after the sum
  bool accumulate = false;      // out += the sum
};

void matmul(const MatmulArgs& args, cudaStream_t stream);

}  // namespace coppice
