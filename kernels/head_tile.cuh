// The logits of rows against a weight, or against some of its rows: in f32 by fma, in bf16 on tensor cores.
#pragma once

#include "cuda_backend.cuh"
#include "matmul_tile.cuh"
#include "tensor_tile.cuh"

namespace coppice {

// Rows that meet the head's weight: floats where it is in f32, r of them where it is in bf16.
struct HeadRows {
  void* data;
  int64_t rows, cols, stride;

  float* floats() const { return static_cast<float*>(data); }
  Bf16* narrow() const { return static_cast<Bf16*>(data); }

  // In scratch, of which they take `bytes`.
  static HeadRows at(void* data, int64_t rows, int64_t cols, DType dtype) {
    return {data, rows, cols, dtype == DType::kBF16 ? bf16_stride(cols) : cols};
  }
  static size_t bytes(int64_t rows, int64_t cols, DType dtype) {
    const size_t bytes =
        dtype == DType::kBF16 ? bf16_bytes(rows, cols) : static_cast<size_t>(rows * cols) * sizeof(float);
    return (bytes + 63) / 64 * 64;
  }
};

// body(a tile's type, the grid, its arguments) for logits [x.rows, vocab] against rows [vocab_begin,
// vocab_begin + vocab) of the weight.
template <typename Body>
void with_logits_tile(const HeadRows& x, const Parameter& weight, int64_t vocab_begin, int64_t vocab,
                      const Body& body) {
  if (weight.dtype == DType::kBF16) {
    TensorArgs args;
    args.a = x.narrow();
    args.a_stride = x.stride;
    args.b = static_cast<const Bf16*>(weight.storage) + vocab_begin * matrix_stride(weight);
    args.b_stride = matrix_stride(weight);
    args.rows = x.rows;
    args.cols = vocab;
    args.depth = weight.cols;
    with_tensor_tile<Along::kDepth, Along::kDepth>(args,
                                                   [&](auto tile, dim3 grid) { body(tile, grid, args); });
  } else {
    MatmulArgs args;
    args.a = x.floats();
    args.a_row = x.stride;
    args.b = static_cast<const float*>(weight.storage) + vocab_begin * weight.cols;  // B(k, j) = W[j][k]
    args.b_col = weight.cols;
    args.rows = x.rows;
    args.cols = vocab;
    args.depth = weight.cols;
    with_product_tile(args, [&](auto tile, dim3 grid) { body(tile, grid, args); });
  }
}

}  // namespace coppice
