#include "cpu/sample_select.h"

#include "ops/ops.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

constexpr int kBuckets = 2048;

// A digit of the key: 11, 11 and 10 bits from the top.
struct Digit {
  int shift;
  int bits;
};
constexpr Digit kDigits[3] = {{21, 11}, {10, 11}, {0, 10}};

// How much a prefix of the descending order weighs: a count for top-k, probability mass for top-p. One pass over the row
// per digit of the key fills the buckets; walking them from the top tells in which one the target is reached.
struct Bucket {
  double weight;
  int64_t count;
};

struct Prefix {
  uint32_t key;    // where the target is reached
  double above;    // weight of everything larger
  double weight;   // of all elements equal to it
  int64_t count;   // of elements equal to it
};

COPPICE_INLINE bool kept_by(const Cut& cut, float y, int64_t v) {
  return y > cut.threshold || (y == cut.threshold && v <= cut.last_tie);
}

// kByMass: an element weighs e^(y - maximum); else 1. Elements outside `cut` weigh nothing and are not counted.
template <bool kByMass>
void fill_buckets(Bucket* buckets, const float* y, int64_t vocab, float maximum, const Cut& cut, Digit digit, uint32_t parent) {
  for (int b = 0; b < kBuckets; ++b) buckets[b] = {0.0, 0};
  const uint32_t mask = (1u << digit.bits) - 1;
  const int parent_shift = digit.shift + digit.bits;
  for_lanes(vocab, [&](int64_t begin, int n) COPPICE_LAMBDA_INLINE {
    float mass[kLanes];
    if (kByMass) store(mass, exp(load_lanes(y + begin, n) - splat(maximum)));
    for (int i = 0; i < n; ++i) {
      const int64_t v = begin + i;
      const uint32_t key = order_key(y[v]);
      if ((parent_shift < 32 && key >> parent_shift != parent) || !kept_by(cut, y[v], v)) continue;
      Bucket& bucket = buckets[(key >> digit.shift) & mask];
      bucket.weight += kByMass ? static_cast<double>(mass[i]) : 1.0;
      ++bucket.count;
    }
  });
}

// The shortest prefix in descending order whose weight is target or more; all there is when rounding keeps it below.
template <bool kByMass>
Prefix find_prefix(const float* y, int64_t vocab, float maximum, const Cut& cut, double share_or_count) {
  Bucket buckets[kBuckets];
  Prefix prefix{0, 0.0, 0.0, 0};
  double target = share_or_count;
  for (const Digit digit : kDigits) {
    fill_buckets<kByMass>(buckets, y, vocab, maximum, cut, digit, prefix.key);
    if (kByMass && digit.shift == kDigits[0].shift) {
      double total = 0.0;
      for (int b = kBuckets - 1; b >= 0; --b) total += buckets[b].weight;
      target = share_or_count * total;
    }
    int found = -1;
    double above = prefix.above, above_found = above;
    for (int b = kBuckets - 1; b >= 0; --b) {
      if (buckets[b].count == 0) continue;
      found = b;
      above_found = above;
      above += buckets[b].weight;
      if (above >= target) break;
    }
    prefix = {(prefix.key << digit.bits) | static_cast<uint32_t>(found), above_found, buckets[found].weight, buckets[found].count};
  }
  return prefix;
}
