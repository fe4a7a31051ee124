// Products of bf16 numbers on tensor cores, shared by linear, head and sample.
#pragma once

#include "bf16.cuh"
#include "launch.cuh"

namespace coppice {

// Which neighbours of an operand lie next to each other in memory: element (outer o, depth k) is
// data[o * stride + k] along the depth, data[k * stride + o] along its outer side.
enum class Along { kDepth, kOuter };

// out[i][j] = sum_k A(i, k) B(k, j), with i and j the operands' outer sides. An element adds steps of sixteen
// products in order, from zero in each block of kProductDepth, whose sums are added in order in fp32. The
// tile in which it is computed changes none of this, so neither does the number of rows. A product that is
// added to what is there may be cut between two blocks.
struct TensorArgs {
  float* out = nullptr;
  int64_t out_stride = 0;
  // Data and strides are multiples of 16 bytes.
  const Bf16* a = nullptr;
  int64_t a_stride = 0;
  const Bf16* b = nullptr;
  int64_t b_stride = 0;
  int64_t rows = 0, cols = 0, depth = 0;
  const float* bias = nullptr;  // [cols], added after the sum
  bool accumulate = false;      // the blocks' sums are added to what is in `out`
};

// A along kDepth and B along kDepth (x W^T), kDepth and kOuter (dout W), or both along kOuter (dout^T x).
void tensor_matmul(Along a, Along b, const TensorArgs& args, const Stream& stream);

}  // namespace coppice
