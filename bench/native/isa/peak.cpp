#include "native/isa/peak.h"

#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {

// Multiplies and adds in independent chains that never leave the registers; returns the floating-point
// operations done.
double fma_chains(int64_t rounds) {
  constexpr int kChains = kTileRows * kTileVectors;
  // Every lane differs: the compiler would compute equal halves of a vector once.
  float start[kChains * kLanes];
  for (int i = 0; i < kChains * kLanes; ++i) start[i] = static_cast<float>(i);
  asm volatile("" : : "r"(start) : "memory");
  Vec chains[kChains];
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) chains[i] = load(start + i * kLanes);
  const Vec factor = splat(0.999f), step = splat(0.001f);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 32
    for (int i = 0; i < kChains; ++i) {
      chains[i] = fma(chains[i], factor, step);
      asm volatile("" : : "m"(round));  // keep the loop as it is written
    }
  }
  Vec total = zero();
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) total = total + chains[i];
  volatile float sink = sum(total);
  (void)sink;
  return 2.0 * kLanes * kChains * static_cast<double>(rounds);
}

}  // namespace COPPICE_ISA
}  // namespace coppice
