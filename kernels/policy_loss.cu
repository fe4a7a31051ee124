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
__global__ void policy_loss_kernel(PolicyLossStats* stats, LossArrays<T> arrays, const int32_t* offsets,
                                   PolicyLossParams params) {
  __shared__ double shared[kTokenThreads / kWarp];
  const int32_t begin = offsets[blockIdx.x], end = offsets[blockIdx.x + 1];
  double active = 0, log_ratio_sum = 0, ratio_sum = 0, largest = 0;
  for (int32_t t = begin + static_cast<int32_t>(threadIdx.x); t < end; t += kTokenThreads) {
    if (arrays.norm[t] == T(0)) continue;
    const double log_ratio = log_ratio_of(arrays, t);
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
  if (shares_gradient(params) && active > 0) {
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

  const SequenceTerm term = {sequence_ratio, shared_gradient};
  PolicyLossStats own;
  for (int32_t t = begin + static_cast<int32_t>(threadIdx.x); t < end; t += kTokenThreads)
    token_term(own, arrays, t, term, params);

  PolicyLossStats all;
  all.loss = block_reduce<Sum>(own.loss, shared);
  all.active_tokens = static_cast<int64_t>(active);
  all.clipped_low = static_cast<int64_t>(block_reduce<Sum>(static_cast<double>(own.clipped_low), shared));
  all.clipped_high = static_cast<int64_t>(block_reduce<Sum>(static_cast<double>(own.clipped_high), shared));
  all.kl_sum = block_reduce<Sum>(own.kl_sum, shared);
  all.entropy_sum = block_reduce<Sum>(own.entropy_sum, shared);
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
