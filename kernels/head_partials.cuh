// What is left of a row of logits: per tile of the vocabulary (maximum, sum of exp, sum of exp * distance),
// and the tiles merged. head_forward and sample share these, so that what a sampled token records is what the
// head computes for it later.
#pragma once

#include "backend/backend.h"
#include "reduce.cuh"

namespace coppice {

// With m the maximum: sum of exp(y - m), and of exp(y - m) * (y - m).
struct Partial {
  float maximum, sum, weighted;
};

// A logit of -inf has no mass beside anything, not even beside its like; one of inf gives NaN.
__device__ inline float below(float y, float maximum) {
  return y == -INFINITY ? y : y - maximum;
}

__device__ inline void add(Partial& part, Partial other, float maximum) {
  const float distance = below(other.maximum, maximum), scale = expf(distance);
  part.sum += other.sum * scale;
  // Against 0 * -inf.
  if (scale != 0.0f) part.weighted += (other.weighted + other.sum * distance) * scale;
}

__device__ inline Partial merge(Partial a, Partial b) {
  Partial both = {fmaxf(a.maximum, b.maximum), 0.0f, 0.0f};
  add(both, a, both.maximum);
  add(both, b, both.maximum);
  return both;
}

// Over `lanes` neighbouring lanes by a butterfly; lower lanes stand first on both sides, so that all of them
// get the same bits.
__device__ inline Partial merge_lanes(Partial part, int lane, int lanes) {
  for (int offset = lanes / 2; offset > 0; offset /= 2) {
    Partial other;
    other.maximum = __shfl_xor_sync(0xFFFFFFFFu, part.maximum, offset);
    other.sum = __shfl_xor_sync(0xFFFFFFFFu, part.sum, offset);
    other.weighted = __shfl_xor_sync(0xFFFFFFFFu, part.weighted, offset);
    part = (lane & offset) == 0 ? merge(part, other) : merge(other, part);
  }
  return part;
}

// Of a row's partials, by one warp: lane l takes l, l + 32, ... in order. Every lane gets the result.
__device__ inline Partial merge_row(const Partial* partials, int64_t count) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  Partial part = {-INFINITY, 0.0f, 0.0f};
  for (int64_t i = lane; i < count; i += kWarp) part = merge(part, partials[i]);
  return merge_lanes(part, lane, kWarp);
}

__device__ inline float log_sum_exp(Partial row) {
  return row.maximum + logf(row.sum);
}
// lse - sum p y = log(sum) - sum p (y - maximum)
__device__ inline float entropy_of(Partial row) {
  return logf(row.sum) - row.weighted / row.sum;
}

// How many partials a row has.
int64_t head_partials(int64_t vocab, DType dtype);

struct HeadLogits {
  Partial* partials;         // [rows][head_partials]
  float* logits;             // [rows][vocab] or null: y = z / temperature
  float* target_logit;       // [rows] or null
  const int32_t* target;     // [rows] or null
  const float* temperature;  // [rows]
};

struct HeadRows;

// Reduces the logits of rows x against the weight.
void head_logits(const HeadLogits& head, const HeadRows& x, const Parameter& weight, const Stream& stream);

}  // namespace coppice
