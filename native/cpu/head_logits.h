// What the head and the sampler share, so that a token's log-prob has the same bits in both: logits of a
// block of the vocabulary, their reduction, and the merging of blocks.
#pragma once

#include "backend/backend.h"
#include "cpu/gemm.h"

namespace coppice {
namespace COPPICE_ISA {

// Of the scaled logits y of one row in one block: the largest, sum e^(y - largest), sum e^(y - largest) (y -
// largest).
struct BlockSums {
  float largest;
  float sum;
  float weighted;
};

// Of a whole row.
struct RowSums {
  float largest;
  float lse;
  float entropy;
};

COPPICE_INLINE int64_t vocab_blocks(int64_t vocab) {
  return ceil_div(vocab, kVocabBlock);
}
COPPICE_INLINE int64_t vocab_block_cols(int64_t vocab, int64_t block) {
  return smaller(kVocabBlock, vocab - block * kVocabBlock);
}

// Rows of a tile of logits, at most `most`, so that there are two tiles or more for each thread where rows
// allow it. The choice changes no bit.
int64_t logit_tile_rows(int64_t rows, int64_t blocks, int threads, int64_t most);

// y[r][j] = (sum_k hidden(r, k) weight[block * kVocabBlock + j][k]) * inverse_temperature[r]; y's rows are
// y_stride apart.
void block_logits(float* y, int64_t y_stride, Left hidden, int64_t rows, const Parameter& weight,
                  int64_t block, const float* inverse_temperature);

BlockSums reduce_block(const float* y, int64_t cols);
// sums [blocks], merged in order.
RowSums merge_blocks(const BlockSums* sums, int64_t blocks);

// The log-prob of a token whose scaled logit is y.
COPPICE_INLINE float log_prob(float y, float lse) {
  return y - lse;
}

}  // namespace COPPICE_ISA
}  // namespace coppice
