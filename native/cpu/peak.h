// What a core can do at best with each instruction set, as loops that do nothing else: peak.cpp is compiled
// once for each.
#pragma once

#include <cstdint>

namespace coppice {

struct PeakLoops {
  // Multiply-adds in independent chains that never leave the registers; returns the floating-point
  // operations done.
  double (*fma)(int64_t rounds);
  // The same of products of bf16 pairs. Null where the set has no instruction for them: bf16 products then
  // are fp32 multiply-adds and what it takes to split the pairs.
  double (*dot_pairs)(int64_t rounds);
  // The tile that products are made of, over operands that stay in the first-level cache; returns the
  // floating-point operations done.
  double (*product)(int64_t rounds);
  // Reads values[0, count) once and returns a number that depends on all of them.
  float (*read)(const float* values, int64_t count);
  // Reads values[0, count) once and writes them back.
  void (*update)(float* values, int64_t count);
};

namespace avx512bf16 {
PeakLoops peak_loops();
}
namespace avx512 {
PeakLoops peak_loops();
}
namespace avx2 {
PeakLoops peak_loops();
}
namespace neon {
PeakLoops peak_loops();
}
namespace portable {
PeakLoops peak_loops();
}

}  // namespace coppice
