// Rows of floats rounded to bf16, as tensor cores take them.
#pragma once

#include "base/tensor.h"
#include "bf16.cuh"
#include "index_check.cuh"

namespace coppice {

// Rows of bf16 begin on multiples of 16 bytes, which asynchronous copies ask for.
inline int64_t bf16_stride(int64_t cols) {
  return (cols + 7) / 8 * 8;
}
inline size_t bf16_bytes(int64_t rows, int64_t cols) {
  return static_cast<size_t>(rows * bf16_stride(cols)) * sizeof(Bf16);
}

struct Bf16Rows {
  Bf16* data;
  int64_t stride;  // bf16_stride of their columns
};

// Row i of `rows` becomes r(inp[i]), or r(inp[row_index[i]]) where an index is given, which has been checked;
// zero beyond its columns.
void narrow_rows(const Bf16Rows& to, const Tensor& inp, const int32_t* row_index, int64_t rows,
                 const IndexFault* fault, const Stream& stream);

}  // namespace coppice
