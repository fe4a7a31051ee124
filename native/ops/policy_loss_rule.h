// One token's share of policy_loss (formulas in ops.h), in fp64, for every backend: the CPU's loop and the
// CUDA kernel differ in how they walk tokens, not in what they compute. Nothing is clamped beyond the clip
// itself: a ratio that overflows is inf, inf * 0 is NaN, and both reach the loss and the gradient, where the
// caller's guard refuses the step.
#pragma once

#include <cmath>

#include "backend/backend.h"

#if defined(__CUDACC__)
#define COPPICE_HOST_DEVICE __host__ __device__ inline
#else
#define COPPICE_HOST_DEVICE [[gnu::always_inline]] inline
#endif

// Included under instruction-set flags: no name here may be emitted for the linker to share.
namespace coppice {
namespace {

enum class ClipBound : uint8_t { kNone, kLow, kHigh };

struct Surrogate {
  double value;
  double slope;     // d value / d ratio
  ClipBound bound;  // the bound that took the gradient away
};

// min(ratio A, clamp(ratio) A), then max(., dual_clip A) where A < 0; ties keep the unclipped branch.
COPPICE_HOST_DEVICE Surrogate clipped_surrogate(double ratio, double advantage,
                                                const PolicyLossParams& params) {
  Surrogate result{ratio * advantage, advantage, ClipBound::kNone};
  if (params.clip) {
    const double low = 1.0 - params.clip_low, high = 1.0 + params.clip_high;
    const double clamped = ratio < low ? low : ratio > high ? high : ratio;
    if (clamped * advantage < result.value) {
      result = {clamped * advantage, 0.0, ratio < low ? ClipBound::kLow : ClipBound::kHigh};
    }
  }
  if (params.dual_clip > 0.0 && advantage < 0.0 && result.value < params.dual_clip * advantage) {
    result = {params.dual_clip * advantage, 0.0, ClipBound::kHigh};
  }
  return result;
}

// slope * ratio, but 0 where the clip holds even if the ratio is infinite.
COPPICE_HOST_DEVICE double through_ratio(double slope, double ratio) {
  return slope == 0.0 ? 0.0 : slope * ratio;
}

struct KlTerm {
  double value;
  double slope;  // d value / d lp
};

COPPICE_HOST_DEVICE KlTerm kl_term(KlKind kind, double ref_minus_lp) {
  const double d = ref_minus_lp;
  if (kind == KlKind::kK1) return {-d, 1.0};
  if (kind == KlKind::kK2) return {0.5 * d * d, -d};
  const double exp_minus_one = ::expm1(d);
  return {exp_minus_one - d, -exp_minus_one};
}

}  // namespace
}  // namespace coppice
