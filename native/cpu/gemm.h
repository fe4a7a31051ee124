// Products. Everything here runs on the calling thread; ops divide output tiles among threads themselves.
//
// The products rule (ops/ops.h): element [i][j] accumulates over k in order by fma, in blocks of
// kProductDepth from zero, and the blocks are added in order. Lanes run across columns, so neither the tile's
// height nor its width changes a bit: any range of rows and columns may be computed by itself.
//
// bf16. A product of bf16 operands walks over k in words of two neighbours (simd.h): its operands are
// matrices of words, `depth` counts words, and everything else is as it is for floats, kProductDepth
// included: element [i][j] takes in word after word by dot_pairs. Where the depth is odd the last word's
// second number is 0 in both.
//
// The right operand stands in panels of kPanel columns, [panel][k][kPanel], the last one padded with zeros. A
// kMatrix parameter W [rows, cols] is stored as panels of W^T: with P = kPanel, panel p holds rows P p .. P p
// + P - 1 of W, element (r, k) at storage[((r / P) * depth + k) * P + r % P], in floats with depth = cols or
// in words with depth = ceil(cols / 2).
#pragma once

#include "backend/backend.h"
#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {

// Columns of a panel: as many as a tile of full height takes, so that it reads whole lines one after the
// other. Where a tile takes half of wider panels, the other half's lines are fetched for nothing and only
// half of the first-level cache's sets are used.
inline constexpr int64_t kPanel = kTileVectors > 1 ? 2 * kLanes : kLanes;
inline constexpr int kPanelVectors = static_cast<int>(kPanel) / kLanes;
// Rows of A that are packed at a time: kPackRows x kProductDepth floats stay in the second-level cache.
inline constexpr int64_t kPackRows = kTileRows * ((252 + kTileRows - 1) / kTileRows);

// Columns of B over one block of k that stay in the second-level cache while tiles of rows go by.
inline constexpr int64_t kBlockCols = 256;

// A(i, k) = data[i * stride + k], or data[k * stride + i] where transposed.
struct Left {
  const float* data;
  int64_t stride;
  bool transposed = false;

  const float* row(int64_t i) const { return data + (transposed ? i : i * stride); }
  Left from(int64_t i, int64_t k) const {
    return {row(i) + (transposed ? k * stride : k), stride, transposed};
  }
};

// B(k, j) = data[(j / kPanel) * panel_stride + k * row_stride + j % kPanel]. Where `padded`, a panel may be
// read at its full width.
struct Right {
  const float* data;
  int64_t panel_stride;
  int64_t row_stride;
  bool padded;
};

// Panels [ceil(cols / kPanel)][depth][kPanel].
COPPICE_INLINE Right packed_right(const float* panels, int64_t depth) {
  return {panels, depth * kPanel, kPanel, true};
}
// Values [cols] of one row of a kMatrix parameter.
void read_row(const Parameter& weight, int64_t row, float* values);

// How many steps a product takes over `count` elements of k: floats, or words.
COPPICE_INLINE int64_t product_depth(DType dtype, int64_t count) {
  return dtype == DType::kBF16 ? ceil_div(count, 2) : count;
}
// x W^T for the rows of W from row_begin on, which must be a multiple of kPanel: B(k, j) = W[row_begin +
// j][k].
COPPICE_INLINE Right parameter_right(const Parameter& weight, int64_t row_begin) {
  const int64_t depth = product_depth(weight.dtype, weight.cols);
  return packed_right(static_cast<const float*>(weight.storage) + row_begin * depth, depth);
}
// A plain row-major matrix [depth, cols] with `stride` floats from row to row.
COPPICE_INLINE Right row_major_right(const float* data, int64_t stride) {
  return {data, kPanel, stride, false};
}

// out[i][j] = sum_k A(i, k) B(k, j) by the products rule, then
//   + into_out:  out[i][j] = (((out + block 0) + block 1) + ...), as parameter gradients accumulate
//   + addend:    out[i][j] = addend[i][j] + (the sum), with addend_stride 0 for one row that all share (a
//   bias)
// Partial sums of several blocks are kept in `partial` (null: in out itself, which addend must then not
// overlap).
struct Product {
  DType dtype = DType::kF32;  // of the operands
  Left a = {};
  Right b = {};
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t depth = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
  bool into_out = false;
  const float* addend = nullptr;
  int64_t addend_stride = 0;
  float* partial = nullptr;
  int64_t partial_stride = 0;
  // kPackFloats floats of this thread's own, into which a transposed A is copied tile by tile, or null: then
  // it is read where it stands, which a tile of a wide matrix does a line for each k. Never changes a bit.
  float* pack = nullptr;
};
inline constexpr int64_t kPackFloats = kPackRows * (kProductDepth + kLanes);
void product(const Product& product);

// One chain without blocks, for short depths (attention): c[i][j] = fma over k in order, from zero or, where
// `from_c`, from c[i][j] itself. B is row-major; no float past its `cols` columns is touched, nor of c.
void chain_product(float* c, int64_t c_stride, Left a, const float* b, int64_t b_stride, int64_t rows,
                   int64_t cols, int64_t depth, bool from_c);

// ---- packing ----

// Row-major src [rows, cols] as a right operand with k along the rows: panels [ceil(cols /
// kPanel)][depth][kPanel] of floats or words, zeros in the padding.
void pack_right(float* panels, const float* src, int64_t src_stride, int64_t rows, int64_t cols, DType dtype);
// Rows of W as a right operand: B(k, j) = W[row_begin + k][col_begin + j] for k < rows, j < cols, in panels
// of product_depth(rows) depth. col_begin must be a multiple of 32 and of kPanel, row_begin of 2.
void pack_parameter_rows(float* panels, const Parameter& weight, int64_t row_begin, int64_t rows,
                         int64_t col_begin, int64_t cols);
// words[j] = src[2 j], src[2 j + 1] as bf16, j < ceil(cols / 2): a row that a product walks along.
void round_row(float* words, const float* src, int64_t cols);
// words[j] = first[j], second[j] as bf16, j < cols; second may be null for 0: two rows that a product walks
// across.
void round_row_pair(float* words, const float* first, const float* second, int64_t cols);
COPPICE_INLINE int64_t packed_floats(int64_t depth, int64_t cols) {
  return depth * round_up(cols, kPanel);
}

}  // namespace COPPICE_ISA
}  // namespace coppice
