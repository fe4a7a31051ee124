// Which tokens of a row a sampler keeps, and the one at which a sum of weights passes a target. All functions
// are called by every thread of a block of kSampleThreads, and give every thread the same result. Sums are of
// whole numbers, so threads may add in any order.
#pragma once

#include "backend/backend.h"
#include "reduce.cuh"

namespace coppice {

inline constexpr int kSampleThreads = 256;
inline constexpr int kSampleWarps = kSampleThreads / kWarp;
inline constexpr int kBuckets = 256;                   // of a digit of 8 bits
inline constexpr double kMassUnit = 17592186044416.0;  // 2^44

struct SelectShared {
  unsigned count[kBuckets];
  unsigned long long weight[kBuckets];
  unsigned long long total, above;
  int64_t found;
  unsigned digit;
};

struct LogitRow {
  const float* y;
  int64_t vocab;
  float maximum;
};

// Tokens above the threshold, and of those at it the ones up to `last_tie`, unless their mass is below min_p.
struct Cut {
  float threshold = -INFINITY;
  int64_t last_tie = INT64_MAX;
  float min_p = 0.0f;
};

__device__ inline bool kept_by(const Cut& cut, float y, int64_t v) {
  return y > cut.threshold || (y == cut.threshold && v <= cut.last_tie);
}
__device__ inline float mass_of(const LogitRow& row, int64_t v) {
  return expf(row.y[v] - row.maximum);
}
__device__ inline unsigned long long units(float mass) {
  return static_cast<unsigned long long>(static_cast<double>(mass) * kMassUnit);
}
__device__ inline bool keeps(const LogitRow& row, const Cut& cut, int64_t v) {
  return kept_by(cut, row.y[v], v) && !(mass_of(row, v) < cut.min_p);
}
__device__ inline unsigned long long kept_mass(const LogitRow& row, const Cut& cut, int64_t v) {
  return keeps(row, cut, v) ? units(mass_of(row, v)) : 0;
}

// Larger for larger numbers, and one for both zeros.
__device__ inline uint32_t order_key(float y) {
  const uint32_t bits = __float_as_uint(y == 0.0f ? 0.0f : y);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
__device__ inline float logit_of_key(uint32_t key) {
  return __uint_as_float((key & 0x80000000u) != 0 ? key & 0x7FFFFFFFu : ~key);
}

// The first index at which the sum of weight_of(0 .. index) exceeds `target`; some index must.
template <typename WeightOf>
__device__ int64_t first_beyond(SelectShared& shared, int64_t count, unsigned long long target,
                                const WeightOf& weight_of) {
  // The row in kBuckets pieces of whole warps; then, lane by lane, the piece in which it happens.
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const int64_t piece = ((count + kBuckets - 1) / kBuckets + kWarp - 1) / kWarp * kWarp;
  for (int p = warp; p < kBuckets; p += kSampleWarps) {
    const int64_t begin = p * piece, end = begin + piece < count ? begin + piece : count;
    unsigned long long sum = 0;
    for (int64_t v = begin + lane; v < end; v += kWarp) sum += weight_of(v);
    sum = warp_reduce<Sum>(sum);
    if (lane == 0) shared.weight[p] = sum;
  }
  __syncthreads();
  if (warp == 0) {
    int p = 0;
    unsigned long long before = 0;
    while (p < kBuckets - 1 && before + shared.weight[p] <= target) before += shared.weight[p++];
    for (int64_t begin = p * piece; begin < count; begin += kWarp) {
      const int64_t v = begin + lane;
      unsigned long long sum = v < count ? weight_of(v) : 0;
      for (unsigned distance = 1; distance < kWarp; distance *= 2) {
        const unsigned long long lower = __shfl_up_sync(0xFFFFFFFFu, sum, distance);
        if (static_cast<unsigned>(lane) >= distance) sum += lower;
      }
      const unsigned beyond = __ballot_sync(0xFFFFFFFFu, before + sum > target);
      if (beyond != 0) {
        if (lane == 0) shared.found = begin + __ffs(static_cast<int>(beyond)) - 1;
        break;
      }
      before += __shfl_sync(0xFFFFFFFFu, sum, kWarp - 1);
    }
  }
  __syncthreads();
  const int64_t found = shared.found;
  __syncthreads();  // before somebody searches again
  return found;
}

__device__ inline int32_t first_largest(SelectShared& shared, const LogitRow& row) {
  return static_cast<int32_t>(
      first_beyond(shared, row.vocab, 0, [&](int64_t v) { return row.y[v] == row.maximum ? 1ull : 0ull; }));
}

struct Kept {
  unsigned long long mass, count;
};

__device__ inline Kept sum_kept(SelectShared& shared, const LogitRow& row, const Cut& cut) {
  Kept kept = {0, 0};
  for (int64_t v = threadIdx.x; v < row.vocab; v += kSampleThreads) {
    if (!keeps(row, cut, v)) continue;
    kept.mass += units(mass_of(row, v));
    ++kept.count;
  }
  return {block_reduce<Sum>(kept.mass, shared.weight), block_reduce<Sum>(kept.count, shared.weight)};
}

// Sums the elements that `cut` keeps by the digit of their keys at `shift`, where the digits before it are
// those of `key`.
template <typename WeightOf>
__device__ void fill_buckets(SelectShared& shared, const LogitRow& row, const Cut& cut, int shift,
                             uint32_t key, const WeightOf& weight_of) {
  __syncthreads();
  shared.count[threadIdx.x] = 0;
  shared.weight[threadIdx.x] = 0;
  __syncthreads();
  for (int64_t v = threadIdx.x; v < row.vocab; v += kSampleThreads) {
    const float y = row.y[v];
    const uint32_t own = order_key(y);
    if (static_cast<uint64_t>(own ^ key) >> (shift + 8) != 0 || !kept_by(cut, y, v)) continue;
    atomicAdd(&shared.count[own >> shift & 255], 1u);
    atomicAdd(&shared.weight[own >> shift & 255], weight_of(v));
  }
  __syncthreads();
}

// Narrows `cut` to its shortest prefix in descending order (ties by smaller index) whose weight reaches
// `share` of all that it keeps, or `amount` where share is 0.
template <typename WeightOf>
__device__ Cut shortest_prefix(SelectShared& shared, const LogitRow& row, const Cut& cut, double share,
                               unsigned long long amount, const WeightOf& weight_of) {
  static_assert(kSampleThreads == kBuckets);
  uint32_t key = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    fill_buckets(shared, row, cut, shift, key, weight_of);
    if (threadIdx.x == 0) {
      if (shift == 24) {
        unsigned long long total = 0;
        for (int b = 0; b < kBuckets; ++b) total += shared.weight[b];
        const double wanted = ceil(share * static_cast<double>(total));
        shared.total = share == 0.0 ? amount : static_cast<unsigned long long>(wanted);
        if (shared.total > total) shared.total = total;
        shared.above = 0;
      }
      // Down to the bucket that reaches it; the last one that has any closes the prefix in any case.
      unsigned digit = 0;
      unsigned long long above = shared.above, reached = shared.above;
      for (int b = kBuckets - 1; b >= 0; --b) {
        if (shared.count[b] == 0) continue;
        digit = static_cast<unsigned>(b);
        above = reached;
        reached += shared.weight[b];
        if (reached >= shared.total) break;
      }
      shared.digit = digit;
      shared.above = above;
    }
    __syncthreads();
    key |= shared.digit << shift;
  }
  const unsigned ties = shared.count[shared.digit];
  const unsigned long long each = shared.weight[shared.digit] / ties, missing = shared.total - shared.above;
  unsigned long long needed = each == 0 ? 1 : (missing + each - 1) / each;
  needed = needed < 1 ? 1 : needed > ties ? ties : needed;
  Cut result = cut;
  result.threshold = logit_of_key(key);
  result.last_tie = first_beyond(shared, row.vocab, needed - 1, [&](int64_t v) {
    return row.y[v] == result.threshold && kept_by(cut, row.y[v], v) ? 1ull : 0ull;
  });
  return result;
}

__device__ inline Cut cut_distribution(SelectShared& shared, const LogitRow& row,
                                       const SampleParams& params) {
  Cut cut;
  if (params.top_k > 0 && params.top_k < row.vocab) {
    cut = shortest_prefix(shared, row, cut, 0.0, static_cast<unsigned long long>(params.top_k),
                          [](int64_t) { return 1ull; });
  }
  if (params.top_p < 1.0f) {
    // Of a share of 0 the largest element is left.
    const double share = params.top_p > 0.0f ? static_cast<double>(params.top_p) : 0.0;
    cut = shortest_prefix(shared, row, cut, share, 1ull, [&](int64_t v) { return units(mass_of(row, v)); });
  }
  // The largest element has mass 1 and stays whatever is asked for.
  cut.min_p = params.min_p < 1.0f ? params.min_p : 1.0f;
  return cut;
}

}  // namespace coppice
