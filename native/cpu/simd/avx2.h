// Sixteen lanes in two ymm registers, with FMA3. See cpu/simd.h for the words.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace coppice {
namespace COPPICE_ISA {

inline constexpr const char* kInstructionSet = "avx2";
// The micro-tile of a product: 6 rows x 1 vector is 12 of 16 registers; two for B, one for A.
inline constexpr int kTileRows = 6;
inline constexpr int kTileVectors = 1;
// A product of so few rows is one tile.
inline constexpr int kTallestTile = kTileRows;

struct Vec {
  __m256 lo, hi;
};
struct Int {
  __m256i lo, hi;
};
struct Mask {
  __m256 lo, hi;  // all bits set or none
};

COPPICE_INLINE Mask first_lanes(int n) {
  const __m256i count = _mm256_set1_epi32(n);
  const __m256i low = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                high = _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15);
  return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(count, low)),
          _mm256_castsi256_ps(_mm256_cmpgt_epi32(count, high))};
}

COPPICE_INLINE Vec zero() {
  return {_mm256_setzero_ps(), _mm256_setzero_ps()};
}
COPPICE_INLINE Vec splat(float x) {
  return {_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
COPPICE_INLINE Vec load(const float* p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
COPPICE_INLINE Vec load_first(const float* p, int n) {
  const Mask m = first_lanes(n);
  return {_mm256_maskload_ps(p, _mm256_castps_si256(m.lo)),
          _mm256_maskload_ps(p + 8, _mm256_castps_si256(m.hi))};
}
COPPICE_INLINE void store(float* p, Vec a) {
  _mm256_storeu_ps(p, a.lo);
  _mm256_storeu_ps(p + 8, a.hi);
}
COPPICE_INLINE void store_first(float* p, Vec a, int n) {
  const Mask m = first_lanes(n);
  _mm256_maskstore_ps(p, _mm256_castps_si256(m.lo), a.lo);
  _mm256_maskstore_ps(p + 8, _mm256_castps_si256(m.hi), a.hi);
}
COPPICE_INLINE void store_over(float* p, Vec a, int n) {
  _mm256_storeu_ps(p, a.lo);
  if (n > 8) _mm256_storeu_ps(p + 8, a.hi);
}
COPPICE_INLINE float first(Vec a) {
  return _mm256_cvtss_f32(a.lo);
}

COPPICE_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)};
}
COPPICE_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)};
}
COPPICE_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)};
}
COPPICE_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)};
}
COPPICE_INLINE Vec operator-(Vec a) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_xor_ps(a.lo, sign), _mm256_xor_ps(a.hi, sign)};
}
COPPICE_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
COPPICE_INLINE Vec fnma(Vec a, Vec b, Vec c) {
  return {_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}
COPPICE_INLINE Vec sqrt(Vec a) {
  return {_mm256_sqrt_ps(a.lo), _mm256_sqrt_ps(a.hi)};
}
COPPICE_INLINE Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)};
}
COPPICE_INLINE Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)};
}

COPPICE_INLINE Mask less(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}
COPPICE_INLINE Mask equal(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_EQ_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_EQ_OQ)};
}
COPPICE_INLINE Mask unordered(Vec a, Vec b) {
  return {_mm256_cmp_ps(a.lo, b.lo, _CMP_UNORD_Q), _mm256_cmp_ps(a.hi, b.hi, _CMP_UNORD_Q)};
}
COPPICE_INLINE Vec select(Mask m, Vec a, Vec b) {
  return {_mm256_blendv_ps(b.lo, a.lo, m.lo), _mm256_blendv_ps(b.hi, a.hi, m.hi)};
}
COPPICE_INLINE Vec load_first(const float* p, int n, float fill) {
  return select(first_lanes(n), load_first(p, n), splat(fill));
}
COPPICE_INLINE Mask operator&(Mask a, Mask b) {
  return {_mm256_and_ps(a.lo, b.lo), _mm256_and_ps(a.hi, b.hi)};
}
COPPICE_INLINE Mask operator~(Mask a) {
  const __m256 ones = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
  return {_mm256_xor_ps(a.lo, ones), _mm256_xor_ps(a.hi, ones)};
}
COPPICE_INLINE int count(Mask a) {
  return __builtin_popcount(static_cast<unsigned>(_mm256_movemask_ps(a.lo))) +
         __builtin_popcount(static_cast<unsigned>(_mm256_movemask_ps(a.hi)));
}

COPPICE_INLINE Int splat_int(int32_t x) {
  return {_mm256_set1_epi32(x), _mm256_set1_epi32(x)};
}
COPPICE_INLINE Int as_int(Vec a) {
  return {_mm256_castps_si256(a.lo), _mm256_castps_si256(a.hi)};
}
COPPICE_INLINE Vec as_float(Int a) {
  return {_mm256_castsi256_ps(a.lo), _mm256_castsi256_ps(a.hi)};
}
COPPICE_INLINE Vec to_float(Int a) {
  return {_mm256_cvtepi32_ps(a.lo), _mm256_cvtepi32_ps(a.hi)};
}
COPPICE_INLINE Int operator+(Int a, Int b) {
  return {_mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi)};
}
COPPICE_INLINE Int operator-(Int a, Int b) {
  return {_mm256_sub_epi32(a.lo, b.lo), _mm256_sub_epi32(a.hi, b.hi)};
}
COPPICE_INLINE Int operator&(Int a, Int b) {
  return {_mm256_and_si256(a.lo, b.lo), _mm256_and_si256(a.hi, b.hi)};
}
COPPICE_INLINE Mask equal(Int a, Int b) {
  return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(a.lo, b.lo)),
          _mm256_castsi256_ps(_mm256_cmpeq_epi32(a.hi, b.hi))};
}
template <int kBits>
COPPICE_INLINE Int shift_left(Int a) {
  return {_mm256_slli_epi32(a.lo, kBits), _mm256_slli_epi32(a.hi, kBits)};
}
template <int kBits>
COPPICE_INLINE Int shift_right(Int a) {  // arithmetic
  return {_mm256_srai_epi32(a.lo, kBits), _mm256_srai_epi32(a.hi, kBits)};
}

COPPICE_INLINE float sum(Vec a) {
  const __m256 eight = _mm256_add_ps(a.lo, a.hi);
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
COPPICE_INLINE float maximum(Vec a) {
  const __m256 eight = _mm256_max_ps(a.lo, a.hi);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

COPPICE_INLINE void transpose8(__m256 (&r)[8]) {
  __m256 quads[2][4];  // [group of 4 rows][c]: 128-bit lane l holds column 4 l + c of the group's rows
  for (int g = 0; g < 2; ++g) {
    const __m256 a = _mm256_unpacklo_ps(r[4 * g], r[4 * g + 1]);
    const __m256 b = _mm256_unpackhi_ps(r[4 * g], r[4 * g + 1]);
    const __m256 c = _mm256_unpacklo_ps(r[4 * g + 2], r[4 * g + 3]);
    const __m256 d = _mm256_unpackhi_ps(r[4 * g + 2], r[4 * g + 3]);
    quads[g][0] = _mm256_shuffle_ps(a, c, 0x44);
    quads[g][1] = _mm256_shuffle_ps(a, c, 0xEE);
    quads[g][2] = _mm256_shuffle_ps(b, d, 0x44);
    quads[g][3] = _mm256_shuffle_ps(b, d, 0xEE);
  }
  for (int c = 0; c < 4; ++c) {
    r[c] = _mm256_permute2f128_ps(quads[0][c], quads[1][c], 0x20);
    r[4 + c] = _mm256_permute2f128_ps(quads[0][c], quads[1][c], 0x31);
  }
}
COPPICE_INLINE void transpose16(Vec (&rows)[16]) {
  __m256 blocks[2][2][8];  // [half of the rows][half of the columns]
  for (int i = 0; i < 8; ++i) {
    blocks[0][0][i] = rows[i].lo;
    blocks[0][1][i] = rows[i].hi;
    blocks[1][0][i] = rows[8 + i].lo;
    blocks[1][1][i] = rows[8 + i].hi;
  }
  for (int h = 0; h < 2; ++h) {
    transpose8(blocks[0][h]);
    transpose8(blocks[1][h]);
    for (int i = 0; i < 8; ++i) rows[8 * h + i] = {blocks[0][h][i], blocks[1][h][i]};
  }
}

// Two registers whose even and odd lanes, in this order, are the evens and odds of (a, b) together.
COPPICE_INLINE void deinterleave8(__m256& a, __m256& b) {
  const __m256 low = _mm256_permute2f128_ps(a, b, 0x20), high = _mm256_permute2f128_ps(a, b, 0x31);
  a = _mm256_shuffle_ps(low, high, 0x88);
  b = _mm256_shuffle_ps(low, high, 0xDD);
}
COPPICE_INLINE void interleave8(__m256& a, __m256& b) {
  const __m256 low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
  a = _mm256_permute2f128_ps(low, high, 0x20);
  b = _mm256_permute2f128_ps(low, high, 0x31);
}

COPPICE_INLINE void interleave(Vec& a, Vec& b) {
  __m256 first = a.lo, second = b.lo, third = a.hi, fourth = b.hi;
  interleave8(first, second);
  interleave8(third, fourth);
  a = {first, second};
  b = {third, fourth};
}
COPPICE_INLINE void deinterleave(Vec& a, Vec& b) {
  __m256 even = a.lo, odd = a.hi, next_even = b.lo, next_odd = b.hi;
  deinterleave8(even, odd);
  deinterleave8(next_even, next_odd);
  a = {even, next_even};
  b = {odd, next_odd};
}

}  // namespace COPPICE_ISA
}  // namespace coppice
