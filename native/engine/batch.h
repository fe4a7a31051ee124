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

// Part of the rows, packed: one tree per run of equal prompts.
struct PackedBatch {
  std::vector<int32_t> tokens;     // [T]
  std::vector<int32_t> positions;  // [T]
  std::vector<Segment> segments;
  std::vector<int32_t> page_table;
  int32_t page_count = 0;
  // One item per completion token, rows in order; `item_source` is its index among all completion tokens of
  // the rows (relative to completion_offsets[0]), where per-token inputs and outputs are found.
  std::vector<int32_t> item_row;
  std::vector<int32_t> item_target;
  std::vector<float> item_temperature;
  std::vector<int32_t> item_source;
  std::vector<int32_t> sequence_offsets;  // items of row i: [sequence_offsets[i], sequence_offsets[i + 1])
};

// Cuts rows into consecutive micro-batches of at most `token_budget` packed tokens (a single longer row
// stands alone). A cut falls between rows; where it splits a group, the prompt is computed in both parts.
// share_prompts = false computes a prompt for every row: the oracle of the shared form.
std::vector<PackedBatch> pack_rows(const RolloutRows& rows, int64_t token_budget, bool share_prompts = true);

// INVALID_ARGUMENT / SHAPE_MISMATCH naming the row unless offsets are monotone, prompts are not empty, tokens
// lie in [0, vocab_size), sequences fit max_positions, temperatures are finite and > 0.
void check_rows(const RolloutRows& rows, int32_t vocab_size, int32_t max_positions);

}  // namespace coppice
