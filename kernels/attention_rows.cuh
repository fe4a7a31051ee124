// Where the rows, keys and pages of a packed batch stand, for the kernels of attention.
#pragma once

#include "backend/backend.h"
#include "launch.cuh"

namespace coppice {

inline constexpr int kKeys = static_cast<int>(kKeyBlock);
inline constexpr int kMaxHeadDim = 256;

// INVALID_ARGUMENT beyond kMaxHeadDim.
void check_head_dim(const char* op, const AttentionShape& shape);

// Where one kv head of one page begins.
__device__ inline int64_t page_offset(int32_t page, int64_t kv_head, const AttentionShape& shape) {
  return (static_cast<int64_t>(page) * shape.num_kv_heads + kv_head) * shape.head_dim * kKeyBlock;
}

// The segment that holds a row: segments stand in the order of their rows.
__device__ inline int32_t segment_of_row(const AttentionBatch& batch, int64_t row) {
  int32_t low = 0, high = batch.segment_count - 1;
  while (low < high) {
    const int32_t middle = (low + high + 1) / 2;
    if (batch.segments[middle].token_begin <= row) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

__device__ inline bool sees(const AttentionShape& shape, int64_t query, int64_t key) {
  return key <= query && (shape.window == 0 || key > query - shape.window);
}

// A run of rows of one segment, at most as many as a tile has tokens.
struct RowRun {
  int32_t segment;
  int64_t row;       // of the packed batch
  int64_t position;  // of that row
  int tokens;
};

// The part of rows [begin, end) that belongs to the segment of `begin`.
__device__ inline RowRun run_from(const AttentionBatch& batch, int64_t begin, int64_t end) {
  const int32_t s = segment_of_row(batch, begin);
  const Segment& segment = batch.segments[s];
  const int64_t segment_end = static_cast<int64_t>(segment.token_begin) + segment.length;
  return {s, begin, segment.position_begin + begin - segment.token_begin,
          static_cast<int>((end < segment_end ? end : segment_end) - begin)};
}

// A tile's rows: so many tokens, each with so many query heads of one kv head.
struct TileShape {
  int tokens, heads;
};

inline constexpr int kTileRows = 16;

// Where sequences have a token each, a tile of several tokens would go through them one after the other. A
// row takes the same steps in any tile.
inline TileShape tile_shape(const AttentionShape& shape, int64_t rows, int32_t segments) {
  const int group = shape.num_heads / shape.num_kv_heads, heads = group < kTileRows ? group : kTileRows;
  return {rows < 2 * static_cast<int64_t>(segments) ? 1 : kTileRows / heads, heads};
}

}  // namespace coppice
