#include "backend/backend.h"
#include "matmul_tile.cuh"

namespace coppice {
namespace {

template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads) matmul_kernel(MatmulArgs args) {
  auto& shared = shared_memory<typename Tile::Shared>();
  Tile tile;
  const int64_t row_begin = static_cast<int64_t>(blockIdx.y) * Tile::kTileRows,
                col_begin = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t step = args.accumulate ? kProductDepth : args.depth;
  int64_t depth = 0;
  do {
    const int64_t end = depth + step < args.depth ? depth + step : args.depth;
    tile.product(shared, args, row_begin, col_begin, depth, end);
    depth = end;
#pragma unroll
    for (int i = 0; i < Tile::kRows; ++i) {
      const int64_t row = row_begin + Tile::row(i);
#pragma unroll
      for (int j = 0; j < Tile::kCols; ++j) {
        const int64_t col = col_begin + Tile::col(j);
        if (row >= args.rows || col >= args.cols) continue;
        float* out = args.out + row * args.out_stride + col;
        float value = tile.acc[i][j];
        if (args.bias != nullptr) value += args.bias[col];
        *out = args.accumulate ? *out + value : value;
      }
    }
  } while (depth < args.depth);
}

}  // namespace

void matmul(const MatmulArgs& args, const Stream& stream) {
  with_product_tile(args, [&](auto tile, dim3 grid) {
    using Tile = decltype(tile);
    launch_sharing(sizeof(typename Tile::Shared), "matmul_kernel", matmul_kernel<Tile>, grid, Tile::kThreads,
                   stream, args);
  });
}

}  // namespace coppice
