#include "engine/micro_batch_loss.h"

#include "ops/ops.h"

namespace coppice {

void MicroBatchLoss::differentiate(int64_t begin, int64_t end) {
  const Input& in = input_;
  const auto from = [begin](auto* array) { return array == nullptr ? nullptr : array + begin; };
  const int32_t* offsets = in.sequence_offsets;
  int64_t sequences = in.sequences;
  if (begin > 0 || end < in.items) {
    // Of tokens by themselves: where sequences begin does not matter.
    const int32_t range[] = {0, static_cast<int32_t>(end - begin)};
    context_.backend->upload(in.range_offsets, range, sizeof range);
    offsets = in.range_offsets;
    sequences = 1;
  }
  PolicyLossParams params = params_;
  params.old_kl_mask = from(params.old_kl_mask);
  ops::policy_loss(context_, &stats_, from(in.g_lp), from(in.g_entropy), from(in.lp), from(in.entropy),
                   from(in.old_lp != nullptr ? in.old_lp : in.lp), from(in.ref_lp), from(in.advantage),
                   from(in.norm), offsets, sequences, params);
}

}  // namespace coppice
