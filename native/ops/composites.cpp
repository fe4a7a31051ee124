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

}  // namespace coppice
