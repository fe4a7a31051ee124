// The micro-kernel of every product: a tile of up to kTileRows rows and a few vectors of columns held in
// registers while k runs. Used by gemm.cpp alone.
#pragma once

#include "cpu/gemm.h"

namespace coppice {
namespace COPPICE_ISA {

// One tile: out = addend + (previous + chain), the first two where present. Column vector v of B begins at
// b + (v / kPanelVectors) * b_panel_stride + (v % kPanelVectors) * 16.
struct Tile {
  const float* a;
  int64_t a_stride;
  const float* b;
  int64_t b_panel_stride;
  int64_t b_row_stride;
  int64_t depth;
  int cols;            // at most 16 * vectors; fewer only in the last vector
  const float* start;  // the chain begins here instead of at zero
  int64_t start_stride;
  const float* previous;
  int64_t previous_stride;
  const float* addend;
  int64_t addend_stride;
  float* out;
  int64_t out_stride;
  const float* ahead = nullptr;  // lines_ahead(depth) lines to be fetched meanwhile, or null
};

// One line every two k: what a tile's loads leave of the ways to memory.
constexpr int64_t lines_ahead(int64_t depth) {
  return depth / 2;
}
inline constexpr int64_t kLineFloats = 16;

// Vectors beside each other for a tile of `rows` rows: as many as the accumulators' registers hold, so that
// short tiles have enough independent chains to hide the latency of fma.
constexpr int tile_vectors(int rows) {
  const int budget = kTileRows * kTileVectors;
  return rows * 8 <= budget ? 8 : rows * 4 <= budget ? 4 : rows * 2 <= budget ? 2 : 1;
}

// body(i, v, j, n) for row i and vector v, whose columns are j .. j + n - 1. Unrolled by order, as every loop
// over accumulators must be: an index that is not a constant would keep them in memory.
template <int kRows, int kVectors, typename Body>
COPPICE_INLINE void for_each_vector(int last_lanes, const Body& body) {
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) body(i, v, v * kLanes, v + 1 < kVectors ? kLanes : last_lanes);
  }
}

template <int kRows, int kVectors>
COPPICE_INLINE void finish_tile(const Tile& tile, Vec (&acc)[kRows][kVectors], int last_lanes) {
  if (tile.previous != nullptr) {
    for_each_vector<kRows, kVectors>(
        last_lanes, [&](int i, int v, int j, int n) __attribute__((always_inline)) {
          acc[i][v] = load_lanes(tile.previous + i * tile.previous_stride + j, n) + acc[i][v];
        });
  }
  if (tile.addend != nullptr) {
    for_each_vector<kRows, kVectors>(
        last_lanes, [&](int i, int v, int j, int n) __attribute__((always_inline)) {
          acc[i][v] = load_lanes(tile.addend + i * tile.addend_stride + j, n) + acc[i][v];
        });
  }
  for_each_vector<kRows, kVectors>(last_lanes,
                                   [&](int i, int v, int j, int n) __attribute__((always_inline)) {
                                     store_lanes(tile.out + i * tile.out_stride + j, acc[i][v], n);
                                   });
}

// How the operands lie. `transposed`: the tile's rows stand beside each other, a_stride from one k to the
// next; otherwise each is contiguous in k, a_stride from the next row. Words stand in panels always.
enum class TileRight : uint8_t { kRows, kPanels, kWordPanels };
struct TileOperands {
  bool transposed;
  TileRight right;
};

// What a step takes from its operands: floats, both numbers of a word, or one of them.
enum class Take : uint8_t { kFloats, kWords, kSecond, kFirst };
template <Take kTake>
COPPICE_INLINE Vec taken(Vec operand) {
  if constexpr (kTake == Take::kSecond) return second_of_pair(operand);
  if constexpr (kTake == Take::kFirst) return first_of_pair(operand);
  return operand;
}

// Rows of A that one pointer serves: x86 addresses p, p + stride and p + 2 stride without arithmetic.
constexpr int kRowsAPointer = 3;

// One k: the tile's elements of A, `a_at` behind the pointers, times vectors of B.
template <int kRows, int kVectors, bool kTransposed, bool kMaskedB, Take kTake>
COPPICE_INLINE void step(Vec (&acc)[kRows][kVectors], const float* const* a, int64_t a_stride, int64_t a_at,
                         const float* b, int64_t b_panel_stride, int cols) {
  Vec columns[kVectors];
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    const float* p = b + (v / kPanelVectors) * b_panel_stride + (v % kPanelVectors) * kLanes;
    columns[v] = taken<kTake>(kMaskedB ? load_lanes(p, cols) : load(p));
  }
#pragma GCC unroll 16
  for (int i = 0; i < kRows; ++i) {
    const Vec row = taken<kTake>(
        splat(kTransposed ? a[0][a_at + i] : a[i / kRowsAPointer][(i % kRowsAPointer) * a_stride + a_at]));
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      acc[i][v] =
          kTake == Take::kWords ? dot_pairs(row, columns[v], acc[i][v]) : fma(row, columns[v], acc[i][v]);
    }
  }
}

// One k of any operands. Without an instruction for words they are taken apart one half after the other, so
// that no more registers are needed than for floats; the order is that of dot_pairs.
template <int kRows, int kVectors, bool kTransposed, TileRight kRight, bool kMaskedB>
COPPICE_INLINE void step_over(Vec (&acc)[kRows][kVectors], const float* const* a, int64_t a_stride,
                              int64_t a_at, const float* b, int64_t b_panel_stride, int cols) {
  if constexpr (kRight != TileRight::kWordPanels) {
    step<kRows, kVectors, kTransposed, kMaskedB, Take::kFloats>(acc, a, a_stride, a_at, b, b_panel_stride,
                                                                cols);
  } else {
#if defined(COPPICE_NATIVE_DOT_PAIRS)
    step<kRows, kVectors, kTransposed, kMaskedB, Take::kWords>(acc, a, a_stride, a_at, b, b_panel_stride,
                                                               cols);
#else
    step<kRows, kVectors, kTransposed, kMaskedB, Take::kSecond>(acc, a, a_stride, a_at, b, b_panel_stride,
                                                                cols);
    step<kRows, kVectors, kTransposed, kMaskedB, Take::kFirst>(acc, a, a_stride, a_at, b, b_panel_stride,
                                                               cols);
#endif
  }
}

// kMaskedB: B may not be read past the tile's columns. Two k a round: beside a busy neighbour on the same
// core what counts is instructions, and the pointers' share of them halves.
template <int kRows, int kVectors, bool kTransposed, TileRight kRight, bool kMaskedB>
void run_tile(const Tile& tile) {
  const int last_lanes = tile.cols - (kVectors - 1) * kLanes;
  Vec acc[kRows][kVectors];
  for_each_vector<kRows, kVectors>(
      kLanes, [&](int i, int v, int, int) __attribute__((always_inline)) { acc[i][v] = zero(); });
  if (tile.start != nullptr) {
    for_each_vector<kRows, kVectors>(last_lanes,
                                     [&](int i, int v, int j, int n) __attribute__((always_inline)) {
                                       acc[i][v] = load_lanes(tile.start + i * tile.start_stride + j, n);
                                     });
  }

  constexpr int kPointers = kTransposed ? 1 : (kRows + kRowsAPointer - 1) / kRowsAPointer;
  const int64_t a_stride = tile.a_stride, b_panel_stride = tile.b_panel_stride,
                b_row_stride = kRight == TileRight::kRows ? tile.b_row_stride : kPanel,
                next_k = kTransposed ? a_stride : 1;
  const float* a[kPointers];
  for (int g = 0; g < kPointers; ++g) a[g] = tile.a + g * kRowsAPointer * a_stride;
  const float* b = tile.b;
  const int cols = tile.cols;
  const auto two_k = [&]() __attribute__((always_inline)) {
    step_over<kRows, kVectors, kTransposed, kRight, kMaskedB>(acc, a, a_stride, 0, b, b_panel_stride, cols);
    step_over<kRows, kVectors, kTransposed, kRight, kMaskedB>(acc, a, a_stride, next_k, b + b_row_stride,
                                                              b_panel_stride, cols);
#pragma GCC unroll 8
    for (int g = 0; g < kPointers; ++g) a[g] += 2 * next_k;
    b += 2 * b_row_stride;
  };
  if (kRight != TileRight::kRows && tile.ahead != nullptr) {
    const float* ahead = tile.ahead;
    for (int64_t k = tile.depth / 2; k > 0; --k, ahead += kLineFloats) {
      __builtin_prefetch(ahead, 0, 2);
      two_k();
    }
  } else {
    for (int64_t k = tile.depth / 2; k > 0; --k) two_k();
  }
  if (tile.depth % 2 != 0)
    step_over<kRows, kVectors, kTransposed, kRight, kMaskedB>(acc, a, a_stride, 0, b, b_panel_stride, cols);
  if (last_lanes == kLanes) {
    finish_tile<kRows, kVectors>(tile, acc, kLanes);
  } else {
    finish_tile<kRows, kVectors>(tile, acc, last_lanes);
  }
}

using TileFunction = void (*)(const Tile&);

// The kernel for `rows` x `vectors`, where vectors is a power of two and at most tile_vectors(rows).
TileFunction tile_function(int rows, int vectors, TileOperands operands, bool masked_b);

}  // namespace COPPICE_ISA
}  // namespace coppice
