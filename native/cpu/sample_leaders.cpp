#include "cpu/sample_leaders.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// Elements come by ascending index, so an equal one that is there already stays before this one.
void insert(Leaders* leaders, float value, int32_t index, int64_t wanted) {
  if (leaders->count < wanted) ++leaders->count;
  int64_t place = leaders->count - 1;
  for (; place > 0 && leaders->value[place - 1] < value; --place) {
    leaders->value[place] = leaders->value[place - 1];
    leaders->index[place] = leaders->index[place - 1];
  }
  leaders->value[place] = value;
  leaders->index[place] = index;
}

}  // namespace

// Of n elements in no particular order only about wanted (1 + log(n / wanted)) are ever put in; all others
// are passed over sixteen at a time.
void find_leaders(Leaders* leaders, const float* y, int64_t vocab, int64_t wanted) {
  leaders->count = 0;
  for (int64_t v = 0; v < wanted; ++v) insert(leaders, y[v], static_cast<int32_t>(v), wanted);
  float* const smallest = leaders->value + wanted - 1;
  for_lanes(vocab - wanted, [&](int64_t offset, int n) {
    const float* const from = y + wanted + offset;
    if (count(less(splat(*smallest), load_lanes(from, n)) & first_lanes(n)) == 0) return;
    for (int i = 0; i < n; ++i) {
      if (from[i] > *smallest) insert(leaders, from[i], static_cast<int32_t>(wanted + offset + i), wanted);
    }
  });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
