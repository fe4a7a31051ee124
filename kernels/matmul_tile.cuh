// The tiles that every product is made of: kTile columns by kTile rows, or by few, by kThreads threads,
// operands through shared memory in slices of kSlice along the depth. An element takes the same steps in any.
#pragma once

#include "matmul.cuh"
#include "tensor_core.cuh"

namespace coppice {

inline constexpr int kTile = 128;
inline constexpr int kFewRows = 16;
inline constexpr int kProductThreads = 256;

// Of an operand `data`: element (outer o, depth k) = data[o * outer_stride + k * depth_stride].
struct Operand {
  const float* data;
  int64_t outer_stride, depth_stride;
  int64_t outer_begin, outer_end;  // of the tile, and of all there is
  int64_t depth_end;
};

// body(outer, depth inside the slice, value), 0 beyond the ends. Which neighbouring elements lie next to each
// other in memory decides how a slice is read.
template <int kOuter, int kSlice, typename Body>
__device__ void for_slice(const Operand& operand, int64_t depth_begin, const Body& body) {
  const bool depth_contiguous = operand.depth_stride == 1;
  for (int e = static_cast<int>(threadIdx.x); e < kOuter * kSlice; e += kProductThreads) {
    const int outer = depth_contiguous ? e / kSlice : e % kOuter;
    const int depth = depth_contiguous ? e % kSlice : e / kOuter;
    const int64_t o = operand.outer_begin + outer, k = depth_begin + depth;
    const bool inside = o < operand.outer_end && k < operand.depth_end;
    body(outer, depth, inside ? operand.data[o * operand.outer_stride + k * operand.depth_stride] : 0.0f);
  }
}

__device__ inline Operand left_of(const MatmulArgs& args, int64_t row_begin, int64_t depth_end) {
  return {args.a, args.a_row, args.a_depth, row_begin, args.rows, depth_end};
}
__device__ inline Operand right_of(const MatmulArgs& args, int64_t col_begin, int64_t depth_end) {
  return {args.b, args.b_col, args.b_depth, col_begin, args.cols, depth_end};
}

// A thread holds acc[i][j] of row row(i) and column col(j) of the tile. kRowLanes neighbouring lanes share
// their rows, and kSplits such groups make a whole row of the tile.
template <int kTileRows_>
struct ProductTile {
  using Args = MatmulArgs;
  static constexpr int kThreads = kProductThreads;
  static constexpr int kTileRows = kTileRows_, kTileCols = kTile;
  static constexpr int kRowLanes = 16, kSplits = 1, kSplitCols = kTile;
  static constexpr int kRows = kTileRows / (kThreads / kRowLanes), kCols = kTile / kRowLanes;
  static constexpr int kSlice = 16;

  struct Shared {
    float a[kSlice][kTileRows + 4];  // padded: the stores of a transposed slice would meet in one bank
    float b[kSlice][kTile + 4];
  };

  // Two quads each, so that a quad is one 16-byte read.
  __device__ static int place(int lane, int i) { return (i < 4 ? 0 : kTile / 2) + lane * 4 + (i & 3); }
  __device__ static int row(int i) {
    const int lane = static_cast<int>(threadIdx.x) / kRowLanes;
    return kRows == 1 ? lane : place(lane, i);
  }
  __device__ static int col(int j) { return place(row_lane(), j); }
  __device__ static int row_lane() { return static_cast<int>(threadIdx.x) % kRowLanes; }
  __device__ static int split() { return 0; }

  __device__ void compute(Shared& shared, const MatmulArgs& args, int64_t row_begin, int64_t col_begin) {
    product(shared, args, row_begin, col_begin, 0, args.depth);
  }
  // The tile at (row_begin, col_begin), over a part of the depth. A padded element beyond it multiplies zero
  // by zero at the end of the chain, which changes no bit of a sum that is not itself a negative zero.
  __device__ void product(Shared& shared, const MatmulArgs& args, int64_t row_begin, int64_t col_begin,
                          int64_t depth_begin, int64_t depth_end) {
    for (int i = 0; i < kRows; ++i) {
      for (int j = 0; j < kCols; ++j) acc[i][j] = 0.0f;
    }
    const Operand left = left_of(args, row_begin, depth_end), right = right_of(args, col_begin, depth_end);
    for (int64_t k = depth_begin; k < depth_end; k += kSlice) {
      for_slice<kTileRows, kSlice>(
          left, k, [&](int outer, int depth, float value) { shared.a[depth][outer] = value; });
      for_slice<kTile, kSlice>(right, k,
                               [&](int outer, int depth, float value) { shared.b[depth][outer] = value; });
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

// body(a tile's type, the grid) for the tile that suits a product.
template <typename Body>
void with_product_tile(const MatmulArgs& args, const Body& body) {
  const unsigned cols = static_cast<unsigned>(tiles_of(args.cols));
  if (args.rows <= kFewRows) {
    body(ProductTile<kFewRows>{}, dim3(cols, blocks_for(args.rows, kFewRows)));
  } else {
    body(ProductTile<kTile>{}, dim3(cols, blocks_for(args.rows, kTile)));
  }
}

}  // namespace coppice
