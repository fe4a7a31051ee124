// SwiGLU over a block of rows on the calling thread: the ops divide blocks among threads, and products hand
// over blocks that are still in the cache.
#pragma once

#include "base/tensor.h"
#include "cpu/simd.h"

namespace coppice {
namespace COPPICE_ISA {

// out = gate * sigmoid(gate) * up.
COPPICE_INLINE void swiglu_rows(const Tensor& out, const Tensor& gate, const Tensor& up) {
  for (int64_t t = 0; t < out.rows; ++t) {
    const float* gate_row = gate.f32() + t * gate.stride;
    const float* up_row = up.f32() + t * up.stride;
    float* to = out.f32() + t * out.stride;
    for_lanes(out.cols, [&](int64_t j, int n) {
      const Vec g = load_lanes(gate_row + j, n);
      store_lanes(to + j, g * sigmoid(g) * load_lanes(up_row + j, n), n);
    });
  }
}

// With s = sigmoid(gate): dup = dout gate s;  dgate = dout up s (1 + gate (1 - s));  out as swiglu_rows gives
// it. dgate may be gate, dup may be up, out may be dout.
COPPICE_INLINE void swiglu_backward_rows(const Tensor& dgate, const Tensor& dup, const Tensor& out,
                                         const Tensor& dout, const Tensor& gate, const Tensor& up) {
  for (int64_t t = 0; t < out.rows; ++t) {
    const auto row = [t](const Tensor& tensor) { return tensor.f32() + t * tensor.stride; };
    for_lanes(out.cols, [&](int64_t j, int n) {
      const Vec g = load_lanes(row(gate) + j, n), u = load_lanes(row(up) + j, n),
                d = load_lanes(row(dout) + j, n);
      const Vec s = sigmoid(g), gated = g * s;
      const Vec slope = s * fma(g, splat(1.0f) - s, splat(1.0f));
      store_lanes(row(dgate) + j, d * u * slope, n);
      store_lanes(row(dup) + j, d * gated, n);
      store_lanes(row(out) + j, gated * u, n);
    });
  }
}

}  // namespace COPPICE_ISA
}  // namespace coppice
