// Sixteen lanes in one zmm register. See cpu/simd.h for the words.
#pragma once

// GCC 12 takes the undefined operand inside its own intrinsics for a mistake of ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstdint>

namespace coppice {
namespace COPPICE_ISA {

#if defined(__AVX512BF16__)
inline constexpr const char* kInstructionSet = "avx512bf16";
#else
inline constexpr const char* kInstructionSet = "avx512";
#endif
// The micro-tile of a product: rows x vectors of accumulators (28 of 32 registers; two for B, two for A).
inline constexpr int kTileRows = 6;
inline constexpr int kTileVectors = 4;
// A product of so few rows is one tile.
inline constexpr int kTallestTile = 10;

struct Vec {
  __m512 v;
};
struct Int {
  __m512i v;
};
struct Mask {
  __mmask16 m;
};

COPPICE_INLINE Mask first_lanes(int n) {
  return {static_cast<__mmask16>((1u << n) - 1u)};
}

COPPICE_INLINE Vec zero() {
  return {_mm512_setzero_ps()};
}
COPPICE_INLINE Vec splat(float x) {
  return {_mm512_set1_ps(x)};
}
COPPICE_INLINE Vec load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
COPPICE_INLINE Vec load_first(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n).m, p)};
}
COPPICE_INLINE Vec load_first(const float* p, int n, float fill) {
  return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), first_lanes(n).m, p)};
}
COPPICE_INLINE void store(float* p, Vec a) {
  _mm512_storeu_ps(p, a.v);
}
COPPICE_INLINE void store_first(float* p, Vec a, int n) {
  _mm512_mask_storeu_ps(p, first_lanes(n).m, a.v);
}
COPPICE_INLINE void store_over(float* p, Vec a, int n) {
  store_first(p, a, n);
}
COPPICE_INLINE float first(Vec a) {
  return _mm512_cvtss_f32(a.v);
}

COPPICE_INLINE Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
COPPICE_INLINE Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
COPPICE_INLINE Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
COPPICE_INLINE Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
COPPICE_INLINE Vec operator-(Vec a) {
  return {_mm512_xor_ps(a.v, _mm512_set1_ps(-0.0f))};
}
COPPICE_INLINE Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
COPPICE_INLINE Vec fnma(Vec a, Vec b, Vec c) {
  return {_mm512_fnmadd_ps(a.v, b.v, c.v)};
}
COPPICE_INLINE Vec sqrt(Vec a) {
  return {_mm512_sqrt_ps(a.v)};
}
COPPICE_INLINE Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
COPPICE_INLINE Vec min(Vec a, Vec b) {
  return {_mm512_min_ps(a.v, b.v)};
}

COPPICE_INLINE Mask less(Vec a, Vec b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)};
}
COPPICE_INLINE Mask equal(Vec a, Vec b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)};
}
COPPICE_INLINE Mask unordered(Vec a, Vec b) {
  return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_UNORD_Q)};
}
COPPICE_INLINE Vec select(Mask m, Vec a, Vec b) {
  return {_mm512_mask_blend_ps(m.m, b.v, a.v)};
}
COPPICE_INLINE Mask operator&(Mask a, Mask b) {
  return {static_cast<__mmask16>(a.m & b.m)};
}
COPPICE_INLINE Mask operator~(Mask a) {
  return {static_cast<__mmask16>(~a.m)};
}
COPPICE_INLINE int count(Mask a) {
  return __builtin_popcount(a.m);
}

COPPICE_INLINE Int splat_int(int32_t x) {
  return {_mm512_set1_epi32(x)};
}
COPPICE_INLINE Int as_int(Vec a) {
  return {_mm512_castps_si512(a.v)};
}
COPPICE_INLINE Vec as_float(Int a) {
  return {_mm512_castsi512_ps(a.v)};
}
COPPICE_INLINE Vec to_float(Int a) {
  return {_mm512_cvtepi32_ps(a.v)};
}
COPPICE_INLINE Int operator+(Int a, Int b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
COPPICE_INLINE Int operator-(Int a, Int b) {
  return {_mm512_sub_epi32(a.v, b.v)};
}
COPPICE_INLINE Int operator&(Int a, Int b) {
  return {_mm512_and_si512(a.v, b.v)};
}
COPPICE_INLINE Mask equal(Int a, Int b) {
  return {_mm512_cmpeq_epi32_mask(a.v, b.v)};
}
template <int kBits>
COPPICE_INLINE Int shift_left(Int a) {
  return {_mm512_slli_epi32(a.v, kBits)};
}
template <int kBits>
COPPICE_INLINE Int shift_right(Int a) {  // arithmetic
  return {_mm512_srai_epi32(a.v, kBits)};
}

COPPICE_INLINE float sum(Vec a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}
COPPICE_INLINE float maximum(Vec a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

COPPICE_INLINE void transpose16(Vec (&rows)[16]) {
  __m512 quads[4][4];  // [group of 4 rows][c]: 128-bit lane l holds column 4 l + c of the group's rows
  for (int g = 0; g < 4; ++g) {
    const __m512 a = _mm512_unpacklo_ps(rows[4 * g].v, rows[4 * g + 1].v);
    const __m512 b = _mm512_unpackhi_ps(rows[4 * g].v, rows[4 * g + 1].v);
    const __m512 c = _mm512_unpacklo_ps(rows[4 * g + 2].v, rows[4 * g + 3].v);
    const __m512 d = _mm512_unpackhi_ps(rows[4 * g + 2].v, rows[4 * g + 3].v);
    quads[g][0] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(c)));
    quads[g][1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(c)));
    quads[g][2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(b), _mm512_castps_pd(d)));
    quads[g][3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(b), _mm512_castps_pd(d)));
  }
  for (int c = 0; c < 4; ++c) {
    const __m512 low01 = _mm512_shuffle_f32x4(quads[0][c], quads[1][c], 0x44);
    const __m512 high01 = _mm512_shuffle_f32x4(quads[0][c], quads[1][c], 0xEE);
    const __m512 low23 = _mm512_shuffle_f32x4(quads[2][c], quads[3][c], 0x44);
    const __m512 high23 = _mm512_shuffle_f32x4(quads[2][c], quads[3][c], 0xEE);
    rows[c].v = _mm512_shuffle_f32x4(low01, low23, 0x88);
    rows[4 + c].v = _mm512_shuffle_f32x4(low01, low23, 0xDD);
    rows[8 + c].v = _mm512_shuffle_f32x4(high01, high23, 0x88);
    rows[12 + c].v = _mm512_shuffle_f32x4(high01, high23, 0xDD);
  }
}

COPPICE_INLINE void interleave(Vec& a, Vec& b) {
  const __m512i low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  const __m512 front = _mm512_permutex2var_ps(a.v, low, b.v);
  b.v = _mm512_permutex2var_ps(a.v, high, b.v);
  a.v = front;
}
COPPICE_INLINE void deinterleave(Vec& a, Vec& b) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  const __m512 evens = _mm512_permutex2var_ps(a.v, even, b.v);
  b.v = _mm512_permutex2var_ps(a.v, odd, b.v);
  a.v = evens;
}

#if defined(__AVX512BF16__)
#define COPPICE_NATIVE_DOT_PAIRS
COPPICE_INLINE Vec dot_pairs(Vec a, Vec b, Vec c) {
  const auto pairs = [](Vec words) { return (__m512bh)_mm512_castps_si512(words.v); };
  return {_mm512_dpbf16_ps(c.v, pairs(a), pairs(b))};
}
#endif

}  // namespace COPPICE_ISA
}  // namespace coppice
