#include "cpu/sample_select.h"

#include "cpu/sample_leaders.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// Logits are searched digit by digit of their order keys: 11, 11 and 10 bits from the top.
struct Digit {
  int shift;
  int bits;
};
constexpr Digit kDigits[3] = {{21, 11}, {10, 11}, {0, 10}};
constexpr int kBuckets = 2048;

struct Bucket {
  double weight;
  int64_t count;
};

COPPICE_INLINE bool kept_by(const Cut& cut, float y, int64_t v) {
  return y > cut.threshold || (y == cut.threshold && v <= cut.last_tie);
}

// Sums the elements that `cut` keeps by the next digit of their keys, where the digits before it are
// `parent`. An element weighs e^(y - maximum) when kByMass, else 1.
template <bool kByMass>
void fill_buckets(Bucket* buckets, const float* y, int64_t vocab, float maximum, const Cut& cut, Digit digit,
                  uint32_t parent) {
  for (int b = 0; b < kBuckets; ++b) buckets[b] = {0.0, 0};
  const int parent_shift = digit.shift + digit.bits;
  const uint32_t mask = (1u << digit.bits) - 1;
  for_lanes(vocab, [&](int64_t begin, int n) {
    float mass[kLanes];
    if (kByMass) store(mass, exp(load_lanes(y + begin, n) - splat(maximum)));
    for (int i = 0; i < n; ++i) {
      const float value = y[begin + i];
      const uint32_t key = order_key(value);
      if (static_cast<uint64_t>(key) >> parent_shift != parent || !kept_by(cut, value, begin + i)) continue;
      Bucket& bucket = buckets[(key >> digit.shift) & mask];
      bucket.weight += kByMass ? static_cast<double>(mass[i]) : 1.0;
      ++bucket.count;
    }
  });
}

// The `ordinal`-th (from 1) index of an element that `cut` keeps and that equals `value`.
int32_t find_tie(const float* y, int64_t vocab, const Cut& cut, float value, int64_t ordinal) {
  int32_t last = -1;
  for (int64_t v = 0; v < vocab && ordinal > 0; ++v) {
    if (y[v] == value && kept_by(cut, y[v], v)) {
      last = static_cast<int32_t>(v);
      --ordinal;
    }
  }
  return last;
}

// Narrows `cut` to its shortest prefix in descending order (ties by smaller index) whose weight reaches
// `target`: a number of elements, or when kByMass a share of the mass that `cut` keeps.
template <bool kByMass>
Cut shortest_prefix(const float* y, int64_t vocab, float maximum, const Cut& cut, double target) {
  Bucket buckets[kBuckets];
  uint32_t key = 0;
  double above = 0.0;  // weight of the elements whose leading digits are larger than those of `key`
  int found = 0;
  for (const Digit digit : kDigits) {
    fill_buckets<kByMass>(buckets, y, vocab, maximum, cut, digit, key);
    if (kByMass && digit.shift == kDigits[0].shift) {
      double total = 0.0;
      for (int b = kBuckets - 1; b >= 0; --b) total += buckets[b].weight;
      target *= total;
    }
    // Where rounding keeps every sum below the target, the smallest element closes the prefix.
    double reached = above;
    for (int b = kBuckets - 1; b >= 0; --b) {
      if (buckets[b].count == 0) continue;
      found = b;
      above = reached;
      reached += buckets[b].weight;
      if (reached >= target) break;
    }
    key = (key << digit.bits) | static_cast<uint32_t>(found);
  }
  const int64_t ties = buckets[found].count;
  const double each = buckets[found].weight / static_cast<double>(ties);
  int64_t needed = 1;
  while (needed < ties && above + static_cast<double>(needed) * each < target) ++needed;
  Cut result = cut;
  result.threshold = logit_of_key(key);
  result.last_tie = find_tie(y, vocab, cut, result.threshold, needed);
  return result;
}

// Masses e^(y - maximum) of n <= 16 elements from index `begin` on, 0 where `cut` drops them.
COPPICE_INLINE Vec kept_lanes(const float* y, int64_t begin, int n, float maximum, const Cut& cut,
                              int64_t* kept) {
  const Vec value = load_lanes(y + begin, n), threshold = splat(cut.threshold);
  const Vec mass = exp(value - splat(maximum));
  const int64_t ties = smaller(larger(static_cast<int64_t>(cut.last_tie) + 1 - begin, 0), n);
  const Mask dropped =
      ~less(threshold, value) & ~(equal(value, threshold) & first_lanes(static_cast<int>(ties)));
  const Mask keep = ~dropped & ~less(mass, splat(cut.min_p)) & first_lanes(n);
  *kept += count(keep);
  return select(keep, mass, zero());
}

COPPICE_INLINE int64_t block_end(int64_t begin, int64_t vocab) {
  return smaller(begin + kVocabBlock, vocab);
}

// Of one block, in lanes.
COPPICE_INLINE double kept_block_mass(const float* y, int64_t begin, int64_t vocab, float maximum,
                                      const Cut& cut, int64_t* kept) {
  Vec total = zero();
  for_lanes(block_end(begin, vocab) - begin, [&](int64_t offset, int n) {
    total = total + kept_lanes(y, begin + offset, n, maximum, cut, kept);
  });
  return static_cast<double>(sum(total));
}

// How many leaders make the shortest prefix that reaches `share` of `total`, a mass relative to e^maximum.
// Where they do not reach it: all of them if they are `all` there is, for then only rounding is in the way,
// or else 0.
int64_t leaders_reaching(const Leaders& leaders, bool all, float maximum, double share, double total) {
  double reached = 0.0;
  for (int64_t i = 0; i < leaders.count; ++i) {
    reached += static_cast<double>(exp(leaders.value[i] - maximum));
    if (reached >= share * total) return i + 1;
  }
  return all ? leaders.count : 0;
}

double mass_of(const Leaders& leaders, float maximum) {
  double total = 0.0;
  for (int64_t i = 0; i < leaders.count; ++i) total += static_cast<double>(exp(leaders.value[i] - maximum));
  return total;
}

Cut up_to(const Leaders& leaders, int64_t count) {
  return {.threshold = leaders.value[count - 1], .last_tie = leaders.index[count - 1]};
}

// By the leaders alone, or false where the kept set may be larger than they are.
bool cut_by_leaders(Cut* cut, const float* y, int64_t vocab, float maximum, const SampleParams& params,
                    bool by_count, bool by_mass) {
  if (by_count && params.top_k > Leaders::kMost) return false;
  const bool all = by_count || vocab <= Leaders::kMost;
  Leaders leaders;
  find_leaders(&leaders, y, vocab, by_count ? params.top_k : all ? vocab : Leaders::kMost / 2);
  int64_t count = leaders.count;
  if (by_mass) {
    double total = 0.0;
    int64_t ignored = 0;
    if (all) {
      total = mass_of(leaders, maximum);
    } else {
      for (int64_t begin = 0; begin < vocab; begin += kVocabBlock)
        total += kept_block_mass(y, begin, vocab, maximum, {}, &ignored);
    }
    count = leaders_reaching(leaders, all, maximum, static_cast<double>(params.top_p), total);
  }
  if (count == 0) return false;
  *cut = up_to(leaders, count);
  return true;
}

}  // namespace

Cut cut_distribution(const float* y, int64_t vocab, float maximum, const SampleParams& params) {
  Cut cut;
  const bool by_count = params.top_k > 0 && params.top_k < vocab, by_mass = params.top_p < 1.0f;
  if ((by_count || by_mass) && !cut_by_leaders(&cut, y, vocab, maximum, params, by_count, by_mass)) {
    if (by_count) cut = shortest_prefix<false>(y, vocab, maximum, cut, static_cast<double>(params.top_k));
    if (by_mass) cut = shortest_prefix<true>(y, vocab, maximum, cut, static_cast<double>(params.top_p));
  }
  // The largest element has mass 1 and stays whatever is asked for.
  cut.min_p = params.min_p < 1.0f ? params.min_p : 1.0f;
  return cut;
}

int64_t kept_block_masses(double* block_mass, const float* y, int64_t vocab, float maximum, const Cut& cut) {
  int64_t kept = 0;
  for (int64_t begin = 0; begin < vocab; begin += kVocabBlock)
    block_mass[begin / kVocabBlock] = kept_block_mass(y, begin, vocab, maximum, cut, &kept);
  return kept;
}

int32_t token_at(const double* block_mass, const float* y, int64_t vocab, float maximum, const Cut& cut,
                 double target) {
  // First the block in which the cumulative mass exceeds the target, then the element inside it. Where
  // rounding leaves the sum at or below the target to the end, the last one that has any mass is taken.
  int64_t block_begin = 0;
  double before = 0.0, cumulative = 0.0;
  for (int64_t begin = 0; begin < vocab; begin += kVocabBlock) {
    const double mass = block_mass[begin / kVocabBlock];
    if (!(mass > 0.0)) continue;
    block_begin = begin;
    before = cumulative;
    cumulative += mass;
    if (cumulative > target) break;
  }
  int32_t token = 0;
  cumulative = before;
  for (int64_t begin = block_begin; begin < block_end(block_begin, vocab); begin += kLanes) {
    const int n = static_cast<int>(smaller(block_end(block_begin, vocab) - begin, kLanes));
    int64_t ignored = 0;
    float mass[kLanes];
    store(mass, kept_lanes(y, begin, n, maximum, cut, &ignored));
    for (int i = 0; i < n; ++i) {
      if (!(mass[i] > 0.0f)) continue;
      token = static_cast<int32_t>(begin + i);
      cumulative += static_cast<double>(mass[i]);
      if (cumulative > target) return token;
    }
  }
  return token;
}

int32_t first_largest(const float* y, int64_t vocab, float maximum) {
  for (int64_t v = 0; v < vocab; ++v) {
    if (y[v] == maximum) return static_cast<int32_t>(v);
  }
  return 0;
}

}  // namespace COPPICE_ISA
}  // namespace coppice
