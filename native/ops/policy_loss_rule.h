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

struct SurrogateTerm {
  double value;
  double slope;     // d value / d ratio; where the ratio is a constant, d value / d lp
  ClipBound bound;  // the bound that took the gradient away, or that cut a constant ratio
};

// Whether the ratio weighs the log-prob as a constant instead of carrying the gradient.
COPPICE_HOST_DEVICE bool holds_ratio(const PolicyLossParams& params) {
  return params.surrogate == Surrogate::kCispo || params.surrogate == Surrogate::kTopr;
}

// Whether tokens have the ratio of their sequence.
COPPICE_HOST_DEVICE bool has_sequence_ratio(const PolicyLossParams& params) {
  return params.importance == Importance::kSequence || params.importance == Importance::kSequenceToken;
}

// Whether the tokens of a sequence share one gradient, which reaches them through their common ratio.
COPPICE_HOST_DEVICE bool shares_gradient(const PolicyLossParams& params) {
  return params.importance == Importance::kSequence && !holds_ratio(params);
}

// min(ratio A, clamp(ratio) A), then max(., dual_clip A) where A < 0; ties keep the unclipped branch.
COPPICE_HOST_DEVICE SurrogateTerm clipped_surrogate(double ratio, double advantage,
                                                    const PolicyLossParams& params) {
  SurrogateTerm result{ratio * advantage, advantage, ClipBound::kNone};
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

// (4 / tau) sigmoid(tau (ratio - 1)) A: a gate whose slope is A at a ratio of 1 and fades on both sides.
COPPICE_HOST_DEVICE SurrogateTerm gated_surrogate(double ratio, double advantage,
                                                  const PolicyLossParams& params) {
  const double tau = advantage > 0.0 ? params.sapo_temperature_pos : params.sapo_temperature_neg;
  const double gate = 1.0 / (1.0 + ::exp(-tau * (ratio - 1.0)));
  return {4.0 / tau * gate * advantage, 4.0 * gate * (1.0 - gate) * advantage, ClipBound::kNone};
}

// The ratio as a constant weight of A lp: cut to the clip's bounds, or (kTopr) 1 where A > 0 and at most 1
// elsewhere.
COPPICE_HOST_DEVICE SurrogateTerm weighted_surrogate(double ratio, double advantage, double lp,
                                                     const PolicyLossParams& params) {
  const bool tapered = params.surrogate == Surrogate::kTopr;
  const double low = tapered || !params.clip ? 0.0 : 1.0 - params.clip_low;
  double weight = ratio;
  ClipBound bound = ClipBound::kNone;
  if (tapered && advantage > 0.0) {
    weight = 1.0;
  } else if (ratio < low) {
    weight = low;
    bound = ClipBound::kLow;
  } else if ((tapered || params.clip) && ratio > 1.0 + (tapered ? 0.0 : params.clip_high)) {
    weight = 1.0 + (tapered ? 0.0 : params.clip_high);
    bound = ClipBound::kHigh;
  }
  return {weight * advantage * lp, weight * advantage, bound};
}

// The surrogate of a token whose ratio (its own or its sequence's) is known; not of importance kNone.
COPPICE_HOST_DEVICE SurrogateTerm surrogate_of(double ratio, double advantage, double lp,
                                               const PolicyLossParams& params) {
  if (params.surrogate == Surrogate::kClip) return clipped_surrogate(ratio, advantage, params);
  if (params.surrogate == Surrogate::kSapo) return gated_surrogate(ratio, advantage, params);
  if (params.surrogate == Surrogate::kGmpo) return {ratio * advantage, advantage, ClipBound::kNone};
  return weighted_surrogate(ratio, advantage, lp, params);
}

struct LogRatio {
  double value;
  ClipBound bound;
};

// What a token adds to the mean log-ratio of its sequence: kGmpo clips it there, on the side to which the
// advantage pushes.
COPPICE_HOST_DEVICE LogRatio averaged_log_ratio(double log_ratio, double advantage,
                                                const PolicyLossParams& params) {
  if (params.surrogate == Surrogate::kGmpo && params.clip) {
    if (advantage > 0.0 && log_ratio > params.clip_high) return {params.clip_high, ClipBound::kHigh};
    if (advantage < 0.0 && log_ratio < -params.clip_low) return {-params.clip_low, ClipBound::kLow};
  }
  return {log_ratio, ClipBound::kNone};
}

// slope * ratio, but 0 where the clip holds even if the ratio is infinite.
COPPICE_HOST_DEVICE double through_ratio(double slope, double ratio) {
  return slope == 0.0 ? 0.0 : slope * ratio;
}

// d surrogate / d lp of a token that shares its gradient with no other.
COPPICE_HOST_DEVICE double surrogate_gradient(const SurrogateTerm& term, double ratio,
                                              const PolicyLossParams& params) {
  return holds_ratio(params) ? term.slope : through_ratio(term.slope, ratio);
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

// |lp - old_lp|; the corner has no slope.
COPPICE_HOST_DEVICE KlTerm old_kl_term(double log_ratio) {
  return {::fabs(log_ratio), log_ratio > 0.0 ? 1.0 : log_ratio < 0.0 ? -1.0 : 0.0};
}

// A packed batch's arrays; old_lp, ref_lp, entropy and g_entropy may be null (ops.h).
template <typename T>
struct LossArrays {
  T *g_lp, *g_entropy;
  const T *lp, *entropy, *old_lp, *ref_lp, *advantage, *norm;
};

template <typename T>
COPPICE_HOST_DEVICE double log_ratio_of(const LossArrays<T>& arrays, int64_t t) {
  return arrays.old_lp == nullptr ? 0.0
                                  : static_cast<double>(arrays.lp[t]) - static_cast<double>(arrays.old_lp[t]);
}

// What a token has of its sequence: exp of the mean log-ratio, and the gradient that all its tokens share.
struct SequenceTerm {
  double ratio, shared_gradient;
};

// The surrogate's part of a token: adds to the loss and to the clipped, returns d loss / d lp.
template <typename T>
COPPICE_HOST_DEVICE double surrogate_term(PolicyLossStats& stats, const LossArrays<T>& arrays, int64_t t,
                                          const SequenceTerm& sequence, const PolicyLossParams& params) {
  const double norm = arrays.norm[t], advantage = arrays.advantage[t], lp = arrays.lp[t];
  if (params.importance == Importance::kNone) {
    stats.loss -= norm * (advantage * lp);
    return -norm * advantage;
  }
  const double ratio = has_sequence_ratio(params) ? sequence.ratio : ::exp(log_ratio_of(arrays, t));
  const SurrogateTerm surrogate = surrogate_of(ratio, advantage, lp, params);
  ClipBound bound = surrogate.bound;
  stats.loss -= norm * surrogate.value;
  double gradient = shares_gradient(params) ? sequence.shared_gradient
                                            : -norm * surrogate_gradient(surrogate, ratio, params);
  if (params.surrogate == Surrogate::kGmpo) {
    bound = averaged_log_ratio(log_ratio_of(arrays, t), advantage, params).bound;
    if (bound != ClipBound::kNone) gradient = 0.0;
  }
  stats.clipped_low += bound == ClipBound::kLow ? 1 : 0;
  stats.clipped_high += bound == ClipBound::kHigh ? 1 : 0;
  return gradient;
}

// A token's share of loss and statistics, added in this order, and its gradients, written.
template <typename T>
COPPICE_HOST_DEVICE void token_term(PolicyLossStats& stats, const LossArrays<T>& arrays, int64_t t,
                                    const SequenceTerm& sequence, const PolicyLossParams& params) {
  double gradient = 0.0, entropy_gradient = 0.0;
  if (arrays.norm[t] != T{0}) {
    const double norm = arrays.norm[t];
    gradient = surrogate_term(stats, arrays, t, sequence, params);
    if (params.old_kl_coef != 0.0 && params.old_kl_mask[t] != 0.0f) {
      const KlTerm kl = old_kl_term(log_ratio_of(arrays, t));
      stats.loss += norm * params.old_kl_coef * kl.value;
      gradient += norm * params.old_kl_coef * kl.slope;
    }
    if (arrays.ref_lp != nullptr) {
      const KlTerm kl =
          kl_term(params.kl_kind, static_cast<double>(arrays.ref_lp[t]) - static_cast<double>(arrays.lp[t]));
      stats.kl_sum += kl.value;
      if (params.kl_coef != 0.0) {
        stats.loss += norm * params.kl_coef * kl.value;
        gradient += norm * params.kl_coef * kl.slope;
      }
    }
    if (arrays.entropy != nullptr) {
      const double entropy = arrays.entropy[t];
      stats.entropy_sum += entropy;
      if (params.entropy_coef != 0.0) stats.loss -= norm * params.entropy_coef * entropy;
    }
    entropy_gradient = -norm * params.entropy_coef;
  }
  arrays.g_lp[t] = static_cast<T>(gradient);
  if (arrays.g_entropy != nullptr) arrays.g_entropy[t] = static_cast<T>(entropy_gradient);
}

}  // namespace
}  // namespace coppice
