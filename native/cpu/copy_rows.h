#pragma once

#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {

// to[i * to_stride + j] = from[i * from_stride + j], j < cols.
COPPICE_INLINE void copy_rows(float* to, int64_t to_stride, const float* from, int64_t from_stride,
                              int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i) {
    for_lanes(cols, [&](int64_t j, int n) {
      store_lanes(to + i * to_stride + j, load_lanes(from + i * from_stride + j, n), n);
    });
  }
}

COPPICE_INLINE void clear_row(float* row, int64_t cols) {
  for_lanes(cols, [&](int64_t j, int n) { store_lanes(row + j, zero(), n); });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
