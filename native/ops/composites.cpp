// Backend's default bodies: composites made of the ops they stand for, which makes them the oracle of every
// override.
#include "backend/backend.h"

namespace coppice {

Backend::Backend() = default;
Backend::~Backend() = default;

void Backend::linear_residual(Context& context, const Tensor& out, const Tensor& inp, const Parameter& weight,
                              const Tensor& residual, const Tensor& staging) {
  linear_forward(context, staging, inp, weight, nullptr);
  add_forward(context, out, residual, staging);
}

void Backend::linear_swiglu(Context& context, const Tensor& out, const Tensor& gate_up, const Tensor& inp,
                            const Parameter& weight) {
  linear_forward(context, gate_up, inp, weight, nullptr);
  swiglu_forward(context, out, gate_up);
}

void Backend::linear_swiglu_backward(Context& context, const Tensor& gate_up, const Tensor& out,
                                     const Tensor& dout, const Parameter& weight) {
  linear_backward_input(context, out, dout, weight);
  swiglu_backward(context, gate_up, out, out, gate_up);
}

size_t Backend::head_forward_backward_scratch_bytes(int64_t items, int64_t vocab, int64_t hidden,
                                                    DType dtype) const {
  return head_scratch_bytes(items, vocab, hidden, dtype);
}

void Backend::head_forward_backward(Context& context, const Tensor& dhidden, float* dweight, float* lp,
                                    float* entropy, float* lse, const Tensor& hidden, const Parameter& weight,
                                    const HeadItems& items, const float* g_lp, const float* g_entropy,
                                    HeadLoss& loss) {
  head_forward(context, lp, entropy, lse, hidden, weight, items);
  loss.differentiate(0, items.count);
  head_backward(context, dhidden, dweight, hidden, weight, items, lse, entropy, g_lp, g_entropy);
}

}  // namespace coppice
