// Walks the tokens of a sequence twice, as the CUDA kernel does: first for its mean log-ratio, then for loss
// and gradients. Both take a token's share from ops/policy_loss_rule.h.
//
// All arithmetic is scalar and in fp64 whatever the arrays hold: a token costs two or three exponentials
// against the head's millions of multiplications.
#include "cpu/cpu_backend.h"
#include "ops/policy_loss_rule.h"

namespace coppice {
namespace COPPICE_ISA {
namespace {

struct SequenceRatio {
  int64_t active = 0;
  double mean_log_ratio = 0.0;
};

template <typename T>
SequenceRatio measure_ratio(const LossArrays<T>& arrays, int64_t begin, int64_t end,
                            const PolicyLossParams& params, PolicyLossStats* stats) {
  SequenceRatio sequence;
  double log_ratio_sum = 0.0;
  for (int64_t t = begin; t < end; ++t) {
    if (arrays.norm[t] == T{0}) continue;
    const double log_ratio = log_ratio_of(arrays, t);
    log_ratio_sum += averaged_log_ratio(log_ratio, arrays.advantage[t], params).value;
    ++sequence.active;
    stats->ratio_sum += __builtin_exp(log_ratio);
    if (__builtin_fabs(log_ratio) > stats->max_abs_log_ratio)
      stats->max_abs_log_ratio = __builtin_fabs(log_ratio);
  }
  stats->active_tokens += sequence.active;
  if (sequence.active > 0) sequence.mean_log_ratio = log_ratio_sum / static_cast<double>(sequence.active);
  return sequence;
}

// d loss / d lp that every active token shares through the sequence's ratio.
template <typename T>
double shared_gradient(const LossArrays<T>& arrays, int64_t begin, int64_t end, const SequenceRatio& sequence,
                       const PolicyLossParams& params) {
  const double ratio = __builtin_exp(sequence.mean_log_ratio);
  double slope = 0.0;
  for (int64_t t = begin; t < end; ++t) {
    if (arrays.norm[t] == T{0}) continue;
    slope -= static_cast<double>(arrays.norm[t]) *
             surrogate_of(ratio, arrays.advantage[t], arrays.lp[t], params).slope;
  }
  return through_ratio(slope, ratio / static_cast<double>(sequence.active));
}

template <typename T>
void add_sequence(PolicyLossStats* stats, const LossArrays<T>& arrays, int64_t begin, int64_t end,
                  const PolicyLossParams& params) {
  const SequenceRatio sequence = measure_ratio(arrays, begin, end, params, stats);
  const SequenceTerm term = {
      __builtin_exp(sequence.mean_log_ratio),
      shares_gradient(params) ? shared_gradient(arrays, begin, end, sequence, params) : 0.0};
  for (int64_t t = begin; t < end; ++t) token_term(*stats, arrays, t, term, params);
}

template <typename T>
void loss_of_sequences(PolicyLossStats* stats, const LossArrays<T>& arrays, const int32_t* offsets,
                       int64_t sequences, const PolicyLossParams& params) {
  for (int64_t i = 0; i < sequences; ++i) {
    add_sequence(stats, arrays, offsets[i], offsets[i + 1], params);
  }
}

}  // namespace

void CpuBackend::policy_loss(Context&, PolicyLossStats* stats, float* g_lp, float* g_entropy, const float* lp,
                             const float* entropy, const float* old_lp, const float* ref_lp,
                             const float* advantage, const float* norm, const int32_t* offsets,
                             int64_t sequences, const PolicyLossParams& params) {
  loss_of_sequences<float>(stats, {g_lp, g_entropy, lp, entropy, old_lp, ref_lp, advantage, norm}, offsets,
                           sequences, params);
}

void CpuBackend::policy_loss_f64(Context&, PolicyLossStats* stats, double* g_lp, double* g_entropy,
                                 const double* lp, const double* entropy, const double* old_lp,
                                 const double* ref_lp, const double* advantage, const double* norm,
                                 const int32_t* offsets, int64_t sequences, const PolicyLossParams& params) {
  loss_of_sequences<double>(stats, {g_lp, g_entropy, lp, entropy, old_lp, ref_lp, advantage, norm}, offsets,
                            sequences, params);
}

}  // namespace COPPICE_ISA
}  // namespace coppice
