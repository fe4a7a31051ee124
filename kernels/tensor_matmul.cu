#include "tensor_matmul.cuh"

#include "tensor_tile.cuh"

namespace coppice {
namespace {

template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads) tensor_matmul_kernel(TensorArgs args) {
  auto& shared = shared_memory<typename Tile::Shared>();
  Tile tile;
  const int64_t row_begin = static_cast<int64_t>(blockIdx.y) * Tile::kTileRows,
                col_begin = static_cast<int64_t>(blockIdx.x) * Tile::kTileCols;
  const auto inside = [&](int i, int j) {
    return row_begin + Tile::row(i) < args.rows && col_begin + Tile::col(j) < args.cols;
  };
  const auto out = [&](int i, int j) -> float& {
    return args.out[(row_begin + Tile::row(i)) * args.out_stride + col_begin + Tile::col(j)];
  };
#pragma unroll
  for (int i = 0; i < Tile::kRows; ++i) {
#pragma unroll
    for (int j = 0; j < Tile::kCols; ++j) {
      tile.acc[i][j] = 0.0f;
      if (args.accumulate && inside(i, j)) tile.acc[i][j] = out(i, j);
    }
  }
  tile.product(shared, args, row_begin, col_begin);
#pragma unroll
  for (int i = 0; i < Tile::kRows; ++i) {
#pragma unroll
    for (int j = 0; j < Tile::kCols; ++j) {
      if (!inside(i, j)) continue;
      float value = tile.acc[i][j];
      if (args.bias != nullptr) value += args.bias[col_begin + Tile::col(j)];
      out(i, j) = value;
    }
  }
}

template <Along kA, Along kB>
void run(const TensorArgs& args, const Stream& stream) {
  with_tensor_tile<kA, kB>(args, [&](auto tile, dim3 grid) {
    using Tile = decltype(tile);
    launch_sharing(sizeof(typename Tile::Shared), "tensor_matmul_kernel", tensor_matmul_kernel<Tile>, grid,
                   Tile::kThreads, stream, args);
  });
}

}  // namespace

void tensor_matmul(Along a, Along b, const TensorArgs& args, const Stream& stream) {
  if (a == Along::kOuter) {
    run<Along::kOuter, Along::kOuter>(args, stream);
  } else if (b == Along::kOuter) {
    run<Along::kDepth, Along::kOuter>(args, stream);
  } else {
    run<Along::kDepth, Along::kDepth>(args, stream);
  }
}

}  // namespace coppice
