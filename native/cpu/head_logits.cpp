#include "cpu/head_logits.h"

namespace coppice {
namespace COPPICE_ISA {

int64_t logit_tile_rows(int64_t rows, int64_t blocks, int threads, int64_t most) {
  int64_t tile = most;
  while (tile >= 2 * kTileRows && ceil_div(rows, tile) * blocks < 2 * threads) tile /= 2;
  // Even ones: a tile of few rows reads as much of the weight as one of many.
  return smaller(tile, round_up(ceil_div(rows, ceil_div(rows, tile)), kTileRows));
}

void block_logits(float* y, int64_t y_stride, Left hidden, int64_t rows, const Parameter& weight,
                  int64_t block, const float* inverse_temperature) {
  Product work;
  work.dtype = weight.dtype;
  work.a = hidden;
  work.b = parameter_right(weight, block * kVocabBlock);
  work.rows = rows;
  work.cols = vocab_block_cols(weight.rows, block);
  work.depth = product_depth(weight.dtype, weight.cols);
  work.out = y;
  work.out_stride = y_stride;
  product(work);
  for (int64_t r = 0; r < rows; ++r) {
    if (inverse_temperature[r] == 1.0f) continue;
    float* row = y + r * y_stride;
    const Vec factor = splat(inverse_temperature[r]);
    for_lanes(work.cols, [&](int64_t j, int n) { store_lanes(row + j, load_lanes(row + j, n) * factor, n); });
  }
}

BlockSums reduce_block(const float* y, int64_t cols) {
  const Vec lowest = splat(-__builtin_inff());
  Vec largest_lanes = lowest;
  for_lanes(cols, [&](int64_t j, int n) {
    largest_lanes = max(select(first_lanes(n), load_lanes(y + j, n), lowest), largest_lanes);
  });
  const float largest = maximum(largest_lanes);
  Vec total = zero(), weighted = zero();
  for_lanes(cols, [&](int64_t j, int n) {
    const Vec below = load_lanes(y + j, n) - splat(largest);
    const Vec mass = select(first_lanes(n), exp(below), zero());
    total = total + mass;
    // Without the selection a logit of -inf would be 0 * -inf here.
    weighted = select(equal(mass, zero()), weighted, fma(mass, below, weighted));
  });
  return {largest, sum(total), sum(weighted)};
}

RowSums merge_blocks(const BlockSums* sums, int64_t blocks) {
  float largest = sums[0].largest;
  for (int64_t b = 1; b < blocks; ++b) largest = max(sums[b].largest, largest);
  float total = 0.0f, weighted = 0.0f;
  for (int64_t b = 0; b < blocks; ++b) {
    const float below = sums[b].largest - largest;
    const float scale = exp(below);
    total += sums[b].sum * scale;
    // As in reduce_block, against 0 * -inf.
    if (scale != 0.0f) weighted += (sums[b].weighted + sums[b].sum * below) * scale;
  }
  // entropy = lse - sum p y = log(total) - sum p (y - largest)
  const float log_total = log(total);
  return {largest, largest + log_total, log_total - weighted / total};
}

}  // namespace COPPICE_ISA
}  // namespace coppice
