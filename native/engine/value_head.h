// The scalar head of a critic: value_i = w . hidden[row_index[i]], w of one row, fp32 in every engine. It is
// made of ops that exist (gather_rows, the products, embedding_backward), so that their exactness is its own:
// a value depends on its row alone, and sums over items run in their order.
#pragma once

#include "engine/memory.h"

namespace coppice {

// Hugging Face's name for the head of a model for sequence or token classification with one label.
inline constexpr const char* kValueHeadTensor = "score.weight";

// What a pass holds of the head, over the items of a micro-batch.
struct ValueTensors {
  Tensor hidden;  // [N, C]: the rows that the items read; their gradient after the backward
  Tensor value;   // [N, 1]
  Tensor dvalue;  // [N, 1]

  void carve(Carver& carver, int64_t items, int64_t hidden_size);
};

// Scratch of both directions.
size_t value_head_scratch_bytes(const Backend& backend, int64_t items, int64_t hidden_size);

// Fills tensors.hidden and tensors.value.  hidden [rows, C], weight kMatrix [1, C], row_index [N].
void value_head_forward(Context& context, const ValueTensors& tensors, const Tensor& hidden,
                        const Parameter& weight, const int32_t* row_index);
// dweight [1, C] += dvalue^T hidden;  dhidden [rows, C] contiguous, dhidden[row_index[i]] += dvalue[i] w, i
// in order. Overwrites tensors.hidden.
void value_head_backward(Context& context, const ValueTensors& tensors, const Tensor& dhidden, float* dweight,
                         const Parameter& weight, const int32_t* row_index);

}  // namespace coppice
