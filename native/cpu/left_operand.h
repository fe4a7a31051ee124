// Rows that a product walks along, as its left operand.
#pragma once

#include "cpu/gemm.h"
#include "cpu/row_ranges.h"

namespace coppice {
namespace COPPICE_ISA {

// Floats that left_operand needs for rows [rows, cols].
COPPICE_INLINE int64_t left_floats(DType dtype, int64_t rows, int64_t cols) {
  return dtype == DType::kF32 ? 0 : round_up(rows * product_depth(dtype, cols), kLanes);
}
// The rows where they stand, or in bf16 rounded into `words` [rows][ceil(cols / 2)].
COPPICE_INLINE Left left_operand(const ThreadTeam& team, const Tensor& rows, DType dtype, float* words) {
  if (dtype == DType::kF32) return {rows.f32(), rows.stride};
  const int64_t depth = product_depth(dtype, rows.cols);
  for_row_ranges(team, rows.rows, 2 * rows.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      round_row(words + t * depth, rows.f32() + t * rows.stride, rows.cols);
  });
  return {words, depth};
}

}  // namespace COPPICE_ISA
}  // namespace coppice
