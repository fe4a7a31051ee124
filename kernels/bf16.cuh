// bf16 as storage: two bytes, the upper half of an fp32 number.
#pragma once

#include <cstdint>

#include "launch.cuh"

namespace coppice {

struct Bf16 {
  uint16_t bits;
};

__host__ __device__ inline float widened(float value) {
  return value;
}
__host__ __device__ inline float widened(Bf16 value) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(value.bits) << 16);
}

// To nearest even; a NaN stays one.
__host__ __device__ inline Bf16 narrowed(float value) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return {static_cast<uint16_t>(bits >> 16 | 0x40)};
  return {static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16)};
}
__host__ __device__ inline Bf16 narrowed(Bf16 value) {
  return value;
}

}  // namespace coppice
