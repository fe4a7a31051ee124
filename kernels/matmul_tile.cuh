// The tile that every product in f32 is made of: kTile x kTile elements by kThreads threads, each 8 x 8 in
// registers, operands through shared memory in slices of kSlice along the depth.
#pragma once

#include "matmul.cuh"

namespace coppice {

inline constexpr int kTile = 128;
inline constexpr int kThreads = 256;

// Of an operand `data`: element (outer o, depth k) = data[o * outer_stride + k * depth_stride].
template <typename T>
struct Operand {
  const T* data;
  int64_t outer_stride, depth_stride;
  int64_t outer_begin, outer_end;  // of the tile, and of all there is
  int64_t depth;
};

// body(outer, depth inside the slice, value), 0 beyond the ends. Which neighbouring elements lie next to each
// other in memory decides how a slice is read.
template <int kSlice, typename T, typename Body>
__device__ void for_slice(const Operand<T>& operand, int64_t depth_begin, const Body& body) {
  const bool depth_contiguous = operand.depth_stride == 1;
  for (int e = static_cast<int>(threadIdx.x); e < kTile * kSlice; e += kThreads) {
    const int outer = depth_contiguous ? e / kSlice : e % kTile;
    const int depth = depth_contiguous ? e % kSlice : e / kTile;
    const int64_t o = operand.outer_begin + outer, k = depth_begin + depth;
    const bool inside = o < operand.outer_end && k < operand.depth;
    body(outer, depth, inside ? operand.data[o * operand.outer_stride + k * operand.depth_stride] : T());
  }
}

__device__ inline Operand<float> left_of(const MatmulArgs& args, int64_t row_begin) {
  return {args.a, args.a_row, args.a_depth, row_begin, args.rows, args.depth};
}
template <typename T>
__device__ Operand<T> right_of(const MatmulArgs& args, int64_t col_begin) {
  return {static_cast<const T*>(args.b), args.b_col, args.b_depth, col_begin, args.cols, args.depth};
}

// A thread holds acc[i][j] of row row(i) and column col(j) of the tile. kRowLanes neighbouring lanes share
// their rows, and kSplits such groups make a whole row of the tile.
struct Fp32Tile {
  static constexpr DType kDType = DType::kF32;
  static constexpr int kRows = 8, kCols = 8, kRowLanes = 16, kSplits = 1;
  static constexpr int kSlice = 16;

  struct Shared {
    float a[kSlice][kTile + 4];  // padded: the stores of a transposed slice would meet in one bank
    float b[kSlice][kTile + 4];
  };

  // Two quads each, so that a quad is one 16-byte read.
  __device__ static int place(int lane, int i) { return (i < 4 ? 0 : kTile / 2) + lane * 4 + (i & 3); }
  __device__ static int row(int i) { return place(static_cast<int>(threadIdx.x) / kRowLanes, i); }
  __device__ static int col(int j) { return place(row_lane(), j); }
  __device__ static int row_lane() { return static_cast<int>(threadIdx.x) % kRowLanes; }
  __device__ static int split() { return 0; }

  // The tile at (row_begin, col_begin). A padded element beyond the depth multiplies zero by zero at the end of
  // the chain, which changes no bit of a sum that is not itself a negative zero.
  __device__ void product(Shared& shared, const MatmulArgs& args, int64_t row_begin, int64_t col_begin) {
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < kCols; ++j) acc[i][j] = 0.0f;
    }
    const Operand<float> left = left_of(args, row_begin), right = right_of<float>(args, col_begin);
    for (int64_t k = 0; k < args.depth; k += kSlice) {
      for_slice<kSlice>(left, k, [&](int outer, int depth, float value) { shared.a[depth][outer] = value; });
      for_slice<kSlice>(right, k, [&](int outer, int depth, float value) { shared.b[depth][outer] = value; });
      __syncthreads();
#pragma unroll
      for (int s = 0; s < kSlice; ++s) {
        float a[kRows], b[kCols];
#pragma unroll
        for (int i = 0; i < kRows; ++i) a[i] = shared.a[s][row(i)];
#pragma unroll
        for (int j = 0; j < kCols; ++j) b[j] = shared.b[s][col(j)];
#pragma unroll
        for (int i = 0; i < kRows; ++i) {
#pragma unroll
          for (int j = 0; j < kCols; ++j) acc[i][j] = fmaf(a[i], b[j], acc[i][j]);
        }
      }
      __syncthreads();
    }
  }

  float acc[kRows][kCols];
};

inline int64_t tiles_of(int64_t count) {
  return (count + kTile - 1) / kTile;
}

}  // namespace coppice
