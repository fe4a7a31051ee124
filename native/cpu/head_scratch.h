// Sizes of the head's chunks, and where its arrays stand in the op's scratch.
//
// Items go through the head in chunks and, backward, the vocabulary in spans of whole blocks. Either pass by
// itself stores no more than a chunk's logits over a span, kSpanFloats or so; a pass that goes both ways
// holds them over the whole vocabulary. Up to kSpanBlocks blocks that is the same; beyond them a chunk is
// kProductDepth items, and holds a KiB for each token of the vocabulary.
#pragma once

#include "cpu/head_logits.h"
#include "cpu/scratch.h"

namespace coppice {
namespace COPPICE_ISA {

// Of a tile of logits: half of the smallest chunk.
inline constexpr int64_t kMostLogitRows = kTileRows * ((kProductDepth / 2 + kTileRows - 1) / kTileRows);
inline constexpr int64_t kSpanBlocks = 8;             // vocabulary blocks of a span
inline constexpr int64_t kSpanFloats = 1 << 21;       // aimed at for a chunk's logits over a span
inline constexpr int64_t kMostChunkDepths = 16;       // a chunk is 1 to 16 times kProductDepth items
inline constexpr int64_t kInputColumns = kBlockCols;  // columns of weight turned at once for dhidden, at most

struct HeadShape {
  int64_t chunk;  // items; a multiple of kProductDepth unless there are fewer, so that chunks cut a sum over
                  // items where the products rule does
  int64_t span;   // vocabulary rows
  int64_t span_stride;
  int64_t spans;
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
  shape.spans = ceil_div(vocab, shape.span);
  shape.blocks = vocab_blocks(vocab);
  return shape;
}

// The chunk's hidden rows, one behind the other, and the factors of their logits.
struct HeadRows {
  float* hidden;               // [chunk][hidden]
  float* words;                // in bf16: the same rounded, [chunk][ceil(hidden / 2)] words
  float* inverse_temperature;  // [chunk]
};

// What an op does with a chunk's logits: it reduces them to log-probs, makes their gradients, or both, for
// which it holds them over the whole vocabulary in between.
enum class HeadPass : uint8_t { kForward, kBackward, kBoth };

struct HeadScratch {
  HeadRows rows;
  // Forward.
  BlockSums* sums;  // [chunk][blocks]
  float* target;    // [chunk] logits of the targets
  float* tiles;     // [kMostLogitRows][kVocabBlock] for each thread, where nothing is held
  // Backward.
  float* logits;         // [chunk][span_stride] of one span, or of every span where they are held: the logits
                         // and then their gradients
  float* row_words;      // in bf16: gradients in words along the vocabulary, [chunk][span_stride / 2]
  float* column_words;   // and in words of two items, [ceil(chunk / 2)][span_stride]
  float* dhidden;        // [chunk][hidden]
  float* hidden_panels;  // the chunk's hidden rows as a right operand
  float* weight_panels;  // part of the weight as a right operand, [kProductDepth][kInputColumns] for each
                         // thread
  float* pack;           // kPackFloats for each thread
  size_t bytes;
};

COPPICE_INLINE HeadScratch head_scratch(void* data, HeadPass pass, const HeadShape& shape, int64_t hidden,
                                        DType dtype, int threads) {
  const bool forward = pass != HeadPass::kBackward, backward = pass != HeadPass::kForward;
  const bool held = forward && backward, words = dtype == DType::kBF16;
  const auto floats = [](ScratchCutter& cutter, bool wanted, int64_t count) {
    return wanted ? cutter.take(count) : nullptr;
  };
  ScratchCutter cutter(data);
  HeadScratch scratch;
  scratch.rows.hidden = cutter.take(shape.chunk * hidden);
  scratch.rows.words = floats(cutter, words, shape.chunk * product_depth(dtype, hidden));
  scratch.rows.inverse_temperature = cutter.take(shape.chunk);
  scratch.sums = forward ? cutter.take<BlockSums>(shape.chunk * shape.blocks) : nullptr;
  scratch.target = floats(cutter, forward, shape.chunk);
  scratch.tiles = floats(cutter, forward && !held, kMostLogitRows * kVocabBlock * threads);
  const int64_t span = shape.chunk * shape.span_stride;
  scratch.logits = floats(cutter, backward, held ? shape.spans * span : span);
  scratch.row_words = floats(cutter, backward && words, span / 2);
  scratch.column_words = floats(cutter, backward && words, ceil_div(shape.chunk, 2) * shape.span_stride);
  scratch.dhidden = floats(cutter, backward, shape.chunk * hidden);
  scratch.hidden_panels = floats(cutter, backward, packed_floats(product_depth(dtype, shape.chunk), hidden));
  scratch.weight_panels = floats(cutter, backward, kProductDepth * kInputColumns * threads);
  scratch.pack = floats(cutter, backward, kPackFloats * threads);
  scratch.bytes = cutter.used();
  return scratch;
}

}  // namespace COPPICE_ISA
}  // namespace coppice
