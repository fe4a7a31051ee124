// A chunk of the head's items: its rows gathered, its logits reduced, and what their gradients pass on to the
// rows and to the weight.
#pragma once

#include "cpu/cpu_backend.h"
#include "cpu/head_scratch.h"

namespace coppice {
namespace COPPICE_ISA {

// Of all items; entropy and g_entropy may be null.
struct HeadGradients {
  const float* lse;
  const float* entropy;
  const float* g_lp;
  const float* g_entropy;
};

class HeadChunk {
 public:
  // Items [begin, begin + count).
  HeadChunk(const ThreadTeam& team, const HeadShape& shape, const HeadScratch& scratch,
            const Parameter& weight, const HeadItems& items, int64_t begin, int64_t count)
      : team_(team),
        shape_(shape),
        scratch_(scratch),
        weight_(weight),
        items_(items),
        begin_(begin),
        count_(count) {}

  // What everything below reads.
  void gather(const Tensor& hidden) const;
  // lp, lse and (or null) entropy of the chunk's items. Under HeadPass::kBoth the logits stay in scratch.
  void log_probs(float* lp, float* entropy, float* lse) const;
  // dweight += dlogits^T hidden, and the rows of dhidden += dlogits weight, items that share a row in their
  // order. Destroys held logits; without them computes them again.
  void differentiate(const Tensor& dhidden, float* dweight, const HeadGradients& gradients) const;

 private:
  // Part of the vocabulary.
  struct Span {
    int64_t begin;
    int64_t cols;
    float* logits;  // [count][span_stride]
  };
  bool holds_logits() const { return scratch_.sums != nullptr && scratch_.logits != nullptr; }
  // Rows of a tile of logits over `blocks` blocks of the vocabulary.
  int64_t tile_rows(int64_t blocks) const {
    return logit_tile_rows(count_, blocks, team_.threads(), kMostLogitRows);
  }
  Span span(int64_t index) const;
  void logits(float* tile, int64_t stride, int64_t first, int64_t rows, int64_t block) const;
  void make_dlogits(const Span& span, const HeadGradients& gradients) const;
  void make_column_words(const Span& span) const;
  void add_to_weight(const Span& span, float* dweight) const;
  void add_to_hidden(const Span& span) const;
  void scatter(const Tensor& dhidden) const;

  const ThreadTeam& team_;
  const HeadShape& shape_;
  const HeadScratch& scratch_;
  const Parameter& weight_;
  const HeadItems& items_;
  const int64_t begin_;
  const int64_t count_;
};

}  // namespace COPPICE_ISA
}  // namespace coppice
