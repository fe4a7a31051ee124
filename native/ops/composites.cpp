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

}  // namespace coppice
