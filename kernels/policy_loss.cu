// A block a sequence: its threads walk the tokens twice, first for the sequence's mean log-ratio, then for
// loss and gradients.
#include <algorithm>
#include <vector>

#include "cuda_backend.cuh"
#include "ops/policy_loss_rule.h"
#include "reduce.cuh"

namespace coppice {
namespace {

constexpr int kTokenThreads = 128;

template <typename T>
struct LossArrays {
  T *g_lp, *g_entropy;
  const T *lp, *entropy, *old_lp, *ref_lp, *advantage, *norm;
};

template <typename T>
__global__ void policy_loss_kernel(PolicyLossStats* stats, LossArrays<T> arrays, const int32_t* offsets,
                                   PolicyLossParams params) {
  __shared__ double shared[kTokenThreads / kWarp];
  const int32_t begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
  const bool by_sequence = has_sequence_ratio(params), is_shared = shares_gradient(params);
  const auto log_ratio_of = [&](int32_t t) {
    return arrays.old_lp == nullptr
               ? 0.0
               : static_cast<double>(arrays.lp[t]) - static_cast<double>(arrays.old_lp[t]);
  };

  double active = 0, log_ratio_sum = 0, ratio_sum = 0, largest = 0;
  for (int32_t t = begin + static_cast<int32_t>(threadIdx.x); t < end; t += kTokenThreads) {
    if (arrays.norm[t] == T(0)) continue;
    const double log_ratio = log_ratio_of(t);
    active += 1;
    log_ratio_sum += averaged_log_ratio(log_ratio, static_cast<double>(arrays.advantage[t]), params).value;
    ratio_sum += exp(log_ratio);
    largest = fmax(largest, fabs(log_ratio));
  }
  active = block_reduce<Sum>(active, shared);
  log_ratio_sum = block_reduce<Sum>(log_ratio_sum, shared);
  ratio_sum = block_reduce<Sum>(ratio_sum, shared);
  largest = block_reduce<Maximum>(largest, shared);
  const double sequence_ratio = active > 0 ? exp(log_ratio_sum / active) : 1.0;

  double shared_gradient = 0;
  if (is_shared && active > 0) {
    double slope = 0;
    for (int32_t t = begin + static_cast<int32_t>(threadIdx.x); t < end; t += kTokenThreads) {
      if (arrays.norm[t] == T(0)) continue;
      slope -= static_cast<double>(arrays.norm[t]) * surrogate_of(sequence_ratio,
                                                                  static_cast<double>(arrays.advantage[t]),
                                                                  static_cast<double>(arrays.lp[t]), params)
                                                         .slope;
    }
    shared_gradient = through_ratio(block_reduce<Sum>(slope, shared), sequence_ratio / active);
  }

  double loss = 0, clipped_low = 0, clipped_high = 0, kl_sum = 0, entropy_sum = 0;
  for (int32_t t = begin + static_cast<int32_t>(threadIdx.x); t < end; t += kTokenThreads) {
    double gradient = 0, entropy_gradient = 0;
    if (arrays.norm[t] != T(0)) {
      const double norm = arrays.norm[t], advantage = arrays.advantage[t], lp = arrays.lp[t];
      if (params.importance == Importance::kNone) {
        loss -= norm * (advantage * lp);
        gradient = -norm * advantage;
      } else {
        const double ratio = by_sequence ? sequence_ratio : exp(log_ratio_of(t));
        const SurrogateTerm surrogate = surrogate_of(ratio, advantage, lp, params);
        ClipBound bound = surrogate.bound;
        loss -= norm * surrogate.value;
        gradient = is_shared ? shared_gradient : -norm * surrogate_gradient(surrogate, ratio, params);
        if (params.surrogate == Surrogate::kGmpo) {
          bound = averaged_log_ratio(log_ratio_of(t), advantage, params).bound;
          if (bound != ClipBound::kNone) gradient = 0;
        }
        clipped_low += bound == ClipBound::kLow ? 1 : 0;
        clipped_high += bound == ClipBound::kHigh ? 1 : 0;
      }
      if (params.old_kl_coef != 0 && params.old_kl_mask[t] != 0.0f) {
        const KlTerm kl = old_kl_term(log_ratio_of(t));
        loss += norm * params.old_kl_coef * kl.value;
        gradient += norm * params.old_kl_coef * kl.slope;
      }
      if (arrays.ref_lp != nullptr) {
        const KlTerm kl = kl_term(params.kl_kind, static_cast<double>(arrays.ref_lp[t]) - lp);
        kl_sum += kl.value;
        if (params.kl_coef != 0) {
          loss += norm * params.kl_coef * kl.value;
          gradient += norm * params.kl_coef * kl.slope;
        }
      }
      if (arrays.entropy != nullptr) {
        entropy_sum += arrays.entropy[t];
        if (params.entropy_coef != 0) {
          loss -= norm * params.entropy_coef * static_cast<double>(arrays.entropy[t]);
          entropy_gradient = -norm * params.entropy_coef;
        }
      }
    }
    arrays.g_lp[t] = static_cast<T>(gradient);
    if (arrays.g_entropy != nullptr) arrays.g_entropy[t] = static_cast<T>(entropy_gradient);
  }
  PolicyLossStats all;
  all.loss = block_reduce<Sum>(loss, shared);
  all.active_tokens = static_cast<int64_t>(active);
  all.clipped_low = static_cast<int64_t>(block_reduce<Sum>(clipped_low, shared));
  all.clipped_high = static_cast<int64_t>(block_reduce<Sum>(clipped_high, shared));
  all.kl_sum = block_reduce<Sum>(kl_sum, shared);
  all.entropy_sum = block_reduce<Sum>(entropy_sum, shared);
  all.ratio_sum = ratio_sum;
  all.max_abs_log_ratio = largest;
  if (threadIdx.x == 0) stats[blockIdx.x] = all;
}

}  // namespace

template <typename T>
void CudaBackend::run_policy_loss(PolicyLossStats* stats, T* g_lp, T* g_entropy, const T* lp,
                                  const T* entropy, const T* old_lp, const T* ref_lp, const T* advantage,
                                  const T* norm, const int32_t* offsets, int64_t sequences,
                                  const PolicyLossParams& params) {
  const LossArrays<T> arrays = {g_lp, g_entropy, lp, entropy, old_lp, ref_lp, advantage, norm};
  std::vector<PolicyLossStats> host;
  for (int64_t begin = 0; begin < sequences; begin += kSequencesAtOnce) {
    const int64_t count = std::min(kSequencesAtOnce, sequences - begin);
    launch("policy_loss_kernel", policy_loss_kernel<T>, static_cast<unsigned>(count), kTokenThreads, stream_,
           sequence_stats_, arrays, offsets + begin, params);
    host.resize(static_cast<size_t>(count));
    download(host.data(), sequence_stats_, host.size() * sizeof(PolicyLossStats));
    for (const PolicyLossStats& one : host) {
      stats->loss += one.loss;
      stats->active_tokens += one.active_tokens;
      stats->clipped_low += one.clipped_low;
      stats->clipped_high += one.clipped_high;
      stats->kl_sum += one.kl_sum;
      stats->entropy_sum += one.entropy_sum;
      stats->ratio_sum += one.ratio_sum;
      stats->max_abs_log_ratio = std::max(stats->max_abs_log_ratio, one.max_abs_log_ratio);
    }
  }
}

void CudaBackend::policy_loss(Context&, PolicyLossStats* stats, float* g_lp, float* g_entropy,
                              const float* lp, const float* entropy, const float* old_lp, const float* ref_lp,
                              const float* advantage, const float* norm, const int32_t* offsets,
                              int64_t sequences, const PolicyLossParams& params) {
  run_policy_loss(stats, g_lp, g_entropy, lp, entropy, old_lp, ref_lp, advantage, norm, offsets, sequences,
                  params);
}

void CudaBackend::policy_loss_f64(Context&, PolicyLossStats* stats, double* g_lp, double* g_entropy,
                                  const double* lp, const double* entropy, const double* old_lp,
                                  const double* ref_lp, const double* advantage, const double* norm,
                                  const int32_t* offsets, int64_t sequences, const PolicyLossParams& params) {
  run_policy_loss(stats, g_lp, g_entropy, lp, entropy, old_lp, ref_lp, advantage, norm, offsets, sequences,
                  params);
}

}  // namespace coppice
