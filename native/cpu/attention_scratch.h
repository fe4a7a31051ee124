// Sizes of attention's tiles, and where a thread's arrays stand in the op's scratch.
#pragma once

#include "cpu/attention_keys.h"
#include "cpu/scratch.h"

namespace coppice {
namespace COPPICE_ISA {

// Rows of a tile of queries: (token, head) pairs forward, tokens of one head backward.
inline constexpr int64_t kTileQueries = 64;
// Rows under the causal diagonal are worked off in bands, each with its own number of keys: whole
// micro-tiles.
inline constexpr int64_t kDiagonalBand = kTileRows >= 8 ? kTileRows : 2 * kTileRows;

// Scores are computed for whole vectors of keys: what lies past the last key is masked afterwards.
COPPICE_INLINE int64_t score_cols(int64_t keys_seen) {
  return round_up(keys_seen, kLanes);
}

// Below this many rows a diagonal is not worth cutting into bands.
inline constexpr int64_t kSmallestBanded = 24;

// The first n lanes, for any n.
COPPICE_INLINE Mask lanes_below(int64_t n) {
  return first_lanes(static_cast<int>(smaller(larger(n, 0), kLanes)));
}

// Keys that a query at position `query` does not see any more, of those that begin at position `first_key`.
COPPICE_INLINE int64_t keys_behind_window(const AttentionShape& shape, int64_t query, int64_t first_key) {
  return shape.window == 0 ? 0 : larger(query - shape.window + 1 - first_key, 0);
}

template <int kVectors>
struct VectorCount {
  static constexpr int kCount = kVectors;
};
// Calls body(VectorCount<n>) with the number of vectors that hold `keys` scores, so that a row stays in
// registers.
template <typename Body>
COPPICE_INLINE void for_vector_count(int64_t keys, const Body& body) {
  static_assert(kKeyBlock == 4 * kLanes);
  if (keys <= kLanes) {
    body(VectorCount<1>{});
  } else if (keys <= 2 * kLanes) {
    body(VectorCount<2>{});
  } else if (keys <= 3 * kLanes) {
    body(VectorCount<3>{});
  } else {
    body(VectorCount<4>{});
  }
}

struct AttentionScratch {
  float* delta;    // backward: [rows][num_heads], D of ops.h
  float* threads;  // thread_floats for each thread
  int64_t thread_floats;
  size_t bytes;
};

struct ForwardScratch {
  float* q;        // [kTileQueries][head_dim]
  float* out;      // [kTileQueries][head_dim], not yet divided by the sum
  float* scores;   // [kTileQueries][kKeyBlock], then probabilities
  float* maximum;  // the rest: [kTileQueries]
  float* new_maximum;
  float* alpha;
  float* sum;
  float* block_sum;
};

struct BackwardScratch {
  float* keys;     // [head_dim][kKeyBlock]
  float* values;   // [head_dim][kKeyBlock]
  float* p;        // [kTileQueries][kKeyBlock]
  float* dscores;  // [kTileQueries][kKeyBlock]
};

COPPICE_INLINE int64_t attention_thread_floats(const AttentionShape& shape) {
  return 2 * kTileQueries * shape.head_dim + 2 * kTileQueries * kKeyBlock;
}

COPPICE_INLINE AttentionScratch attention_scratch(void* data, const AttentionShape& shape, int64_t rows,
                                                  int threads) {
  static_assert(5 * kTileQueries <= kTileQueries * kKeyBlock, "forward's rows of sums fit beside its scores");
  ScratchCutter cutter(data);
  AttentionScratch scratch;
  scratch.delta = cutter.take(rows * shape.num_heads);
  scratch.thread_floats = attention_thread_floats(shape);
  scratch.threads = cutter.take(scratch.thread_floats * threads);
  scratch.bytes = cutter.used();
  return scratch;
}

COPPICE_INLINE ForwardScratch forward_scratch(const AttentionScratch& scratch, const AttentionShape& shape,
                                              int thread) {
  ScratchCutter cutter(scratch.threads + thread * scratch.thread_floats);
  ForwardScratch arrays;
  arrays.q = cutter.take(kTileQueries * shape.head_dim);
  arrays.out = cutter.take(kTileQueries * shape.head_dim);
  arrays.scores = cutter.take(kTileQueries * kKeyBlock);
  arrays.maximum = cutter.take(kTileQueries);
  arrays.new_maximum = cutter.take(kTileQueries);
  arrays.alpha = cutter.take(kTileQueries);
  arrays.sum = cutter.take(kTileQueries);
  arrays.block_sum = cutter.take(kTileQueries);
  return arrays;
}

COPPICE_INLINE BackwardScratch backward_scratch(const AttentionScratch& scratch, const AttentionShape& shape,
                                                int thread) {
  ScratchCutter cutter(scratch.threads + thread * scratch.thread_floats);
  BackwardScratch arrays;
  arrays.keys = cutter.take(kKeyBlock * shape.head_dim);
  arrays.values = cutter.take(kKeyBlock * shape.head_dim);
  arrays.p = cutter.take(kTileQueries * kKeyBlock);
  arrays.dscores = cutter.take(kTileQueries * kKeyBlock);
  return arrays;
}

}  // namespace COPPICE_ISA
}  // namespace coppice
