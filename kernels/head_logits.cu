// Logits, tile by tile: they live in registers, and leave a partial each; sample keeps them as well.
#include "head_partials.cuh"
#include "head_tile.cuh"

namespace coppice {
namespace {

// Columns of a partial, which are the same in every tile of a type of parameter.
constexpr int kFloatCols = ProductTile<kTile>::kSplitCols, kNarrowCols = kWarp;

template <typename Tile>
__global__ void __launch_bounds__(Tile::kThreads)
    head_logits_kernel(HeadLogits head, typename Tile::Args args, int64_t partials) {
  auto& shared = shared_memory<typename Tile::Shared>();
  Tile tile;
  const int64_t row_begin = static_cast<int64_t>(blockIdx.y) * Tile::kTileRows,
                col_begin = static_cast<int64_t>(blockIdx.x) * Tile::kTileCols;
  tile.compute(shared, args, row_begin, col_begin);
  const int64_t place = static_cast<int64_t>(blockIdx.x) * Tile::kSplits + Tile::split();
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
    if (Tile::row_lane() == 0 && row < args.rows && place < partials)
      head.partials[row * partials + place] = part;
  }
}

}  // namespace

int64_t head_partials(int64_t vocab, DType dtype) {
  return blocks_for(vocab, dtype == DType::kBF16 ? kNarrowCols : kFloatCols);
}

void head_logits(const HeadLogits& head, const HeadRows& x, const Parameter& weight, const Stream& stream) {
  with_logits_tile(x, weight, 0, weight.rows, [&](auto tile, dim3 grid, const auto& args) {
    using Tile = decltype(tile);
    static_assert(Tile::kSplitCols ==
                  (std::is_same_v<typename Tile::Args, TensorArgs> ? kNarrowCols : kFloatCols));
    launch_sharing(sizeof(typename Tile::Shared), "head_logits_kernel", head_logits_kernel<Tile>, grid,
                   Tile::kThreads, stream, head, args, head_partials(weight.rows, weight.dtype));
  });
}

}  // namespace coppice
