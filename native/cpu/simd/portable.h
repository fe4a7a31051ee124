// Sixteen lanes in the compiler's own vectors: works on every target of GCC and Clang. There is no fused
// multiply-add here: fma rounds twice. See cpu/simd.h for the words.
#pragma once

#include <cstdint>

namespace coppice {
namespace COPPICE_ISA {

inline constexpr const char* kInstructionSet = "portable";
// The micro-tile of a product: 2 rows x 1 vector is 8 registers of 4 floats.
inline constexpr int kTileRows = 2;
inline constexpr int kTileVectors = 1;
// A product of so few rows is one tile.
inline constexpr int kTallestTile = kTileRows;

typedef float Float4 __attribute__((vector_size(16)));
typedef int32_t Int4 __attribute__((vector_size(16)));
typedef uint32_t UInt4 __attribute__((vector_size(16)));  // where the sum of two Ints may wrap

struct Vec {
  Float4 q[4];
};
struct Int {
  Int4 q[4];
};
struct Mask {
  Int4 q[4];  // -1 or 0
};

COPPICE_INLINE Mask first_lanes(int n) {
  Mask mask;
  for (int i = 0; i < 16; ++i) mask.q[i / 4][i % 4] = i < n ? -1 : 0;
  return mask;
}

COPPICE_INLINE Vec splat(float x) {
  const Float4 v = {x, x, x, x};
  return {{v, v, v, v}};
}
COPPICE_INLINE Vec zero() {
  return splat(0.0f);
}
COPPICE_INLINE Vec load(const float* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
COPPICE_INLINE Vec load_first(const float* p, int n, float fill) {
  float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = i < n ? p[i] : fill;
  return load(lanes);
}
COPPICE_INLINE Vec load_first(const float* p, int n) {
  return load_first(p, n, 0.0f);
}
COPPICE_INLINE void store(float* p, Vec a) {
  __builtin_memcpy(p, &a, sizeof a);
}
COPPICE_INLINE void store_first(float* p, Vec a, int n) {
  float lanes[16];
  store(lanes, a);
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}
COPPICE_INLINE void store_over(float* p, Vec a, int n) {
  store_first(p, a, n);
}
COPPICE_INLINE float first(Vec a) {
  return a.q[0][0];
}

#define COPPICE_MAP(type, expression)                     \
  type result;                                            \
  for (int i = 0; i < 4; ++i) result.q[i] = (expression); \
  return result

COPPICE_INLINE Vec operator+(Vec a, Vec b) {
  COPPICE_MAP(Vec, a.q[i] + b.q[i]);
}
COPPICE_INLINE Vec operator-(Vec a, Vec b) {
  COPPICE_MAP(Vec, a.q[i] - b.q[i]);
}
COPPICE_INLINE Vec operator*(Vec a, Vec b) {
  COPPICE_MAP(Vec, a.q[i] * b.q[i]);
}
COPPICE_INLINE Vec operator/(Vec a, Vec b) {
  COPPICE_MAP(Vec, a.q[i] / b.q[i]);
}
COPPICE_INLINE Vec operator-(Vec a) {
  COPPICE_MAP(Vec, -a.q[i]);
}
COPPICE_INLINE Vec fma(Vec a, Vec b, Vec c) {
  COPPICE_MAP(Vec, a.q[i] * b.q[i] + c.q[i]);
}
COPPICE_INLINE Vec fnma(Vec a, Vec b, Vec c) {
  COPPICE_MAP(Vec, c.q[i] - a.q[i] * b.q[i]);
}
COPPICE_INLINE Vec sqrt(Vec a) {
  Vec result;
  for (int i = 0; i < 16; ++i) result.q[i / 4][i % 4] = __builtin_sqrtf(a.q[i / 4][i % 4]);
  return result;
}
COPPICE_INLINE Mask less(Vec a, Vec b) {
  COPPICE_MAP(Mask, a.q[i] < b.q[i]);
}
COPPICE_INLINE Mask equal(Vec a, Vec b) {
  COPPICE_MAP(Mask, a.q[i] == b.q[i]);
}
COPPICE_INLINE Mask equal(Int a, Int b) {
  COPPICE_MAP(Mask, a.q[i] == b.q[i]);
}
COPPICE_INLINE Mask operator&(Mask a, Mask b) {
  COPPICE_MAP(Mask, a.q[i] & b.q[i]);
}
COPPICE_INLINE Mask operator~(Mask a) {
  COPPICE_MAP(Mask, ~a.q[i]);
}
COPPICE_INLINE Mask unordered(Vec a, Vec b) {
  return ~(equal(a, a) & equal(b, b));
}
COPPICE_INLINE Vec select(Mask m, Vec a, Vec b) {
  COPPICE_MAP(Vec, m.q[i] ? a.q[i] : b.q[i]);
}
COPPICE_INLINE Vec max(Vec a, Vec b) {
  COPPICE_MAP(Vec, a.q[i] > b.q[i] ? a.q[i] : b.q[i]);
}
COPPICE_INLINE Vec min(Vec a, Vec b) {
  COPPICE_MAP(Vec, a.q[i] < b.q[i] ? a.q[i] : b.q[i]);
}
COPPICE_INLINE int count(Mask a) {
  int total = 0;
  for (int i = 0; i < 16; ++i) total -= a.q[i / 4][i % 4];
  return total;
}

COPPICE_INLINE Int splat_int(int32_t x) {
  const Int4 v = {x, x, x, x};
  return {{v, v, v, v}};
}
COPPICE_INLINE Int as_int(Vec a) {
  COPPICE_MAP(Int, (Int4)a.q[i]);
}
COPPICE_INLINE Vec as_float(Int a) {
  COPPICE_MAP(Vec, (Float4)a.q[i]);
}
COPPICE_INLINE Vec to_float(Int a) {
  COPPICE_MAP(Vec, __builtin_convertvector(a.q[i], Float4));
}
COPPICE_INLINE Int operator+(Int a, Int b) {
  COPPICE_MAP(Int, (Int4)((UInt4)a.q[i] + (UInt4)b.q[i]));
}
COPPICE_INLINE Int operator-(Int a, Int b) {
  COPPICE_MAP(Int, (Int4)((UInt4)a.q[i] - (UInt4)b.q[i]));
}
COPPICE_INLINE Int operator&(Int a, Int b) {
  COPPICE_MAP(Int, a.q[i] & b.q[i]);
}
template <int kBits>
COPPICE_INLINE Int shift_left(Int a) {
  COPPICE_MAP(Int, (Int4)((UInt4)a.q[i] << kBits));
}
template <int kBits>
COPPICE_INLINE Int shift_right(Int a) {  // arithmetic
  COPPICE_MAP(Int, a.q[i] >> kBits);
}

#undef COPPICE_MAP

COPPICE_INLINE float sum(Vec a) {
  const Float4 four = (a.q[0] + a.q[2]) + (a.q[1] + a.q[3]);
  return (four[0] + four[2]) + (four[1] + four[3]);
}
COPPICE_INLINE float maximum(Vec a) {
  float lanes[16];
  store(lanes, a);
  for (int width = 8; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) lanes[l] = lanes[l] > lanes[l + width] ? lanes[l] : lanes[l + width];
  }
  return lanes[0];
}

COPPICE_INLINE void transpose16(Vec (&rows)[16]) {
  float in[16][16], out[16][16];
  __builtin_memcpy(in, rows, sizeof in);
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) out[j][i] = in[i][j];
  }
  __builtin_memcpy(rows, out, sizeof out);
}

COPPICE_INLINE void interleave(Vec& a, Vec& b) {
  float in[2][16], out[32];
  store(in[0], a);
  store(in[1], b);
  for (int i = 0; i < 32; ++i) out[i] = in[i % 2][i / 2];
  a = load(out);
  b = load(out + 16);
}
COPPICE_INLINE void deinterleave(Vec& a, Vec& b) {
  float in[32], out[2][16];
  store(in, a);
  store(in + 16, b);
  for (int i = 0; i < 32; ++i) out[i % 2][i / 2] = in[i];
  a = load(out[0]);
  b = load(out[1]);
}

}  // namespace COPPICE_ISA
}  // namespace coppice
