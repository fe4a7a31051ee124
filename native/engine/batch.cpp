#include "engine/batch.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"

namespace coppice {
namespace {

struct RowView {
  const int32_t* prompt;
  int32_t prompt_length;
  const int32_t* completion;
  int32_t completion_length;
};

RowView row_view(const RolloutRows& rows, int64_t i) {
  return {rows.prompt_tokens + rows.prompt_offsets[i], rows.prompt_offsets[i + 1] - rows.prompt_offsets[i],
          rows.completion_tokens + rows.completion_offsets[i],
          rows.completion_offsets[i + 1] - rows.completion_offsets[i]};
}

bool same_prompt(const RowView& a, const RowView& b) {
  return a.prompt_length == b.prompt_length &&
         std::memcmp(a.prompt, b.prompt, sizeof(int32_t) * static_cast<size_t>(a.prompt_length)) == 0;
}

// The last token of a completion is predicted but never read, so it takes no row.
int32_t completion_rows(const RowView& row) {
  return std::max(row.completion_length - 1, 0);
}

class Packer {
 public:
  void add_prompt(const RowView& row) {
    prompt_segment_ = static_cast<int32_t>(batch_.segments.size());
    add_segment(row.prompt, row.prompt_length, -1, 0, 0);
  }

  void add_completion(const RowView& row, int64_t source_begin, float temperature) {
    const Segment prompt = batch_.segments[static_cast<size_t>(prompt_segment_)];
    const int32_t rows = completion_rows(row);
    int32_t first_row = 0;
    if (rows > 0) {
      const int32_t begin = static_cast<int32_t>(batch_.tokens.size());
      first_row = begin;
      add_segment(row.completion, rows, prompt_segment_, prompt.length,
                  prompt.length / static_cast<int32_t>(kKeyBlock));
    }
    for (int32_t t = 0; t < row.completion_length; ++t) {
      batch_.item_row.push_back(t == 0 ? prompt.token_begin + prompt.length - 1 : first_row + t - 1);
      batch_.item_target.push_back(row.completion[t]);
      batch_.item_temperature.push_back(temperature);
      batch_.item_source.push_back(static_cast<int32_t>(source_begin + t));
    }
    batch_.sequence_offsets.push_back(static_cast<int32_t>(batch_.item_row.size()));
  }

  int64_t tokens() const { return static_cast<int64_t>(batch_.tokens.size()); }
  bool empty() const { return batch_.sequence_offsets.empty() || batch_.sequence_offsets.size() == 1; }

  PackedBatch take() {
    PackedBatch done = std::move(batch_);
    batch_ = PackedBatch();
    batch_.sequence_offsets.push_back(0);
    return done;
  }
  Packer() { batch_.sequence_offsets.push_back(0); }

 private:
  // The first `shared_blocks` pages are the parent's.
  void add_segment(const int32_t* tokens, int32_t length, int32_t parent, int32_t position_begin,
                   int32_t shared_blocks) {
    Segment segment;
    segment.token_begin = static_cast<int32_t>(batch_.tokens.size());
    segment.length = length;
    segment.parent = parent;
    segment.position_begin = position_begin;
    segment.page_begin = static_cast<int32_t>(batch_.page_table.size());
    const int32_t blocks =
        (position_begin + length + static_cast<int32_t>(kKeyBlock) - 1) / static_cast<int32_t>(kKeyBlock);
    for (int32_t b = 0; b < blocks; ++b) {
      if (b < shared_blocks) {
        const int32_t parent_page = batch_.segments[static_cast<size_t>(parent)].page_begin + b;
        batch_.page_table.push_back(batch_.page_table[static_cast<size_t>(parent_page)]);
      } else {
        batch_.page_table.push_back(batch_.page_count++);
      }
    }
    for (int32_t t = 0; t < length; ++t) {
      batch_.tokens.push_back(tokens[t]);
      batch_.positions.push_back(position_begin + t);
    }
    batch_.segments.push_back(segment);
  }

  PackedBatch batch_;
  int32_t prompt_segment_ = -1;
};

}  // namespace

std::vector<PackedBatch> pack_rows(const RolloutRows& rows, int64_t token_budget, bool share_prompts) {
  std::vector<PackedBatch> batches;
  Packer packer;
  for (int64_t i = 0; i < rows.count; ++i) {
    const RowView row = row_view(rows, i);
    bool shared = share_prompts && !packer.empty() && same_prompt(row, row_view(rows, i - 1));
    const int64_t wanted = (shared ? 0 : row.prompt_length) + completion_rows(row);
    if (!packer.empty() && packer.tokens() + wanted > token_budget) {
      batches.push_back(packer.take());
      shared = false;
    }
    if (!shared) packer.add_prompt(row);
    packer.add_completion(row, rows.completion_offsets[i] - rows.completion_offsets[0],
                          rows.temperature == nullptr ? 1.0f : rows.temperature[i]);
  }
  if (!packer.empty()) batches.push_back(packer.take());
  return batches;
}

namespace {

void check_offsets(const int32_t* offsets, int64_t count, const char* what) {
  if (offsets[0] < 0)
    fail(ErrorCode::kInvalidArgument, "%s: the first offset is negative (%d)", what, offsets[0]);
  for (int64_t i = 0; i < count; ++i) {
    if (offsets[i + 1] < offsets[i]) {
      fail(ErrorCode::kInvalidArgument, "%s: offsets must not fall; row %lld has %d after %d", what,
           static_cast<long long>(i), offsets[i + 1], offsets[i]);
    }
  }
}

void check_tokens(const int32_t* tokens, const int32_t* offsets, int64_t count, int32_t vocab_size,
                  const char* what) {
  for (int64_t i = 0; i < count; ++i) {
    for (int32_t t = offsets[i]; t < offsets[i + 1]; ++t) {
      if (tokens[t] < 0 || tokens[t] >= vocab_size) {
        fail(ErrorCode::kInvalidArgument, "%s: row %lld, token %d: expected an id in [0, %d); received %d",
             what, static_cast<long long>(i), t - offsets[i], vocab_size, tokens[t]);
      }
    }
  }
}

}  // namespace

void check_rows(const RolloutRows& rows, int32_t vocab_size, int32_t max_positions) {
  if (rows.count < 0) fail(ErrorCode::kInvalidArgument, "rows: negative count");
  if (rows.count == 0) return;
  check_offsets(rows.prompt_offsets, rows.count, "prompt_tokens");
  check_offsets(rows.completion_offsets, rows.count, "completion_tokens");
  for (int64_t i = 0; i < rows.count; ++i) {
    const RowView row = row_view(rows, i);
    if (row.prompt_length == 0) {
      fail(ErrorCode::kInvalidArgument, "prompt_tokens: row %lld is empty; a prompt needs at least one token",
           static_cast<long long>(i));
    }
    if (int64_t{row.prompt_length} + row.completion_length > max_positions) {
      fail(ErrorCode::kInvalidArgument,
           "row %lld: prompt and completion have %lld tokens; the model holds %d positions",
           static_cast<long long>(i),
           static_cast<long long>(int64_t{row.prompt_length} + row.completion_length), max_positions);
    }
    if (rows.temperature != nullptr && !(rows.temperature[i] > 0.0f && std::isfinite(rows.temperature[i]))) {
      fail(ErrorCode::kInvalidArgument, "temperature: row %lld: expected a finite number > 0; received %g",
           static_cast<long long>(i), static_cast<double>(rows.temperature[i]));
    }
  }
  check_tokens(rows.prompt_tokens, rows.prompt_offsets, rows.count, vocab_size, "prompt_tokens");
  check_tokens(rows.completion_tokens, rows.completion_offsets, rows.count, vocab_size, "completion_tokens");
}

}  // namespace coppice
