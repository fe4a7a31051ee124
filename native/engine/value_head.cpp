#include "engine/value_head.h"

#include "ops/ops.h"

namespace coppice {

void ValueTensors::carve(Carver& carver, int64_t items, int64_t hidden_size) {
  hidden = carver.tensor(items, hidden_size);
  value = carver.tensor(items, 1);
  dvalue = carver.tensor(items, 1);
}

size_t value_head_scratch_bytes(const Backend& backend, int64_t items, int64_t hidden_size) {
  return backend.linear_scratch_bytes(items, 1, hidden_size, DType::kF32);
}

void value_head_forward(Context& context, const ValueTensors& tensors, const Tensor& hidden,
                        const Parameter& weight, const int32_t* row_index) {
  ops::gather_rows(context, tensors.hidden, hidden, row_index);
  ops::linear_forward(context, tensors.value, tensors.hidden, weight, nullptr);
}

void value_head_backward(Context& context, const ValueTensors& tensors, const Tensor& dhidden, float* dweight,
                         const Parameter& weight, const int32_t* row_index) {
  ops::linear_backward_weight(context, dweight, nullptr, tensors.dvalue, tensors.hidden, weight.dtype);
  ops::linear_backward_input(context, tensors.hidden, tensors.dvalue, weight);
  // A table whose entries are the rows: several items may read one of them.
  ops::embedding_backward(context, dhidden.f32(), dhidden.rows, tensors.hidden, row_index);
}

}  // namespace coppice
