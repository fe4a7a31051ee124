// Sixteen float lanes, one type for every instruction set, and the only place where arithmetic meets
// intrinsics. Row operations and products are written once, on this page's words; AVX-512, AVX2 and NEON then
// give the same bits, lane by lane (the portable form has no fused multiply-add and may differ in the last
// place).
//
// DANGER. Every file under cpu/ that includes this header is compiled once per instruction set. Anything with
// external linkage outside the namespace COPPICE_ISA would be compiled with flags that another machine may
// lack, and the linker keeps one copy for all. So: no std containers, algorithms or math functions here;
// everything lives in coppice::COPPICE_ISA.
//
// A tail of n < 16 elements is a masked vector (load_first, store_first), never another code path.
//
// - Vec zero(), splat(x), load(p), load_first(p, n), load_first(p, n, fill)
// - store(p, v), store_first(p, v, n); float first(v) is lane 0
// - store_over(p, v, n): the same for p[0 .. n), while p[n .. 16) may become anything: a masked store is slow
// in AVX2
// - a + b, a - b, a * b, a / b, -a, sqrt(a)
// - fma(a, b, c) = a b + c and fnma(a, b, c) = c - a b, rounded once
// - max(a, b) = a > b ? a : b, min(a, b) = a < b ? a : b: the second operand where either is NaN
// - Mask less(a, b), equal(a, b), unordered(a, b), first_lanes(n), &, ~; count(mask)
// - select(mask, a, b) = mask ? a : b
// - transpose16(rows): a block of 16 x 16 in place
// - interleave(a, b): a becomes a0 b0 a1 b1 ... a7 b7, b the rest; deinterleave(a, b) undoes it: from 32
//   elements that follow each other a gets the even ones, b the odd ones
// - sum(v), maximum(v): over the lanes by one tree: l with l + 8, then l + 4, then l + 2, then l + 1
// - A word is a lane that holds two bf16 numbers, the first in its low half: pair_of, first_of_pair,
//   second_of_pair, dot_pairs
#pragma once

#include <cstdint>

#ifndef COPPICE_ISA
#error "files under native/cpu are compiled once per instruction set, with COPPICE_ISA naming its namespace"
#endif

#define COPPICE_INLINE inline __attribute__((always_inline))

#if defined(COPPICE_PORTABLE)
#include "cpu/simd/portable.h"
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#include "cpu/simd/avx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "cpu/simd/avx2.h"
#elif defined(__ARM_NEON) && defined(__aarch64__)
#include "cpu/simd/neon.h"
#else
#error "no instruction set: pass the flags of one, or COPPICE_PORTABLE"
#endif

namespace coppice {
namespace COPPICE_ISA {

inline constexpr int kLanes = 16;

// e^x to within 1 ulp. 0 below -87.3365 (where the result would be denormal) and at -inf; +inf
// above 88.72283; NaN stays NaN.
COPPICE_INLINE Vec exp(Vec x) {
  // x = n ln 2 + r with |r| <= ln 2 / 2. Adding 1.5 * 2^23 rounds to an integer and leaves it in the low
  // bits.
  const Vec shifter = splat(12582912.0f);
  const Vec shifted = fma(x, splat(1.44269504f), shifter);
  const Vec n = shifted - shifter;
  Vec r = fnma(n, splat(0.693359375f), x);
  r = fnma(n, splat(-2.12194440e-4f), r);
  Vec p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r) + splat(1.0f);
  // 2^n by adding n to p's exponent: exact for every result that is a normal number.
  Vec result = as_float(as_int(p) + shift_left<23>(as_int(shifted)));
  result = select(less(x, splat(-87.33654f)), zero(), result);
  result = select(less(splat(88.72283f), x), splat(__builtin_inff()), result);
  return select(unordered(x, x), x, result);
}

// ln x to within 2 ulp. -inf at 0 and at denormals (which the float environment flushes); +inf at +inf; NaN
// below 0.
COPPICE_INLINE Vec log(Vec x) {
  // x = 2^e m with m in [sqrt(1/2), sqrt(2)).
  const Int offset = as_int(x) - splat_int(0x3F3504F3);
  const Int e = shift_right<23>(offset);
  const Vec f = as_float(as_int(x) - shift_left<23>(e)) - splat(1.0f);
  const Vec exponent = to_float(e);
  const Vec z = f * f;
  Vec p = splat(7.0376836292e-2f);
  p = fma(p, f, splat(-1.1514610310e-1f));
  p = fma(p, f, splat(1.1676998740e-1f));
  p = fma(p, f, splat(-1.2420140846e-1f));
  p = fma(p, f, splat(1.4249322787e-1f));
  p = fma(p, f, splat(-1.6668057665e-1f));
  p = fma(p, f, splat(2.0000714765e-1f));
  p = fma(p, f, splat(-2.4999993993e-1f));
  p = fma(p, f, splat(3.3333331174e-1f));
  p = p * f * z;
  p = fma(exponent, splat(-2.12194440e-4f), p);
  p = fnma(z, splat(0.5f), p);
  Vec result = fma(exponent, splat(0.693359375f), f + p);
  const Vec infinity = splat(__builtin_inff());
  result = select(equal(x, infinity), infinity, result);
  result = select(less(x, splat(1.17549435e-38f)), -infinity, result);
  const Vec nan = splat(__builtin_nanf(""));
  return select(less(x, zero()), nan, select(unordered(x, x), x, result));
}

// 1 / (1 + e^-x): 0 at -inf, 1 at +inf.
COPPICE_INLINE Vec sigmoid(Vec x) {
  return splat(1.0f) / (splat(1.0f) + exp(-x));
}

// The scalar forms give the bits of a lane.
COPPICE_INLINE float exp(float x) {
  return first(exp(splat(x)));
}
COPPICE_INLINE float log(float x) {
  return first(log(splat(x)));
}

COPPICE_INLINE float max(float a, float b) {
  return a > b ? a : b;
}
COPPICE_INLINE int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}
COPPICE_INLINE int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}
COPPICE_INLINE int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
COPPICE_INLINE int64_t round_up(int64_t a, int64_t b) {
  return ceil_div(a, b) * b;
}

// x as bf16, to nearest even, in the upper half of a lane whose lower half is 0. NaN stays NaN.
COPPICE_INLINE Int bf16_of(Vec x) {
  const Int bits = as_int(x);
  const Int odd = shift_right<16>(bits) & splat_int(1);
  const Int rounded = (bits + splat_int(0x7FFF) + odd) & splat_int(static_cast<int32_t>(0xFFFF0000u));
  return as_int(select(unordered(x, x), splat(__builtin_nanf("")), as_float(rounded)));
}
COPPICE_INLINE Vec round_to_bf16(Vec x) {
  return as_float(bf16_of(x));
}
// Words of bf16(first), bf16(second).
COPPICE_INLINE Vec pair_of(Vec first, Vec second) {
  const Int low = shift_right<16>(bf16_of(first)) & splat_int(0xFFFF);
  return as_float(low + bf16_of(second));
}
COPPICE_INLINE Vec first_of_pair(Vec words) {
  return as_float(shift_left<16>(as_int(words)));
}
COPPICE_INLINE Vec second_of_pair(Vec words) {
  return as_float(as_int(words) & splat_int(static_cast<int32_t>(0xFFFF0000u)));
}
// c + a_second b_second, then + a_first b_first, each sum rounded once (their products are exact). This is
// the order in which Intel documents VDPBF16PS, which takes its place where the processor has it.
#if !defined(COPPICE_NATIVE_DOT_PAIRS)
COPPICE_INLINE Vec dot_pairs(Vec a, Vec b, Vec c) {
  return fma(first_of_pair(a), first_of_pair(b), fma(second_of_pair(a), second_of_pair(b), c));
}
#endif

// Calls body(column, n) for every vector of a row of `cols` elements; n = 16 except perhaps in the last.
template <typename Body>
COPPICE_INLINE void for_lanes(int64_t cols, const Body& body) {
  int64_t j = 0;
  for (; j + kLanes <= cols; j += kLanes) body(j, kLanes);
  if (j < cols) body(j, static_cast<int>(cols - j));
}

// The full width needs no mask: these fold away where n is a constant 16.
COPPICE_INLINE Vec load_lanes(const float* p, int n) {
  return n == kLanes ? load(p) : load_first(p, n);
}
COPPICE_INLINE void store_lanes(float* p, Vec v, int n) {
  if (n == kLanes) {
    store(p, v);
  } else {
    store_first(p, v, n);
  }
}

}  // namespace COPPICE_ISA
}  // namespace coppice
