// The losses of a micro-batch, as the head asks for them between forward and backward.
#pragma once

#include "backend/backend.h"

namespace coppice {

// policy_loss over a micro-batch's items.
class MicroBatchLoss final : public HeadLoss {
 public:
  // Arrays as ops::policy_loss takes them; g_entropy, old_lp and ref_lp may be null, and without old_lp every
  // ratio is 1.
  struct Input {
    float* g_lp;
    float* g_entropy;
    const float* lp;
    const float* entropy;
    const float* old_lp;
    const float* ref_lp;
    const float* advantage;
    const float* norm;
    const int32_t* sequence_offsets;
    int64_t sequences;
    int64_t items;
    int32_t* range_offsets;  // room for two
  };

  // Adds to `stats`.
  MicroBatchLoss(const Context& context, PolicyLossStats& stats, const Input& input,
                 const PolicyLossParams& params)
      : context_(context), stats_(stats), input_(input), params_(params) {}

  void differentiate(int64_t begin, int64_t end) override;
  // A sequence's ratio is taken from all of its tokens.
  bool needs_all_items() const override {
    return params_.importance == Importance::kSequence || params_.importance == Importance::kSequenceToken;
  }

 private:
  Context context_;
  PolicyLossStats& stats_;
  const Input input_;
  const PolicyLossParams params_;
};

// A gradient that stands there already.
class GivenGradient final : public HeadLoss {
 public:
  void differentiate(int64_t, int64_t) override {}
  bool needs_all_items() const override { return false; }
};

}  // namespace coppice
