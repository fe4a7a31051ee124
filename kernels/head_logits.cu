// Logits, tile by tile: they live in registers, and leave a partial each; sample keeps them as well.
#include "head_partials.cuh"
#include "matmul_tile.cuh"

namespace coppice {
namespace {

template <typename Tile>
__global__ void __launch_bounds__(kThreads) head_logits_kernel(HeadLogits head, MatmulArgs args) {
  __shared__ typename Tile::Shared shared;
  Tile tile;
  const int64_t row_begin = static_cast<int64_t>(blockIdx.y) * Tile::kTileRows,
                col_begin = static_cast<int64_t>(blockIdx.x) * kTile;
  tile.product(shared, args, row_begin, col_begin, 0, args.depth);
#pragma unroll
  for (int i = 0; i < Tile::kRows; ++i) {
    const int64_t row = row_begin + Tile::row(i);
    Partial part = {-INFINITY, 0.0f, 0.0f};
    if (row < args.rows) {
      const float inverse = 1.0f / head.temperature[row];
      const int32_t target = head.target == nullptr ? -1 : head.target[row];
#pragma unroll
      for (int j = 0; j < Tile::kCols; ++j) {
        const int64_t col = col_begin + Tile::col(j);
        const float y = tile.acc[i][j] * inverse;
        tile.acc[i][j] = y;
        if (col >= args.cols) continue;
        part.maximum = fmaxf(part.maximum, y);
        if (col == target) head.target_logit[row] = y;
        if (head.logits != nullptr) head.logits[row * args.cols + col] = y;
      }
#pragma unroll
      for (int j = 0; j < Tile::kCols; ++j) {
        if (col_begin + Tile::col(j) >= args.cols) continue;
        const float distance = below(tile.acc[i][j], part.maximum), mass = expf(distance);
        part.sum += mass;
        if (mass != 0.0f) part.weighted = fmaf(mass, distance, part.weighted);
      }
    }
    part = merge_lanes(part, Tile::row_lane(), Tile::kRowLanes);
    if (Tile::row_lane() == 0 && row < args.rows) {
      head.partials[(row * gridDim.x + blockIdx.x) * Tile::kSplits + Tile::split()] = part;
    }
  }
}

}  // namespace

int64_t head_partials(int64_t vocab) {
  return tiles_of(vocab) * ProductTile<kTile>::kSplits;
}

void head_logits(const HeadLogits& head, const MatmulArgs& args, const Stream& stream) {
  with_tile(args, [&](auto tile, dim3 grid) {
    launch("head_logits_kernel", head_logits_kernel<decltype(tile)>, grid, kThreads, stream, head, args);
  });
}

}  // namespace coppice
