// The fused head: log-probs, entropies and their gradients, with logits held for a chunk of items and a part
// of the vocabulary at a time.
#include "base/error.h"
#include "cpu/copy_rows.h"
#include "cpu/cpu_backend.h"
#include "cpu/head_scratch.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// The caller's arrays may have changed since they were checked, and these index memory.
void check_items(const char* op, const HeadItems& items, int64_t rows, int64_t vocab) {
  for (int64_t i = 0; i < items.count; ++i) {
    if (items.row_index[i] < 0 || items.row_index[i] >= rows) {
      fail(ErrorCode::kInvalidArgument, "%s: row_index[%lld]: expected a row below %lld, received %d", op,
           static_cast<long long>(i), static_cast<long long>(rows), items.row_index[i]);
    }
    if (items.target[i] < 0 || items.target[i] >= vocab) {
      fail(ErrorCode::kInvalidArgument, "%s: target[%lld]: expected a token below %lld, received %d", op,
           static_cast<long long>(i), static_cast<long long>(vocab), items.target[i]);
    }
  }
}

void gather(const HeadRows& rows, const Tensor& hidden, const Parameter& weight, const HeadItems& items,
            int64_t begin, int64_t i) {
  const int64_t item = begin + i;
  const float* from = hidden.f32() + items.row_index[item] * hidden.stride;
  copy_rows(rows.hidden + i * hidden.cols, 0, from, 0, 1, hidden.cols);
  if (rows.words != nullptr)
    round_row(rows.words + i * product_depth(weight.dtype, weight.cols), from, weight.cols);
  rows.inverse_temperature[i] = 1.0f / items.temperature[item];
}

// The gathered rows from `first` on, as block_logits takes them.
Left logit_rows(const HeadRows& rows, const Parameter& weight, int64_t first) {
  const int64_t stride = product_depth(weight.dtype, weight.cols);
  return {(rows.words != nullptr ? rows.words : rows.hidden) + first * stride, stride};
}

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

// The backward pass of a chunk of items over a span of the vocabulary, in three sweeps over tiles of their
// own.
struct SpanGradient {
  const HeadShape& shape;
  const HeadBackwardScratch& scratch;
  const Parameter& weight;
  const ThreadTeam& team;
  int64_t item_begin;
  int64_t items;
  int64_t span_begin;
  int64_t span;

  // dlogits [items, span].
  void differentiate(const HeadItems& head, const float* lse, const float* entropy, const float* g_lp,
                     const float* g_entropy) const {
    const int64_t blocks = vocab_blocks(span);
    const int64_t tile_rows = logit_tile_rows(items, blocks, team.threads(), kMostLogitRows);
    const int64_t tiles = ceil_div(items, tile_rows);
    team.parallel_for(blocks * tiles, [&](int64_t task, int) {
      const int64_t block = task / tiles, first = task % tiles * tile_rows,
                    rows = smaller(tile_rows, items - first);
      float* tile = scratch.dlogits + first * shape.span_stride + block * kVocabBlock;
      const int64_t cols = smaller(kVocabBlock, span - block * kVocabBlock);
      block_logits(tile, shape.span_stride, logit_rows(scratch.rows, weight, first), rows, weight,
                   span_begin / kVocabBlock + block, scratch.rows.inverse_temperature + first);
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t i = item_begin + first + r;
        const bool with_entropy = g_entropy != nullptr;
        const ItemGradient gradient{lse[i], with_entropy ? entropy[i] : 0.0f, g_lp[i],
                                    with_entropy ? g_entropy[i] : 0.0f,
                                    scratch.rows.inverse_temperature[first + r]};
        gradient.apply(tile + r * shape.span_stride, cols, head.target[i] - span_begin - block * kVocabBlock);
        if (scratch.row_words == nullptr) continue;
        round_row(scratch.row_words + ((first + r) * shape.span_stride + block * kVocabBlock) / 2,
                  tile + r * shape.span_stride, cols);
      }
    });
    if (scratch.column_words == nullptr) return;
    team.parallel_for(ceil_div(items, 2), [&](int64_t k, int) {
      const float* first = scratch.dlogits + 2 * k * shape.span_stride;
      round_row_pair(scratch.column_words + k * shape.span_stride, first,
                     2 * k + 1 < items ? first + shape.span_stride : nullptr, span);
    });
  }

  // dweight += dlogits^T hidden.
  void add_to_weight(float* dweight) const {
    const int64_t hidden = weight.cols;
    const int64_t even = round_up(ceil_div(span, 2 * team.threads()), kTileRows),
                  tile = smaller(even, kPackRows);
    team.parallel_for(ceil_div(span, tile), [&](int64_t task, int thread) {
      const int64_t first = task * tile;
      Product work;
      work.dtype = weight.dtype;
      work.a = {(scratch.column_words != nullptr ? scratch.column_words : scratch.dlogits) + first,
                shape.span_stride, true};
      work.depth = product_depth(weight.dtype, items);
      work.b = packed_right(scratch.hidden_panels, work.depth);
      work.rows = smaller(tile, span - first);
      work.cols = hidden;
      work.out = dweight + (span_begin + first) * hidden;
      work.out_stride = hidden;
      work.into_out = true;
      work.pack = scratch.pack + thread * kPackFloats;
      product(work);
    });
  }

  // The chunk's dhidden += dlogits weight.
  void add_to_hidden() const {
    const int64_t hidden = weight.cols, column_tiles = ceil_div(hidden, kInputColumns);
    const int64_t row_tiles = smaller(ceil_div(2 * team.threads(), column_tiles), ceil_div(items, kTileRows));
    const int64_t tile = round_up(ceil_div(items, row_tiles), kTileRows);
    team.parallel_for(column_tiles * ceil_div(items, tile), [&](int64_t task, int thread) {
      const int64_t column = task % column_tiles * kInputColumns, first = task / column_tiles * tile;
      float* panels = scratch.weight_panels + thread * packed_floats(kVocabBlock, kInputColumns);
      Product work;
      work.dtype = weight.dtype;
      work.rows = smaller(tile, items - first);
      work.cols = smaller(kInputColumns, hidden - column);
      work.out = scratch.dhidden + first * hidden + column;
      work.out_stride = hidden;
      work.into_out = true;
      for (int64_t row = 0; row < span; row += kVocabBlock) {
        const int64_t rows = smaller(kVocabBlock, span - row);
        pack_parameter_rows(panels, weight, span_begin + row, rows, column, work.cols);
        const Left dlogits = scratch.row_words != nullptr ? Left{scratch.row_words, shape.span_stride / 2}
                                                          : Left{scratch.dlogits, shape.span_stride};
        work.a = dlogits.from(first, product_depth(weight.dtype, row));
        work.depth = product_depth(weight.dtype, rows);
        work.b = packed_right(panels, work.depth);
        product(work);
      }
    });
  }
};

}  // namespace

size_t CpuBackend::head_scratch_bytes(int64_t items, int64_t vocab, int64_t hidden, DType dtype) const {
  const HeadShape shape = head_shape(items, vocab);
  const size_t forward = head_forward_scratch(nullptr, shape, hidden, dtype, threads()).bytes;
  const size_t backward = head_backward_scratch(nullptr, shape, hidden, dtype, threads()).bytes;
  return forward > backward ? forward : backward;
}

void CpuBackend::head_forward(Context& context, float* lp, float* entropy, float* lse, const Tensor& hidden,
                              const Parameter& weight, const HeadItems& items) {
  check_items("head_forward", items, hidden.rows, weight.rows);
  const HeadShape shape = head_shape(items.count, weight.rows);
  const HeadForwardScratch scratch =
      head_forward_scratch(context.scratch.data, shape, hidden.cols, weight.dtype, threads());
  for (int64_t begin = 0; begin < items.count; begin += shape.chunk) {
    const int64_t count = smaller(shape.chunk, items.count - begin);
    team().parallel_for(count,
                        [&](int64_t i, int) { gather(scratch.rows, hidden, weight, items, begin, i); });

    const int64_t tile_rows = logit_tile_rows(count, shape.blocks, threads(), kMostLogitRows);
    const int64_t tiles = ceil_div(count, tile_rows);
    team().parallel_for(shape.blocks * tiles, [&](int64_t task, int thread) {
      const int64_t block = task / tiles, first = task % tiles * tile_rows,
                    rows = smaller(tile_rows, count - first);
      float* tile = scratch.tiles + thread * kMostLogitRows * kVocabBlock;
      block_logits(tile, kVocabBlock, logit_rows(scratch.rows, weight, first), rows, weight, block,
                   scratch.rows.inverse_temperature + first);
      const int64_t cols = vocab_block_cols(weight.rows, block);
      for (int64_t r = 0; r < rows; ++r) {
        const float* row = tile + r * kVocabBlock;
        scratch.sums[(first + r) * shape.blocks + block] = reduce_block(row, cols);
        const int64_t target = items.target[begin + first + r] - block * kVocabBlock;
        if (target >= 0 && target < cols) scratch.target[first + r] = row[target];
      }
    });

    team().parallel_for(count, [&](int64_t i, int) {
      const RowSums sums = merge_blocks(scratch.sums + i * shape.blocks, shape.blocks);
      lse[begin + i] = sums.lse;
      lp[begin + i] = log_prob(scratch.target[i], sums.lse);
      if (entropy != nullptr) entropy[begin + i] = sums.entropy;
    });
  }
}

void CpuBackend::head_backward(Context& context, const Tensor& dhidden, float* dweight, const Tensor& hidden,
                               const Parameter& weight, const HeadItems& items, const float* lse,
                               const float* entropy, const float* g_lp, const float* g_entropy) {
  check_items("head_backward", items, hidden.rows, weight.rows);
  const int64_t vocab = weight.rows, cols = weight.cols;
  team().parallel_for(dhidden.rows,
                      [&](int64_t t, int) { clear_row(dhidden.f32() + t * dhidden.stride, cols); });
  const HeadShape shape = head_shape(items.count, vocab);
  const HeadBackwardScratch scratch =
      head_backward_scratch(context.scratch.data, shape, cols, weight.dtype, threads());
  for (int64_t begin = 0; begin < items.count; begin += shape.chunk) {
    const int64_t count = smaller(shape.chunk, items.count - begin);
    team().parallel_for(count, [&](int64_t i, int) {
      gather(scratch.rows, hidden, weight, items, begin, i);
      clear_row(scratch.dhidden + i * cols, cols);
    });
    pack_right(scratch.hidden_panels, scratch.rows.hidden, cols, count, cols, weight.dtype);
    for (int64_t span = 0; span < vocab; span += shape.span) {
      const SpanGradient work{shape, scratch, weight, team(),
                              begin, count,   span,   smaller(shape.span, vocab - span)};
      work.differentiate(items, lse, entropy, g_lp, g_entropy);
      work.add_to_weight(dweight);
      work.add_to_hidden();
    }
    // Items that share a row add up in their order, whatever columns a thread has.
    team().parallel_for(ceil_div(cols, kPanel), [&](int64_t task, int) {
      const int64_t first = task * kPanel, width = smaller(kPanel, cols - first);
      for (int64_t i = 0; i < count; ++i) {
        float* row = dhidden.f32() + items.row_index[begin + i] * dhidden.stride + first;
        const float* part = scratch.dhidden + i * cols + first;
        for_lanes(width, [&](int64_t c, int n) {
          store_lanes(row + c, load_lanes(row + c, n) + load_lanes(part + c, n), n);
        });
      }
    });
  }
}

}  // namespace COPPICE_ISA
}  // namespace coppice
