// Sizes of the head's chunks, and where its arrays stand in the op's scratch.
//
// Items go through the head in chunks and, backward, the vocabulary in spans of whole blocks: the gradient of
// a chunk's logits over a span is the largest thing that is ever stored.
#pragma once

#include "cpu/head_logits.h"
#include "cpu/scratch.h"

namespace coppice {
namespace COPPICE_ISA {

inline constexpr int64_t kMostLogitRows = kPackRows / 2;  // of a forward tile
inline constexpr int64_t kSpanBlocks = 8;                 // vocabulary blocks of a span
inline constexpr int64_t kSpanFloats = 1 << 21;           // aimed at for a chunk's logits over a span
inline constexpr int64_t kMostChunkDepths = 16;           // a chunk is 1 to 16 times kProductDepth items
inline constexpr int64_t kInputColumns = 2 * kPanel;      // columns of weight turned at a time for dhidden

struct HeadShape {
  int64_t chunk;  // items; a multiple of kProductDepth unless there are fewer: sums over items are cut alike
                  // by both
  int64_t span;   // vocabulary rows
  int64_t span_stride;
  int64_t blocks;  // of the whole vocabulary
};

COPPICE_INLINE HeadShape head_shape(int64_t items, int64_t vocab) {
  HeadShape shape;
  shape.span = smaller(vocab, kSpanBlocks * kVocabBlock);
  // Not a power of two, which would put a column's elements into few cache sets.
  shape.span_stride = round_up(shape.span, kLanes) + kLanes;
  const int64_t depths =
      larger(smaller(kSpanFloats / shape.span_stride / kProductDepth, kMostChunkDepths), 1);
  shape.chunk = smaller(depths * kProductDepth, items);
  shape.blocks = vocab_blocks(vocab);
  return shape;
}

// The chunk's hidden rows, one behind the other, and the factors of their logits.
struct HeadRows {
  float* hidden;               // [chunk][hidden]
  float* words;                // in bf16: the same rounded, [chunk][ceil(hidden / 2)] words
  float* inverse_temperature;  // [chunk]
};

struct HeadForwardScratch {
  HeadRows rows;
  BlockSums* sums;  // [chunk][blocks]
  float* target;    // [chunk] logits of the targets
  float* tiles;     // [kMostLogitRows][kVocabBlock] for each thread
  size_t bytes;
};

struct HeadBackwardScratch {
  HeadRows rows;
  float* dlogits;        // [chunk][span_stride]
  float* row_words;      // in bf16: dlogits in words along the vocabulary, [chunk][span_stride / 2]
  float* column_words;   // and in words of two items, [ceil(chunk / 2)][span_stride]
  float* dhidden;        // [chunk][hidden]
  float* hidden_panels;  // the chunk's hidden rows as a right operand
  float* weight_panels;  // [kVocabBlock] rows, kInputColumns columns of weight as a right operand, for each
                         // thread
  float* pack;           // kPackFloats for each thread
  size_t bytes;
};

COPPICE_INLINE HeadRows head_rows(ScratchCutter& cutter, const HeadShape& shape, int64_t hidden,
                                  DType dtype) {
  HeadRows rows;
  rows.hidden = cutter.take(shape.chunk * hidden);
  rows.words = dtype == DType::kBF16 ? cutter.take(shape.chunk * product_depth(dtype, hidden)) : nullptr;
  rows.inverse_temperature = cutter.take(shape.chunk);
  return rows;
}

COPPICE_INLINE HeadForwardScratch head_forward_scratch(void* data, const HeadShape& shape, int64_t hidden,
                                                       DType dtype, int threads) {
  ScratchCutter cutter(data);
  HeadForwardScratch scratch;
  scratch.rows = head_rows(cutter, shape, hidden, dtype);
  scratch.sums = cutter.take<BlockSums>(shape.chunk * shape.blocks);
  scratch.target = cutter.take(shape.chunk);
  scratch.tiles = cutter.take(kMostLogitRows * kVocabBlock * threads);
  scratch.bytes = cutter.used();
  return scratch;
}

COPPICE_INLINE HeadBackwardScratch head_backward_scratch(void* data, const HeadShape& shape, int64_t hidden,
                                                         DType dtype, int threads) {
  ScratchCutter cutter(data);
  HeadBackwardScratch scratch;
  scratch.rows = head_rows(cutter, shape, hidden, dtype);
  scratch.dlogits = cutter.take(shape.chunk * shape.span_stride);
  const bool words = dtype == DType::kBF16;
  scratch.row_words = words ? cutter.take(shape.chunk * shape.span_stride / 2) : nullptr;
  scratch.column_words = words ? cutter.take(ceil_div(shape.chunk, 2) * shape.span_stride) : nullptr;
  scratch.dhidden = cutter.take(shape.chunk * hidden);
  scratch.hidden_panels = cutter.take(packed_floats(product_depth(dtype, shape.chunk), hidden));
  scratch.weight_panels = cutter.take(packed_floats(kVocabBlock, kInputColumns) * threads);
  scratch.pack = cutter.take(kPackFloats * threads);
  scratch.bytes = cutter.used();
  return scratch;
}

}  // namespace COPPICE_ISA
}  // namespace coppice
