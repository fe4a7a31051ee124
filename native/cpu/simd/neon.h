// Sixteen lanes in four NEON registers (AArch64). See cpu/simd.h for the words. Maximum and minimum are
// written as a comparison and a selection, because NEON's own treat NaN and signed zeros unlike x86's.
#pragma once

#include <arm_neon.h>

#include <cstdint>

namespace coppice {
namespace COPPICE_ISA {

inline constexpr const char* kInstructionSet = "neon";
// The micro-tile of a product: 6 rows x 1 vector is 24 of 32 registers; four for B, the rest for A.
inline constexpr int kTileRows = 6;
inline constexpr int kTileVectors = 1;
// A product of so few rows is one tile.
inline constexpr int kTallestTile = kTileRows;

struct Vec {
  float32x4_t q[4];
};
struct Int {
  int32x4_t q[4];
};
struct Mask {
  uint32x4_t q[4];  // all bits set or none
};

#define COPPICE_QUARTERS(expression)                                     \
  {                                                                      \
    {                                                                    \
      (expression(0)), (expression(1)), (expression(2)), (expression(3)) \
    }                                                                    \
  }

COPPICE_INLINE Mask first_lanes(int n) {
  const uint32_t index[4] = {0, 1, 2, 3};
  const uint32x4_t lane = vld1q_u32(index);
  const uint32x4_t count = vdupq_n_u32(static_cast<uint32_t>(n));
#define Q(i) vcltq_u32(vaddq_u32(lane, vdupq_n_u32(4 * i)), count)
  return COPPICE_QUARTERS(Q);
#undef Q
}

COPPICE_INLINE Vec splat(float x) {
  const float32x4_t v = vdupq_n_f32(x);
  return {{v, v, v, v}};
}
COPPICE_INLINE Vec zero() {
  return splat(0.0f);
}
COPPICE_INLINE Vec load(const float* p) {
  return {{vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)}};
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
  for (int i = 0; i < 4; ++i) vst1q_f32(p + 4 * i, a.q[i]);
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
  return vgetq_lane_f32(a.q[0], 0);
}

#define COPPICE_BINARY(type, name, function)                                               \
  COPPICE_INLINE type name(type a, type b) {                                               \
    return {{function(a.q[0], b.q[0]), function(a.q[1], b.q[1]), function(a.q[2], b.q[2]), \
             function(a.q[3], b.q[3])}};                                                   \
  }
COPPICE_BINARY(Vec, operator+, vaddq_f32)
COPPICE_BINARY(Vec, operator-, vsubq_f32)
COPPICE_BINARY(Vec, operator*, vmulq_f32)
COPPICE_BINARY(Vec, operator/, vdivq_f32)
COPPICE_BINARY(Int, operator+, vaddq_s32)
COPPICE_BINARY(Int, operator-, vsubq_s32)
COPPICE_BINARY(Int, operator&, vandq_s32)
COPPICE_BINARY(Mask, operator&, vandq_u32)
#undef COPPICE_BINARY

COPPICE_INLINE Vec operator-(Vec a) {
#define Q(i) vnegq_f32(a.q[i])
  return COPPICE_QUARTERS(Q);
#undef Q
}
COPPICE_INLINE Vec fma(Vec a, Vec b, Vec c) {
#define Q(i) vfmaq_f32(c.q[i], a.q[i], b.q[i])
  return COPPICE_QUARTERS(Q);
#undef Q
}
COPPICE_INLINE Vec fnma(Vec a, Vec b, Vec c) {
#define Q(i) vfmsq_f32(c.q[i], a.q[i], b.q[i])
  return COPPICE_QUARTERS(Q);
#undef Q
}
COPPICE_INLINE Vec sqrt(Vec a) {
#define Q(i) vsqrtq_f32(a.q[i])
  return COPPICE_QUARTERS(Q);
#undef Q
}
COPPICE_INLINE Mask less(Vec a, Vec b) {
#define Q(i) vcltq_f32(a.q[i], b.q[i])
  return COPPICE_QUARTERS(Q);
#undef Q
}
COPPICE_INLINE Mask equal(Vec a, Vec b) {
#define Q(i) vceqq_f32(a.q[i], b.q[i])
  return COPPICE_QUARTERS(Q);
#undef Q
}
COPPICE_INLINE Mask equal(Int a, Int b) {
#define Q(i) vceqq_s32(a.q[i], b.q[i])
  return COPPICE_QUARTERS(Q);
#undef Q
}
COPPICE_INLINE Mask operator~(Mask a) {
#define Q(i) vmvnq_u32(a.q[i])
  return COPPICE_QUARTERS(Q);
#undef Q
}
COPPICE_INLINE Mask unordered(Vec a, Vec b) {
  return ~(equal(a, a) & equal(b, b));
}
COPPICE_INLINE Vec select(Mask m, Vec a, Vec b) {
#define Q(i) vbslq_f32(m.q[i], a.q[i], b.q[i])
  return COPPICE_QUARTERS(Q);
#undef Q
}
COPPICE_INLINE Vec max(Vec a, Vec b) {
  return select(less(b, a), a, b);
}
COPPICE_INLINE Vec min(Vec a, Vec b) {
  return select(less(a, b), a, b);
}
COPPICE_INLINE int count(Mask a) {
  int total = 0;
  for (int i = 0; i < 4; ++i) total += static_cast<int>(vaddvq_u32(vshrq_n_u32(a.q[i], 31)));
  return total;
}

COPPICE_INLINE Int splat_int(int32_t x) {
  const int32x4_t v = vdupq_n_s32(x);
  return {{v, v, v, v}};
}
COPPICE_INLINE Int as_int(Vec a) {
#define Q(i) vreinterpretq_s32_f32(a.q[i])
  return COPPICE_QUARTERS(Q);
#undef Q
}
COPPICE_INLINE Vec as_float(Int a) {
#define Q(i) vreinterpretq_f32_s32(a.q[i])
  return COPPICE_QUARTERS(Q);
#undef Q
}
COPPICE_INLINE Vec to_float(Int a) {
#define Q(i) vcvtq_f32_s32(a.q[i])
  return COPPICE_QUARTERS(Q);
#undef Q
}
template <int kBits>
COPPICE_INLINE Int shift_left(Int a) {
#define Q(i) vshlq_n_s32(a.q[i], kBits)
  return COPPICE_QUARTERS(Q);
#undef Q
}
template <int kBits>
COPPICE_INLINE Int shift_right(Int a) {  // arithmetic
#define Q(i) vshrq_n_s32(a.q[i], kBits)
  return COPPICE_QUARTERS(Q);
#undef Q
}

COPPICE_INLINE float sum(Vec a) {
  const float32x4_t four = vaddq_f32(vaddq_f32(a.q[0], a.q[2]), vaddq_f32(a.q[1], a.q[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
COPPICE_INLINE float maximum(Vec a) {
  float lanes[16];
  store(lanes, a);
  for (int width = 8; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) lanes[l] = lanes[l] > lanes[l + width] ? lanes[l] : lanes[l + width];
  }
  return lanes[0];
}

#undef COPPICE_QUARTERS

COPPICE_INLINE void transpose16(Vec (&rows)[16]) {
  Vec out[16];
  for (int g = 0; g < 4; ++g) {
    for (int h = 0; h < 4; ++h) {
      const float32x4x2_t ab = vtrnq_f32(rows[4 * g].q[h], rows[4 * g + 1].q[h]);
      const float32x4x2_t cd = vtrnq_f32(rows[4 * g + 2].q[h], rows[4 * g + 3].q[h]);
      out[4 * h].q[g] = vcombine_f32(vget_low_f32(ab.val[0]), vget_low_f32(cd.val[0]));
      out[4 * h + 1].q[g] = vcombine_f32(vget_low_f32(ab.val[1]), vget_low_f32(cd.val[1]));
      out[4 * h + 2].q[g] = vcombine_f32(vget_high_f32(ab.val[0]), vget_high_f32(cd.val[0]));
      out[4 * h + 3].q[g] = vcombine_f32(vget_high_f32(ab.val[1]), vget_high_f32(cd.val[1]));
    }
  }
  for (int i = 0; i < 16; ++i) rows[i] = out[i];
}

COPPICE_INLINE void interleave(Vec& a, Vec& b) {
  Vec front, back;
  for (int i = 0; i < 2; ++i) {
    front.q[2 * i] = vzip1q_f32(a.q[i], b.q[i]);
    front.q[2 * i + 1] = vzip2q_f32(a.q[i], b.q[i]);
    back.q[2 * i] = vzip1q_f32(a.q[2 + i], b.q[2 + i]);
    back.q[2 * i + 1] = vzip2q_f32(a.q[2 + i], b.q[2 + i]);
  }
  a = front;
  b = back;
}
COPPICE_INLINE void deinterleave(Vec& a, Vec& b) {
  Vec even, odd;
  for (int i = 0; i < 2; ++i) {
    even.q[i] = vuzp1q_f32(a.q[2 * i], a.q[2 * i + 1]);
    odd.q[i] = vuzp2q_f32(a.q[2 * i], a.q[2 * i + 1]);
    even.q[2 + i] = vuzp1q_f32(b.q[2 * i], b.q[2 * i + 1]);
    odd.q[2 + i] = vuzp2q_f32(b.q[2 * i], b.q[2 * i + 1]);
  }
  a = even;
  b = odd;
}

}  // namespace COPPICE_ISA
}  // namespace coppice
