// The tiles of a product in bf16: warps of 16 kFragments rows by 32 columns, kWarpRows by kWarpCols of them.
// Slices of both operands come to shared memory by asynchronous copies, kStages - 1 ahead of their use.
#pragma once

#include "backend/backend.h"
#include "base/tensor.h"
#include "tensor_core.cuh"
#include "tensor_matmul.cuh"

namespace coppice {

inline constexpr int kSliceDepth = 64;
inline constexpr int kPiece = 8;  // numbers that are copied at once

// Of one operand in shared memory: lines of kWidth numbers. The pieces of a line change places by its number,
// so that the eight lines that load_matrices reads at once lie in different banks.
template <int kOuter, Along kAlong>
struct TensorSlice {
  static constexpr bool kDeep = kAlong == Along::kDepth;
  static constexpr int kLines = kDeep ? kOuter : kSliceDepth, kWidth = kDeep ? kSliceDepth : kOuter;
  static constexpr int kPieces = kWidth / kPiece, kPlaces = kPieces < 8 ? kPieces : 8;

  Bf16 numbers[kLines * kWidth];

  __device__ Bf16* piece(int line, int index) {
    return numbers + line * kWidth + (index ^ (line / (8 / kPlaces) % kPlaces)) * kPiece;
  }

  // From (outer_begin, depth_begin) on; zero beyond the ends.
  template <int kThreads>
  __device__ void copy(const Bf16* data, int64_t stride, int64_t outer_begin, int64_t outer_end,
                       int64_t depth_begin, int64_t depth_end) {
    const int64_t line_begin = kDeep ? outer_begin : depth_begin, line_end = kDeep ? outer_end : depth_end,
                  begin = kDeep ? depth_begin : outer_begin, end = kDeep ? depth_end : outer_end;
#pragma unroll
    for (int first = 0; first < kLines * kPieces; first += kThreads) {
      const int e = first + static_cast<int>(threadIdx.x);
      if (kLines * kPieces % kThreads != 0 && e >= kLines * kPieces) break;
      const int64_t line = line_begin + e / kPieces, at = begin + e % kPieces * kPiece;
      const int64_t left = line < line_end ? end - at : 0;
      const int numbers_left = left < 0 ? 0 : left < kPiece ? static_cast<int>(left) : kPiece;
      copy_async(piece(e / kPieces, e % kPieces), numbers_left > 0 ? data + line * stride + at : data,
                 numbers_left * static_cast<int>(sizeof(Bf16)));
    }
  }

  // Of a left operand, sixteen rows from `outer` and sixteen of the depth, as multiply_add takes them.
  __device__ void load_left(uint32_t (&a)[4], int outer, int depth) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (kDeep) {
      load_matrices(a, piece(outer + lane % 16, depth / kPiece + lane / 16));
    } else {
      load_transposed_matrices(a, piece(depth + lane / 16 * 8 + lane % 8, outer / kPiece + lane / 8 % 2));
    }
  }
  // Of a right operand, sixteen columns: b0 and b1 of the first eight, then of the others.
  __device__ void load_right(uint32_t (&b)[4], int outer, int depth) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    if (kDeep) {
      load_matrices(b, piece(outer + lane / 16 * 8 + lane % 8, depth / kPiece + lane / 8 % 2));
    } else {
      load_transposed_matrices(b, piece(depth + lane % 16, outer / kPiece + lane / 16));
    }
  }
};

// A thread holds acc[i][j] of row row(i) and column col(j) of the tile. kRowLanes neighbouring lanes share
// their rows, and kSplits such groups make a whole row of the tile.
template <Along kA, Along kB, int kWarpRows, int kWarpCols, int kFragments, int kStages>
struct TensorTile {
  using Args = TensorArgs;
  static constexpr int kThreads = 32 * kWarpRows * kWarpCols;
  static constexpr int kWarpHeight = 16 * kFragments, kWarpWidth = 32;
  static constexpr int kTileRows = kWarpRows * kWarpHeight, kTileCols = kWarpCols * kWarpWidth;
  static constexpr int kRows = 2 * kFragments, kCols = kWarpWidth / 4;
  static constexpr int kRowLanes = 4, kSplits = kWarpCols, kSplitCols = kWarpWidth;

  struct Shared {
    TensorSlice<kTileRows, kA> a[kStages];
    TensorSlice<kTileCols, kB> b[kStages];
  };

  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int split() { return warp() % kWarpCols; }
  __device__ static int row_lane() { return lane() % kRowLanes; }
  __device__ static int warp_row() { return warp() / kWarpCols * kWarpHeight; }
  __device__ static int row(int i) { return warp_row() + i * 8 + lane() / kRowLanes; }
  __device__ static int col(int j) { return split() * kWarpWidth + j / 2 * 8 + row_lane() * 2 + j % 2; }

  // The tile at (row_begin, col_begin) into acc.
  __device__ void compute(Shared& shared, const TensorArgs& args, int64_t row_begin, int64_t col_begin) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int j = 0; j < kCols; ++j) acc[i][j] = 0.0f;
    }
    product(shared, args, row_begin, col_begin);
  }
  // The same, added to acc.
  __device__ void product(Shared& shared, const TensorArgs& args, int64_t row_begin, int64_t col_begin) {
    constexpr int kSlicesOfBlock = static_cast<int>(kProductDepth) / kSliceDepth;
    static_assert(kProductDepth % kSliceDepth == 0);
    const int slices = static_cast<int>((args.depth + kSliceDepth - 1) / kSliceDepth);
    const auto fetch = [&](int slice) {
      if (slice < slices) {
        const int64_t depth = static_cast<int64_t>(slice) * kSliceDepth;
        shared.a[slice % kStages].template copy<kThreads>(args.a, args.a_stride, row_begin, args.rows, depth,
                                                          args.depth);
        shared.b[slice % kStages].template copy<kThreads>(args.b, args.b_stride, col_begin, args.cols, depth,
                                                          args.depth);
      }
      commit_copies();  // an empty group where there is none, so that groups count slices
    };
    for (int slice = 0; slice < kStages - 1; ++slice) fetch(slice);
    float block[kFragments][kWarpWidth / 8][4] = {};
    for (int slice = 0; slice < slices; ++slice) {
      wait_for_copies<kStages - 2>();
      __syncthreads();  // all copies of this slice are there, and nobody reads the stage that is filled next
      fetch(slice + kStages - 1);
      multiply(block, shared.a[slice % kStages], shared.b[slice % kStages]);
      if ((slice + 1) % kSlicesOfBlock == 0 || slice + 1 == slices) add(block);
    }
  }

  float acc[kRows][kCols];

 private:
  __device__ static void multiply(float (&block)[kFragments][kWarpWidth / 8][4],
                                  TensorSlice<kTileRows, kA>& a, TensorSlice<kTileCols, kB>& b) {
#pragma unroll
    for (int depth = 0; depth < kSliceDepth; depth += 16) {
      uint32_t left[kFragments][4], right[kWarpWidth / 16][4];
#pragma unroll
      for (int i = 0; i < kFragments; ++i) a.load_left(left[i], warp_row() + 16 * i, depth);
#pragma unroll
      for (int j = 0; j < kWarpWidth / 16; ++j) b.load_right(right[j], split() * kWarpWidth + 16 * j, depth);
#pragma unroll
      for (int i = 0; i < kFragments; ++i) {
#pragma unroll
        for (int j = 0; j < kWarpWidth / 8; ++j)
          multiply_add(block[i][j], left[i], right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]);
      }
    }
  }

  __device__ void add(float (&block)[kFragments][kWarpWidth / 8][4]) {
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
#pragma unroll
      for (int j = 0; j < kCols; ++j) {
        float& sum = block[i / 2][j / 2][i % 2 * 2 + j % 2];
        acc[i][j] += sum;
        sum = 0.0f;
      }
    }
  }
};

// Tiles that one wave of the larger cards takes.
inline constexpr int64_t kManyTiles = 108;

// body(a tile's type, the grid) for the tile that suits a product.
template <Along kA, Along kB, typename Body>
void with_tensor_tile(const TensorArgs& args, const Body& body) {
  using Few = TensorTile<kA, kB, 1, 1, 1, 6>;
  using Some = TensorTile<kA, kB, 2, 2, 2, 3>;
  using Many = TensorTile<kA, kB, 2, 4, 4, 3>;
  const auto run = [&](auto tile) {
    using Tile = decltype(tile);
    body(tile, dim3(blocks_for(args.cols, Tile::kTileCols), blocks_for(args.rows, Tile::kTileRows)));
  };
  const int64_t large_tiles =
      static_cast<int64_t>(blocks_for(args.rows, Many::kTileRows)) * blocks_for(args.cols, Many::kTileCols);
  if (args.rows <= Few::kTileRows) {
    run(Few{});
  } else if (args.rows <= Some::kTileRows || large_tiles < kManyTiles) {
    run(Some{});
  } else {
    run(Many{});
  }
}

}  // namespace coppice
