// The learner's work with a value head: values of rows, and the value loss of a micro-batch.
#include "engine/learner.h"

namespace coppice {

void Learner::ValueStaging::reserve(size_t items) {
  for (std::vector<float>* array : {&value, &old_value, &returns, &norm, &dvalue}) array->reserve(items);
}

ScoreResult Learner::values(const RolloutRows& rows, float* value, int64_t token_budget,
                            const StopFlag* stop) {
  check_rows(rows, config_.vocab_size, config_.max_positions);
  for (RowPacker packer(rows, token_budget, batch_); packer.next();) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) return {.cancelled = true};
    begin(Keep::kNothing);
    forward();
    value_forward();
    store_items(pass_.value.value.f32(), value);
  }
  return {};
}

void Learner::value_forward() {
  Context context = pass_context();
  value_head_forward(context, pass_.value, pass_.activations.hidden, parameters_.value_head(),
                     pass_.item_row);
}

void Learner::value_pass(const UpdateInput& input, ValueLossStats& stats) {
  value_forward();
  ValueStaging& host = value_staging_;
  const size_t items = batch_.item_source.size();
  host.value.resize(items);
  host.dvalue.resize(items);
  backend_.download(host.value.data(), pass_.value.value.data, items * sizeof(float));
  gather_items(input.value.returns, host.returns);
  gather_items(input.norm, host.norm);
  if (input.value.old_value != nullptr) gather_items(input.value.old_value, host.old_value);
  value_loss(&stats, host.dvalue.data(), host.value.data(),
             input.value.old_value == nullptr ? nullptr : host.old_value.data(), host.returns.data(),
             host.norm.data(), static_cast<int64_t>(items), input.value.loss);
  upload(backend_, pass_.value.dvalue.data, host.dvalue);
  Context context = pass_context();
  value_head_backward(context, pass_.value, pass_.dhidden,
                      parameters_.in_arena(gradients_.f32(), &parameters_.value_head()),
                      parameters_.value_head(), pass_.item_row);
}

}  // namespace coppice
