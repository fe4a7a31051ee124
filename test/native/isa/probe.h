// The vector functions of one instruction set, reachable from tests. probe.cpp is compiled once for each set.
#pragma once

#include <cstdint>

namespace coppice::test {

struct IsaProbe {
  // out[i] = f(inp[i]) for i < count, a multiple of 16.
  void (*exp)(float* out, const float* inp, int64_t count);
  void (*log)(float* out, const float* inp, int64_t count);
  void (*sigmoid)(float* out, const float* inp, int64_t count);
  // The 16 x 16 block at `block` in place.
  void (*transpose16)(float* block);
  float (*sum)(const float* sixteen);
  float (*maximum)(const float* sixteen);
  // words[i] = the pair of a[i], b[i], for 16; then out = c + both products of two rows of words.
  void (*pair_of)(float* words, const float* a, const float* b);
  void (*dot_pairs)(float* out, const float* a, const float* b, const float* c);
  // 32 numbers, even ones first, and back.
  void (*deinterleave)(float* block);
  void (*interleave)(float* block);
  // out = the first n of inp and `fill`, then the first n of that stored over `onto`.
  void (*masked)(float* out, float* onto, const float* inp, int n, float fill);
};

}  // namespace coppice::test

namespace coppice::avx512bf16 {
extern const test::IsaProbe kProbe;
}
namespace coppice::avx512 {
extern const test::IsaProbe kProbe;
}
namespace coppice::avx2 {
extern const test::IsaProbe kProbe;
}
namespace coppice::neon {
extern const test::IsaProbe kProbe;
}
namespace coppice::portable {
extern const test::IsaProbe kProbe;
}
