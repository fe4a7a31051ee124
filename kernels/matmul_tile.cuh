// The tile that every product is made of: kTile x kTile elements by kThreads threads, each 8 x 8 in
// registers, operands through shared memory in slices of kSlice along the depth.
#pragma once

#include "matmul.cuh"

namespace coppice {

inline constexpr int kTile = 128;
inline constexpr int kSlice = 16;
inline constexpr int kThreads = 256;
inline constexpr int kPerThread = 8;

struct MatmulShared {
  float a[kSlice][kTile + 4];  // padded: the stores of a transposed slice would meet in one bank
  float b[kSlice][kTile + 4];
};

// Thread's rows of the tile are row_of(ty, i), its columns column_of(tx, j): two quads each, so that a quad
// is one 16-byte read.
__device__ inline int tile_offset(int lane, int i) {
  return (i < 4 ? 0 : kTile / 2) + lane * 4 + (i & 3);
}

// Element (outer o, depth k) = data[o' * outer_stride + k' * depth_stride]; an index array, where given,
// gathers o or k. Which neighbouring elements lie next to each other in memory decides how a slice is read.
__device__ inline void load_slice(float (*shared)[kTile + 4], const float* data, const int32_t* outer_index,
                                  const int32_t* depth_index, int64_t outer_stride, int64_t depth_stride,
                                  int64_t outer_begin, int64_t outer_end, int64_t depth_begin,
                                  int64_t depth_end) {
  const bool depth_contiguous = depth_stride == 1;
  for (int e = static_cast<int>(threadIdx.x); e < kTile * kSlice; e += kThreads) {
    const int outer = depth_contiguous ? e / kSlice : e % kTile;
    const int depth = depth_contiguous ? e % kSlice : e / kTile;
    const int64_t o = outer_begin + outer, k = depth_begin + depth;
    float value = 0.0f;
    if (o < outer_end && k < depth_end) {
      const int64_t from_outer = outer_index == nullptr ? o : static_cast<int64_t>(outer_index[o]);
      const int64_t from_depth = depth_index == nullptr ? k : static_cast<int64_t>(depth_index[k]);
      value = data[from_outer * outer_stride + from_depth * depth_stride];
    }
    shared[depth][outer] = value;
  }
}

// acc[i][j] of this thread for the tile at (row_begin, col_begin). A padded element beyond the depth
// multiplies zero by zero at the end of the chain, which changes no bit of a sum that is not itself a
// negative zero.
__device__ inline void tile_product(float (&acc)[kPerThread][kPerThread], MatmulShared& shared,
                                    const MatmulArgs& args, int64_t row_begin, int64_t col_begin) {
  const int tx = static_cast<int>(threadIdx.x) % 16, ty = static_cast<int>(threadIdx.x) / 16;
  for (int i = 0; i < kPerThread; ++i) {
    for (int j = 0; j < kPerThread; ++j) acc[i][j] = 0.0f;
  }
  for (int64_t k = 0; k < args.depth; k += kSlice) {
    load_slice(shared.a, args.a, args.a_rows, nullptr, args.a_row, args.a_depth, row_begin, args.rows, k,
               args.depth);
    load_slice(shared.b, args.b, nullptr, args.b_depth_index, args.b_col, args.b_depth, col_begin, args.cols,
               k, args.depth);
    __syncthreads();
#pragma unroll
    for (int s = 0; s < kSlice; ++s) {
      float a[kPerThread], b[kPerThread];
#pragma unroll
      for (int i = 0; i < kPerThread; ++i) a[i] = shared.a[s][tile_offset(ty, i)];
#pragma unroll
      for (int j = 0; j < kPerThread; ++j) b[j] = shared.b[s][tile_offset(tx, j)];
#pragma unroll
      for (int i = 0; i < kPerThread; ++i) {
#pragma unroll
        for (int j = 0; j < kPerThread; ++j) acc[i][j] = fmaf(a[i], b[j], acc[i][j]);
      }
    }
    __syncthreads();
  }
}

}  // namespace coppice
