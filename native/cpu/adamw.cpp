#include "base/float_environment.h"
#include "cpu/cpu_backend.h"
#include "cpu/row_ranges.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

// The sum is cut into this many chunks whatever the number of threads.
constexpr int64_t kChunks = 256;

// Sixteen lanes in fp64 and a tree. The square of an fp32 number is exact in fp64, so a fused multiply-add
// would change nothing.
double chunk_sum(const float* values, int64_t count) {
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int l = 0; l < kLanes; ++l)
      lanes[l] += static_cast<double>(values[i + l]) * static_cast<double>(values[i + l]);
  }
  for (int l = 0; i + l < count; ++l)
    lanes[l] += static_cast<double>(values[i + l]) * static_cast<double>(values[i + l]);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int l = 0; l < width; ++l) lanes[l] += lanes[l + width];
  }
  return lanes[0];
}

// The upper 16 bits after rounding to nearest even, as a bf16 copy would hold them.
COPPICE_INLINE Int as_bf16(Vec x) {
  const Int bits = as_int(x);
  const Int rounded = bits + splat_int(0x7FFF) + (shift_right<16>(bits) & splat_int(1));
  return shift_right<16>(rounded);
}

// AdamW's constants, in the precision in which they are applied.
struct Coefficients {
  Vec grad_scale, keep, beta1, one_minus_beta1, beta2, one_minus_beta2, inverse_root_correction2, step_size,
      eps;

  explicit Coefficients(const AdamwParams& p) {
    double power1 = 1.0, power2 = 1.0;  // beta^step by squaring
    double factor1 = p.beta1, factor2 = p.beta2;
    for (int64_t bits = p.step; bits > 0; bits /= 2) {
      if (bits % 2 == 1) {
        power1 *= factor1;
        power2 *= factor2;
      }
      factor1 *= factor1;
      factor2 *= factor2;
    }
    grad_scale = splat(static_cast<float>(p.grad_scale));
    keep = splat(static_cast<float>(1.0 - p.learning_rate * p.weight_decay));
    beta1 = splat(static_cast<float>(p.beta1));
    one_minus_beta1 = splat(static_cast<float>(1.0 - p.beta1));
    beta2 = splat(static_cast<float>(p.beta2));
    one_minus_beta2 = splat(static_cast<float>(1.0 - p.beta2));
    inverse_root_correction2 = splat(static_cast<float>(1.0 / __builtin_sqrt(1.0 - power2)));
    step_size = splat(static_cast<float>(p.learning_rate / (1.0 - power1)));
    eps = splat(static_cast<float>(p.eps));
  }
};

}  // namespace

void CpuBackend::sum_of_squares(Context&, double* result, const float* values, int64_t count) {
  const ScopedFloatEnvironment environment;
  const int64_t chunk = round_up(ceil_div(count, kChunks), kLanes);
  double sums[kChunks] = {};
  for_row_ranges(team(), kChunks, chunk, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const int64_t first = smaller(c * chunk, count);
      sums[c] = chunk_sum(values + first, smaller(chunk, count - first));
    }
  });
  double total = 0.0;
  for (int64_t c = 0; c < kChunks; ++c) total += sums[c];
  *result += total;
}

void CpuBackend::adamw_step(Context&, AdamwStats* stats, float* master, const float* grad, float* m, float* v,
                            int64_t elements, const AdamwParams& params) {
  const ScopedFloatEnvironment environment;
  const Coefficients k(params);
  int64_t all_changed = 0, all_lost = 0;
  for_row_ranges(team(), ceil_div(elements, kLanes), 8 * kLanes, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kLanes;
    int64_t changed = 0, lost = 0;
    for_lanes(smaller(end * kLanes, elements) - first, [&](int64_t offset, int n) {
      const int64_t i = first + offset;
      const Vec g = k.grad_scale * load_lanes(grad + i, n);
      const Vec first_moment = fma(k.beta1, load_lanes(m + i, n), k.one_minus_beta1 * g);
      const Vec second_moment = fma(k.beta2, load_lanes(v + i, n), k.one_minus_beta2 * g * g);
      const Vec denominator = sqrt(second_moment) * k.inverse_root_correction2 + k.eps;
      const Vec before = load_lanes(master + i, n);
      const Vec after = fnma(k.step_size, first_moment / denominator, before * k.keep);
      store_lanes(m + i, first_moment, n);
      store_lanes(v + i, second_moment, n);
      store_lanes(master + i, after, n);
      const Mask moved = ~equal(before, after) & first_lanes(n);
      changed += count(moved);
      lost += count(moved & equal(as_bf16(before), as_bf16(after)));
    });
    __atomic_fetch_add(&all_changed, changed, __ATOMIC_RELAXED);
    __atomic_fetch_add(&all_lost, lost, __ATOMIC_RELAXED);
  });
  stats->changed += all_changed;
  stats->lost_in_bf16 += all_lost;
}

}  // namespace COPPICE_ISA
}  // namespace coppice
