#include "cpu/peak.h"

#include "cpu/gemm_tile.h"
#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

constexpr int kChains = kTileRows * kTileVectors;

// `rounds` times step(chain) of every chain.
template <typename Step>
COPPICE_INLINE void run_chains(int64_t rounds, const Step& step) {
  // Every lane differs: the compiler would compute equal halves of a vector once.
  float start[kChains * kLanes];
  for (int i = 0; i < kChains * kLanes; ++i) start[i] = static_cast<float>(i);
  asm volatile("" : : "r"(start) : "memory");
  Vec chains[kChains];
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) chains[i] = load(start + i * kLanes);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 32
    for (int i = 0; i < kChains; ++i) {
      chains[i] = step(chains[i]);
      asm volatile("" : : "m"(round));  // keep the loop as it is written
    }
  }
  Vec total = zero();
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) total = total + chains[i];
  volatile float sink = sum(total);
  (void)sink;
}

double fma_chains(int64_t rounds) {
  const Vec factor = splat(0.999f), step = splat(0.001f);
  run_chains(rounds, [&](Vec chain) { return fma(chain, factor, step); });
  return 2.0 * kLanes * kChains * static_cast<double>(rounds);
}

#if defined(COPPICE_NATIVE_DOT_PAIRS)
double dot_pairs_chains(int64_t rounds) {
  const Vec words = pair_of(splat(0.001f), splat(0.002f));
  run_chains(rounds, [&](Vec chain) { return dot_pairs(words, words, chain); });
  return 4.0 * kLanes * kChains * static_cast<double>(rounds);
}
#endif

double product_tiles(int64_t rounds) {
  constexpr int64_t kDepth = 128;
  constexpr int kVectors = tile_vectors(kTileRows);
  constexpr int kCols = kVectors * kLanes, kPanels = (kVectors + kPanelVectors - 1) / kPanelVectors;
  alignas(64) float left[kTileRows * kDepth], right[kPanels * kDepth * kPanel], out[kTileRows * kCols];
  for (float& value : left) value = 0.5f;
  for (float& value : right) value = 0.25f;
  Tile tile = {};
  tile.a = left;
  tile.a_stride = kDepth;
  tile.b = right;
  tile.b_panel_stride = kDepth * kPanel;
  tile.b_row_stride = kPanel;
  tile.depth = kDepth;
  tile.cols = kCols;
  tile.out = out;
  tile.out_stride = kCols;
  const TileFunction run = tile_function(kTileRows, kVectors, {false, TileRight::kPanels}, false);
  for (int64_t round = 0; round < rounds; ++round) run(tile);
  volatile float sink = out[0];
  (void)sink;
  return 2.0 * kTileRows * kCols * kDepth * static_cast<double>(rounds);
}

// Four places are read at once, since one stream of reads does not keep a core's memory requests busy.
float read_all(const float* values, int64_t count) {
  constexpr int kStreams = 4, kUnroll = 4;
  const int64_t stream = count / (kStreams * kUnroll * kLanes) * kUnroll * kLanes;
  Vec sums[kStreams * kUnroll];
  for (Vec& partial : sums) partial = zero();
  for (int64_t i = 0; i < stream; i += kUnroll * kLanes) {
#pragma GCC unroll 16
    for (int s = 0; s < kStreams * kUnroll; ++s) {
      sums[s] = sums[s] + load(values + (s / kUnroll) * stream + i + (s % kUnroll) * kLanes);
    }
  }
  Vec total = zero();
  for (const Vec& partial : sums) total = total + partial;
  for (int64_t i = kStreams * stream; i < count; i += kLanes) {
    total = total + load_lanes(values + i, static_cast<int>(smaller(kLanes, count - i)));
  }
  return sum(total);
}

void update_all(float* values, int64_t count) {
  const Vec factor = splat(0.5f);
  for (int64_t i = 0; i < count; i += kLanes) {
    const int lanes = static_cast<int>(smaller(kLanes, count - i));
    store_lanes(values + i, load_lanes(values + i, lanes) * factor, lanes);
  }
}

}  // namespace

PeakLoops peak_loops() {
#if defined(COPPICE_NATIVE_DOT_PAIRS)
  return {fma_chains, dot_pairs_chains, product_tiles, read_all, update_all};
#else
  return {fma_chains, nullptr, product_tiles, read_all, update_all};
#endif
}

}  // namespace COPPICE_ISA
}  // namespace coppice
