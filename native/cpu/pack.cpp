// Operands rearranged for products: see gemm.h for the layouts.
#include "cpu/gemm.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// Lanes j .. j + 15 of a row of which `left` are there; zeros past them.
COPPICE_INLINE Vec lanes_at(const float* row, int64_t j, int64_t left) {
  if (left - j >= kLanes) return load(row + j);
  return left > j ? load_first(row + j, static_cast<int>(left - j)) : zero();
}

// Two rows of words, each word of two neighbours in its row, become words of two neighbours in a column:
// `first` those of the first 16 columns, `second` of the other 16.
COPPICE_INLINE void pair_rows_of_words(Vec& first, Vec& second) {
  const Int low_half = splat_int(0xFFFF);
  const Int even = (as_int(first) & low_half) + shift_left<16>(as_int(second));
  const Int odd = (shift_right<16>(as_int(first)) & low_half) + as_int(second_of_pair(second));
  first = as_float(even);
  second = as_float(odd);
  interleave(first, second);
}

}  // namespace

void round_row(float* words, const float* src, int64_t cols) {
  for (int64_t j = 0; j < cols; j += 2 * kLanes) {
    Vec even = lanes_at(src, j, cols), odd = lanes_at(src, j + kLanes, cols);
    deinterleave(even, odd);
    store_lanes(words + j / 2, pair_of(even, odd), static_cast<int>(smaller(kLanes, ceil_div(cols - j, 2))));
  }
}

void round_row_pair(float* words, const float* first, const float* second, int64_t cols) {
  for_lanes(cols, [&](int64_t j, int n) {
    const Vec other = second == nullptr ? zero() : load_lanes(second + j, n);
    store_lanes(words + j, pair_of(load_lanes(first + j, n), other), n);
  });
}

void pack_right(float* panels, const float* src, int64_t src_stride, int64_t rows, int64_t cols,
                DType dtype) {
  const int64_t depth = product_depth(dtype, rows);
  for (int64_t j = 0; j < cols; j += kPanel) {
    float* panel = panels + j * depth;
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t half = 0; half < kPanel; half += kLanes) {
        const int64_t at = j + half;
        Vec packed;
        if (dtype == DType::kBF16) {
          const float* row = src + 2 * k * src_stride;
          const Vec second = 2 * k + 1 < rows ? lanes_at(row + src_stride, at, cols) : zero();
          packed = pair_of(lanes_at(row, at, cols), second);
        } else {
          packed = lanes_at(src + k * src_stride, at, cols);
        }
        store(panel + k * kPanel + half, packed);
      }
    }
  }
}

void read_row(const Parameter& weight, int64_t row, float* values) {
  const int64_t depth = product_depth(weight.dtype, weight.cols);
  const float* source =
      static_cast<const float*>(weight.storage) + (row / kPanel) * depth * kPanel + row % kPanel;
  if (weight.dtype == DType::kF32) {
    for (int64_t k = 0; k < depth; ++k) values[k] = source[k * kPanel];
    return;
  }
  for (int64_t k = 0; k < depth; ++k) {
    const Vec word = splat(source[k * kPanel]);
    values[2 * k] = first(first_of_pair(word));
    if (2 * k + 1 < weight.cols) values[2 * k + 1] = first(second_of_pair(word));
  }
}

void pack_parameter_rows(float* panels, const Parameter& weight, int64_t row_begin, int64_t rows,
                         int64_t col_begin, int64_t cols) {
  const float* storage = static_cast<const float*>(weight.storage);
  const bool words = weight.dtype == DType::kBF16;
  const int64_t stored_depth = product_depth(weight.dtype, weight.cols);
  const int64_t depth = product_depth(weight.dtype, rows);
  // A vector of what is stored holds 16 columns of W, or 32 as words.
  const int64_t columns_a_vector = words ? 2 * kLanes : kLanes;
  const auto panel_at = [&](int64_t j) { return panels + (j / kPanel) * depth * kPanel + j % kPanel; };
  const int64_t padded_cols = round_up(cols, kPanel);
  for (int64_t j = 0; j < padded_cols; j += columns_a_vector) {
    float* const panel = panel_at(j);
    // Panels of 16 columns end within a vector of words.
    float* const second_panel = j + kLanes < padded_cols ? panel_at(j + kLanes) : nullptr;
    const int64_t stored_at = product_depth(weight.dtype, col_begin + j);
    for (int64_t k = 0; k < rows; k += kLanes) {
      const int64_t row = row_begin + k;
      const float* source = storage + ((row / kPanel) * stored_depth + stored_at) * kPanel + row % kPanel;
      const int64_t left = product_depth(weight.dtype, cols) - product_depth(weight.dtype, j);
      Vec block[16];
      for (int i = 0; i < 16; ++i) block[i] = i < left ? load(source + i * kPanel) : zero();
      transpose16(block);
      const int n = static_cast<int>(smaller(kLanes, rows - k));
      if (!words) {
        for (int i = 0; i < n; ++i) store(panel + (k + i) * kPanel, block[i]);
        continue;
      }
      for (int i = 0; i < n; i += 2) {
        Vec second = i + 1 < n ? block[i + 1] : zero();
        pair_rows_of_words(block[i], second);
        store(panel + (k + i) / 2 * kPanel, block[i]);
        if (second_panel != nullptr) store(second_panel + (k + i) / 2 * kPanel, second);
      }
    }
  }
}

}  // namespace COPPICE_ISA
}  // namespace coppice
