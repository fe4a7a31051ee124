#include "engine/batch.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "engine/kv_cache.h"

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

// Pages of its own that a completion takes behind its prompt.
int32_t completion_pages(const RowView& row) {
  const int32_t rows = completion_rows(row);
  if (rows == 0) return 0;
  return blocks_of(int64_t{row.prompt_length} + rows) - row.prompt_length / static_cast<int32_t>(kKeyBlock);
}

}  // namespace

BatchSize PackedBatch::size() const {
  return {static_cast<int64_t>(tokens.size()),     static_cast<int64_t>(segments.size()),
          static_cast<int64_t>(page_table.size()), page_count,
          static_cast<int64_t>(item_row.size()),   static_cast<int64_t>(sequence_offsets.size()) - 1};
}

void PackedBatch::clear() {
  tokens.clear();
  positions.clear();
  segments.clear();
  page_table.clear();
  page_count = 0;
  item_row.clear();
  item_target.clear();
  item_temperature.clear();
  item_source.clear();
  sequence_offsets.assign(1, 0);
}

void PackedBatch::reserve(const BatchSize& largest) {
  const auto rows = static_cast<size_t>(largest.rows), items = static_cast<size_t>(largest.items);
  tokens.reserve(rows);
  positions.reserve(rows);
  segments.reserve(static_cast<size_t>(largest.segments));
  page_table.reserve(static_cast<size_t>(largest.page_entries));
  item_row.reserve(items);
  item_target.reserve(items);
  item_temperature.reserve(items);
  item_source.reserve(items);
  sequence_offsets.reserve(static_cast<size_t>(largest.sequences) + 1);
}

uint64_t host_bytes(const BatchSize& largest) {
  return static_cast<uint64_t>(8 * largest.rows + 16 * largest.items + 4 * (largest.sequences + 1) +
                               4 * largest.page_entries) +
         sizeof(Segment) * static_cast<uint64_t>(largest.segments);
}

BatchSize largest_batch(int64_t token_budget, int64_t longest_row) {
  const int64_t tokens = std::max(token_budget, longest_row);
  // A row alone takes a page more than its blocks where its prompt ends inside one.
  const int64_t row_blocks = blocks_of(longest_row),
                pages = std::max(tokens / kTokensPerPage, row_blocks + 1);
  // Each segment has a page of its own, and no more entries than a row has blocks.
  return {tokens, pages, pages * row_blocks, pages, tokens, tokens};
}

RowPacker::RowPacker(const RolloutRows& rows, int64_t token_budget, PackedBatch& batch)
    : rows_(rows), limit_(largest_batch(token_budget, 0)), batch_(batch) {}

bool RowPacker::next() {
  batch_.clear();
  batch_.first_row = next_row_;
  for (; next_row_ < rows_.count; ++next_row_) {
    const bool first = next_row_ == batch_.first_row;
    const RowView row = row_view(rows_, next_row_);
    const bool shared = !first && same_prompt(row, row_view(rows_, next_row_ - 1));
    const BatchSize size = batch_.size();
    const int64_t tokens = (shared ? 0 : row.prompt_length) + completion_rows(row);
    const int64_t pages = (shared ? 0 : blocks_of(row.prompt_length)) + completion_pages(row);
    const bool fits = size.rows + tokens <= limit_.rows && size.pages + pages <= limit_.pages &&
                      size.items + row.completion_length <= limit_.items && size.sequences < limit_.sequences;
    if (!first && !fits) return true;
    if (!shared) add_prompt(next_row_);
    add_completion(next_row_);
  }
  return batch_.size().sequences > 0;
}

void RowPacker::add_prompt(int64_t index) {
  const RowView row = row_view(rows_, index);
  prompt_segment_ = static_cast<int32_t>(batch_.segments.size());
  add_segment(row.prompt, row.prompt_length, -1, 0, 0);
}

void RowPacker::add_completion(int64_t index) {
  const RowView row = row_view(rows_, index);
  const Segment prompt = batch_.segments[static_cast<size_t>(prompt_segment_)];
  const int32_t rows = completion_rows(row);
  const int32_t first_row = static_cast<int32_t>(batch_.tokens.size());
  if (rows > 0) {
    add_segment(row.completion, rows, prompt_segment_, prompt.length,
                prompt.length / static_cast<int32_t>(kKeyBlock));
  }
  const int32_t source_begin = rows_.completion_offsets[index] - rows_.completion_offsets[0];
  const float temperature = rows_.temperature == nullptr ? 1.0f : rows_.temperature[index];
  for (int32_t t = 0; t < row.completion_length; ++t) {
    batch_.item_row.push_back(t == 0 ? prompt.token_begin + prompt.length - 1 : first_row + t - 1);
    batch_.item_target.push_back(row.completion[t]);
    batch_.item_temperature.push_back(temperature);
    batch_.item_source.push_back(source_begin + t);
  }
  batch_.sequence_offsets.push_back(static_cast<int32_t>(batch_.item_row.size()));
}

// The first `shared_blocks` pages are the parent's.
void RowPacker::add_segment(const int32_t* tokens, int32_t length, int32_t parent, int32_t position_begin,
                            int32_t shared_blocks) {
  Segment segment;
  segment.token_begin = static_cast<int32_t>(batch_.tokens.size());
  segment.length = length;
  segment.parent = parent;
  segment.position_begin = position_begin;
  segment.page_begin = static_cast<int32_t>(batch_.page_table.size());
  for (int32_t b = 0; b < blocks_of(int64_t{position_begin} + length); ++b) {
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
