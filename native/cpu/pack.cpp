// Operands rearranged for products: see gemm.h for the layouts.
#include "cpu/gemm.h"

namespace coppice {
namespace COPPICE_ISA {

void pack_right(float* panels, const float* src, int64_t src_stride, int64_t depth, int64_t cols) {
  for (int64_t j = 0; j < cols; j += kPanel) {
    float* panel = panels + j * depth;
    const int left = static_cast<int>(smaller(kPanel, cols - j));
    const int first_half = left < kLanes ? left : kLanes;
    for (int64_t k = 0; k < depth; ++k) {
      const float* row = src + k * src_stride + j;
      store(panel + k * kPanel, load_lanes(row, first_half));
      store(panel + k * kPanel + kLanes, left > kLanes ? load_lanes(row + kLanes, left - kLanes) : zero());
    }
  }
}

void pack_parameter_rows(float* panels, const Parameter& weight, int64_t row_begin, int64_t rows,
                         int64_t col_begin, int64_t cols) {
  const float* storage = static_cast<const float*>(weight.storage);
  for (int64_t j = 0; j < round_up(cols, kPanel); j += kLanes) {
    float* panel = panels + (j / kPanel) * rows * kPanel + j % kPanel;
    for (int64_t k = 0; k < rows; k += kLanes) {
      const int64_t row = row_begin + k;
      const float* source = storage + ((row / kPanel) * weight.cols + col_begin + j) * kPanel + row % kPanel;
      Vec block[16];
      for (int i = 0; i < 16; ++i) block[i] = j + i < cols ? load(source + i * kPanel) : zero();
      transpose16(block);
      const int n = static_cast<int>(smaller(kLanes, rows - k));
      for (int i = 0; i < n; ++i) store(panel + (k + i) * kPanel, block[i]);
    }
  }
}

}  // namespace COPPICE_ISA
}  // namespace coppice
