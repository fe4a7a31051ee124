// Host-side description of work for the transformer: a forest of segments over packed tokens, and rollout
// rows turned into it.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"

namespace coppice {

// Rows of rollouts as they cross the boundary: flat values with offsets, memory owned by the caller for the
// job's duration. Rows with equal prompts that stand next to each other form a group: their prompt is
// computed once per micro-batch.
struct RolloutRows {
  int64_t count = 0;
  const int32_t* prompt_tokens = nullptr;
  const int32_t* prompt_offsets = nullptr;  // [count + 1]
  const int32_t* completion_tokens = nullptr;
  const int32_t* completion_offsets = nullptr;  // [count + 1]
  const float* temperature = nullptr;           // [count], or null for 1

  int64_t completion_token_count() const {
    return count == 0 ? 0 : completion_offsets[count] - completion_offsets[0];
  }
};

// Sizes of a packed batch: rows are packed tokens, items predicted ones.
struct BatchSize {
  int64_t rows = 0, segments = 0, page_entries = 0, pages = 0, items = 0, sequences = 0;
};

// Part of the rows, packed: one tree per run of equal prompts.
struct PackedBatch {
  std::vector<int32_t> tokens;     // [T]
  std::vector<int32_t> positions;  // [T]
  std::vector<Segment> segments;
  std::vector<int32_t> page_table;
  int32_t page_count = 0;
  int64_t first_row = 0;  // of the rows given: where this part begins
  // One item per completion token, rows in order; `item_source` is its index among all completion tokens of
  // the rows (relative to completion_offsets[0]), where per-token inputs and outputs are found.
  std::vector<int32_t> item_row;
  std::vector<int32_t> item_target;
  std::vector<float> item_temperature;
  std::vector<int32_t> item_source;
  std::vector<int32_t> sequence_offsets;  // items of row i: [sequence_offsets[i], sequence_offsets[i + 1])

  BatchSize size() const;
  void clear();
  void reserve(const BatchSize& largest);
};

// Tokens of a micro-batch for each of its pages, at least. Sequences of a few tokens would otherwise take a
// page of kKeyBlock positions each, and no bound on tokens would bound the memory.
inline constexpr int64_t kTokensPerPage = 16;

// What no micro-batch of rows of at most `longest_row` tokens exceeds.
BatchSize largest_batch(int64_t token_budget, int64_t longest_row);
// Bytes of a PackedBatch that is reserved for that.
uint64_t host_bytes(const BatchSize& largest);

// Cuts rows into consecutive micro-batches of at most `token_budget` packed tokens, as many predicted ones
// and a page for each kTokensPerPage (a single longer row stands alone). A cut falls between rows; where it
// splits a group, the prompt is computed in both parts.
class RowPacker {
 public:
  // Packs into `batch`, whose memory is used again for every part.
  RowPacker(const RolloutRows& rows, int64_t token_budget, PackedBatch& batch);
  // Packs the next part; false when no row is left.
  bool next();

 private:
  void add_prompt(int64_t row);
  void add_completion(int64_t row);
  void add_segment(const int32_t* tokens, int32_t length, int32_t parent, int32_t position_begin,
                   int32_t shared_blocks);

  RolloutRows rows_;
  BatchSize limit_;
  PackedBatch& batch_;
  int64_t next_row_ = 0;
  int32_t prompt_segment_ = -1;
};

// INVALID_ARGUMENT / SHAPE_MISMATCH naming the row unless offsets are monotone, prompts are not empty, tokens
// lie in [0, vocab_size), sequences fit max_positions, temperatures are finite and > 0.
void check_rows(const RolloutRows& rows, int32_t vocab_size, int32_t max_positions);

}  // namespace coppice
