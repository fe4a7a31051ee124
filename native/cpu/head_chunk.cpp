#include "cpu/head_chunk.h"

#include "cpu/copy_rows.h"
#include "cpu/product_grid.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// What one item's loss passes down to its logits.
struct ItemGradient {
  float lse;
  float entropy;
  float g_lp;
  float g_entropy;
  float inverse_temperature;

  // Scaled logits become dL/dz of the unscaled ones; `target` is the target's index among them, or outside.
  void apply(float* logits, int64_t cols, int64_t target) const {
    const Vec minus_factor = splat(-inverse_temperature);
    for_lanes(cols, [&](int64_t j, int n) {
      const Vec log_p = load_lanes(logits + j, n) - splat(lse);
      const Vec p = exp(log_p);
      const Vec slope = fma(splat(g_entropy), log_p + splat(entropy), splat(g_lp));
      // Where p vanishes log_p may be -inf.
      store_lanes(logits + j, select(equal(p, zero()), zero(), p * slope * minus_factor), n);
    });
    if (target >= 0 && target < cols) logits[target] += inverse_temperature * g_lp;
  }
};

}  // namespace

void HeadChunk::gather(const Tensor& hidden) const {
  const HeadRows& rows = scratch_.rows;
  team_.parallel_for(count_, [&](int64_t i, int) {
    const int64_t item = begin_ + i;
    const float* from = hidden.f32() + items_.row_index[item] * hidden.stride;
    copy_rows(rows.hidden + i * hidden.cols, 0, from, 0, 1, hidden.cols);
    if (rows.words != nullptr)
      round_row(rows.words + i * product_depth(weight_.dtype, weight_.cols), from, weight_.cols);
    rows.inverse_temperature[i] = 1.0f / items_.temperature[item];
  });
}

// Rows [first, first + rows) of the chunk over one block of the vocabulary.
void HeadChunk::logits(float* tile, int64_t stride, int64_t first, int64_t rows, int64_t block) const {
  const HeadRows& gathered = scratch_.rows;
  const int64_t depth = product_depth(weight_.dtype, weight_.cols);
  const float* from = gathered.words != nullptr ? gathered.words : gathered.hidden;
  block_logits(tile, stride, {from + first * depth, depth}, rows, weight_, block,
               gathered.inverse_temperature + first);
}

HeadChunk::Span HeadChunk::span(int64_t index) const {
  const int64_t begin = index * shape_.span;
  const int64_t held_at = holds_logits() ? index * shape_.chunk * shape_.span_stride : 0;
  return {begin, smaller(shape_.span, weight_.rows - begin), scratch_.logits + held_at};
}

void HeadChunk::log_probs(float* lp, float* entropy, float* lse) const {
  const int64_t most = tile_rows(shape_.blocks), tiles = ceil_div(count_, most);
  team_.parallel_for(shape_.blocks * tiles, [&](int64_t task, int thread) {
    const int64_t block = task / tiles, first = task % tiles * most, rows = smaller(most, count_ - first);
    const bool held = holds_logits();
    const int64_t stride = held ? shape_.span_stride : kVocabBlock;
    float* tile = held ? span(block / kSpanBlocks).logits + first * stride + block % kSpanBlocks * kVocabBlock
                       : scratch_.tiles + thread * kMostLogitRows * kVocabBlock;
    logits(tile, stride, first, rows, block);
    const int64_t cols = vocab_block_cols(weight_.rows, block);
    for (int64_t r = 0; r < rows; ++r) {
      const float* row = tile + r * stride;
      scratch_.sums[(first + r) * shape_.blocks + block] = reduce_block(row, cols);
      const int64_t target = items_.target[begin_ + first + r] - block * kVocabBlock;
      if (target >= 0 && target < cols) scratch_.target[first + r] = row[target];
    }
  });
  team_.parallel_for(count_, [&](int64_t i, int) {
    const RowSums sums = merge_blocks(scratch_.sums + i * shape_.blocks, shape_.blocks);
    lse[begin_ + i] = sums.lse;
    lp[begin_ + i] = log_prob(scratch_.target[i], sums.lse);
    if (entropy != nullptr) entropy[begin_ + i] = sums.entropy;
  });
}

void HeadChunk::differentiate(const Tensor& dhidden, float* dweight, const HeadGradients& gradients) const {
  const int64_t hidden = weight_.cols;
  team_.parallel_for(count_, [&](int64_t i, int) { clear_row(scratch_.dhidden + i * hidden, hidden); });
  const int64_t depth = product_depth(weight_.dtype, count_);
  for_panels(team_, depth, hidden, [&](int64_t col, int64_t cols) {
    pack_right(scratch_.hidden_panels + col * depth, scratch_.rows.hidden + col, hidden, count_, cols,
               weight_.dtype);
  });
  for (int64_t i = 0; i < shape_.spans; ++i) {
    const Span part = span(i);
    make_dlogits(part, gradients);
    make_column_words(part);
    add_to_weight(part, dweight);
    add_to_hidden(part);
  }
  scatter(dhidden);
}

void HeadChunk::make_dlogits(const Span& span, const HeadGradients& gradients) const {
  const bool with_entropy = gradients.g_entropy != nullptr;
  const int64_t blocks = vocab_blocks(span.cols), most = tile_rows(blocks), tiles = ceil_div(count_, most);
  team_.parallel_for(blocks * tiles, [&](int64_t task, int) {
    const int64_t block = task / tiles, first = task % tiles * most, rows = smaller(most, count_ - first);
    float* tile = span.logits + first * shape_.span_stride + block * kVocabBlock;
    const int64_t cols = smaller(kVocabBlock, span.cols - block * kVocabBlock);
    if (!holds_logits()) logits(tile, shape_.span_stride, first, rows, span.begin / kVocabBlock + block);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t i = begin_ + first + r;
      const ItemGradient gradient{gradients.lse[i], with_entropy ? gradients.entropy[i] : 0.0f,
                                  gradients.g_lp[i], with_entropy ? gradients.g_entropy[i] : 0.0f,
                                  scratch_.rows.inverse_temperature[first + r]};
      float* row = tile + r * shape_.span_stride;
      gradient.apply(row, cols, items_.target[i] - span.begin - block * kVocabBlock);
      if (scratch_.row_words == nullptr) continue;
      round_row(scratch_.row_words + ((first + r) * shape_.span_stride + block * kVocabBlock) / 2, row, cols);
    }
  });
}

void HeadChunk::make_column_words(const Span& span) const {
  if (scratch_.column_words == nullptr) return;
  team_.parallel_for(ceil_div(count_, 2), [&](int64_t k, int) {
    const float* first = span.logits + 2 * k * shape_.span_stride;
    round_row_pair(scratch_.column_words + k * shape_.span_stride, first,
                   2 * k + 1 < count_ ? first + shape_.span_stride : nullptr, span.cols);
  });
}

void HeadChunk::add_to_weight(const Span& span, float* dweight) const {
  const int64_t hidden = weight_.cols;
  const int64_t even = round_up(ceil_div(span.cols, 2 * team_.threads()), kTileRows),
                tile = smaller(even, kPackRows);
  const float* dlogits = scratch_.column_words != nullptr ? scratch_.column_words : span.logits;
  team_.parallel_for(ceil_div(span.cols, tile), [&](int64_t task, int thread) {
    const int64_t first = task * tile;
    Product work;
    work.dtype = weight_.dtype;
    work.a = {dlogits + first, shape_.span_stride, true};
    work.depth = product_depth(weight_.dtype, count_);
    work.b = packed_right(scratch_.hidden_panels, work.depth);
    work.rows = smaller(tile, span.cols - first);
    work.cols = hidden;
    work.out = dweight + (span.begin + first) * hidden;
    work.out_stride = hidden;
    work.into_out = true;
    work.pack = scratch_.pack + thread * kPackFloats;
    product(work);
  });
}

// Into scratch.dhidden. The weight is turned a block of the products rule at a time, which then stays in the
// second-level cache; its columns are as many as that allows, because the gradients come from farther away.
void HeadChunk::add_to_hidden(const Span& span) const {
  constexpr int64_t kUnit = 2 * kPanel;
  const int64_t hidden = weight_.cols, units = ceil_div(hidden, kUnit), wanted = 2 * team_.threads();
  const int64_t column_parts = smaller(larger(wanted, ceil_div(units * kUnit, kInputColumns)), units);
  const int64_t row_parts = smaller(ceil_div(wanted, column_parts), ceil_div(count_, kTileRows));
  const int64_t part_rows = round_up(ceil_div(count_, row_parts), kTileRows);
  const int64_t block_rows = weight_.dtype == DType::kBF16 ? 2 * kProductDepth : kProductDepth;
  const Left dlogits = scratch_.row_words != nullptr ? Left{scratch_.row_words, shape_.span_stride / 2}
                                                     : Left{span.logits, shape_.span_stride};
  team_.parallel_for(column_parts * ceil_div(count_, part_rows), [&](int64_t task, int thread) {
    const int64_t part = task % column_parts, begin = task / column_parts * part_rows,
                  end = smaller(begin + part_rows, count_);
    const int64_t column = part * units / column_parts * kUnit;
    float* panels = scratch_.weight_panels + thread * kProductDepth * kInputColumns;
    Product work;
    work.dtype = weight_.dtype;
    work.cols = smaller((part + 1) * units / column_parts * kUnit, hidden) - column;
    work.out_stride = hidden;
    work.into_out = true;
    // Even ones: a product takes kPackRows rows at a time.
    const int64_t tile = ceil_div(end - begin, ceil_div(end - begin, kPackRows));
    for (int64_t row = 0; row < span.cols; row += block_rows) {
      const int64_t rows = smaller(block_rows, span.cols - row);
      pack_parameter_rows(panels, weight_, span.begin + row, rows, column, work.cols);
      work.depth = product_depth(weight_.dtype, rows);
      work.b = packed_right(panels, work.depth);
      for (int64_t first = begin; first < end; first += tile) {
        work.a = dlogits.from(first, product_depth(weight_.dtype, row));
        work.rows = smaller(tile, end - first);
        work.out = scratch_.dhidden + first * hidden + column;
        product(work);
      }
    }
  });
}

void HeadChunk::scatter(const Tensor& dhidden) const {
  const int64_t cols = weight_.cols;
  team_.parallel_for(ceil_div(cols, kPanel), [&](int64_t task, int) {
    const int64_t first = task * kPanel, width = smaller(kPanel, cols - first);
    for (int64_t i = 0; i < count_; ++i) {
      float* row = dhidden.f32() + items_.row_index[begin_ + i] * dhidden.stride + first;
      const float* part = scratch_.dhidden + i * cols + first;
      for_lanes(width, [&](int64_t c, int n) {
        store_lanes(row + c, load_lanes(row + c, n) + load_lanes(part + c, n), n);
      });
    }
  });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
