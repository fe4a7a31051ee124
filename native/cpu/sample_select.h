// One draw from one row of logits: cutting the distribution by top-k, top-p and min-p without sorting the
// vocabulary, then the inverse of the cumulative distribution in vocabulary order. Used by sample.cpp alone.
#pragma once

#include "backend/backend.h"
#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {

// Logits order as unsigned keys; -0 and +0 share one. Not for NaN.
COPPICE_INLINE uint32_t order_key(float y) {
  const float canonical = y + 0.0f;
  uint32_t bits;
  __builtin_memcpy(&bits, &canonical, sizeof bits);
  return bits ^ ((bits >> 31) != 0 ? 0xFFFFFFFFu : 0x80000000u);
}

COPPICE_INLINE float logit_of_key(uint32_t key) {
  const uint32_t bits = key ^ ((key >> 31) != 0 ? 0x80000000u : 0xFFFFFFFFu);
  float y;
  __builtin_memcpy(&y, &bits, sizeof y);
  return y;
}

// The kept set is { v : y_v > threshold, or y_v == threshold and v <= last_tie }, with e^(y_v - maximum) >=
// min_p.
struct Cut {
  float threshold = -__builtin_inff();
  int32_t last_tie = INT32_MAX;
  float min_p = 0.0f;
};

// What top_k, top_p and min_p leave of y [vocab], whose largest element is `maximum`. Every element must be a
// number.
Cut cut_distribution(const float* y, int64_t vocab, float maximum, const SampleParams& params);

// Kept mass, relative to e^maximum, of each block of kVocabBlock elements; returns the number of elements
// kept.
int64_t kept_block_masses(double* block_mass, const float* y, int64_t vocab, float maximum, const Cut& cut);

// The first kept element, in vocabulary order, at which the cumulative kept mass exceeds `target`. The
// blocks' masses may differ from their elements' sums by rounding.
int32_t token_at(const double* block_mass, const float* y, int64_t vocab, float maximum, const Cut& cut,
                 double target);

// The smallest index of an element equal to `maximum`; 0 when there is none.
int32_t first_largest(const float* y, int64_t vocab, float maximum);

}  // namespace COPPICE_ISA
}  // namespace coppice
