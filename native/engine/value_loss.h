// The loss of a critic over the items of a micro-batch, on the host: a few operations a token, in fp64.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace coppice {

struct ValueLossParams {
  double clip = std::numeric_limits<double>::infinity();  // how far a value may move from its old one
  double coef = 1.0;
};

// Sums over active tokens (norm != 0), so that micro-batches add up.
struct ValueLossStats {
  double loss = 0;  // with the coefficient
  int64_t active_tokens = 0;
  int64_t clipped = 0;  // tokens whose gradient the clip removed
};

// L = coef * sum_t norm_t / 2 * max((v_t - R_t)^2, (clamp(v_t, old_t - clip, old_t + clip) - R_t)^2)
// (PPO's released code; arXiv 2005.12729, section 3). dvalue = dL/dv, 0 where inactive; at a tie the
// unclipped branch is taken. `old_value` may be null where clip is infinite.
template <typename T>
void value_loss(ValueLossStats* stats, T* dvalue, const T* value, const T* old_value, const T* returns,
                const T* norm, int64_t count, const ValueLossParams& params) {
  for (int64_t t = 0; t < count; ++t) {
    dvalue[t] = T{0};
    if (norm[t] == T{0}) continue;
    const double v = value[t], target = returns[t], weight = params.coef * static_cast<double>(norm[t]);
    const double old = old_value == nullptr ? v : static_cast<double>(old_value[t]);
    const double error = v - target;
    const double bounded = std::clamp(v, old - params.clip, old + params.clip) - target;
    // The clamp is a constant wherever it makes a difference.
    const bool clipped = bounded * bounded > error * error;
    stats->loss += weight * 0.5 * (clipped ? bounded * bounded : error * error);
    stats->clipped += clipped;
    ++stats->active_tokens;
    if (!clipped) dvalue[t] = static_cast<T>(weight * error);
  }
}

}  // namespace coppice
