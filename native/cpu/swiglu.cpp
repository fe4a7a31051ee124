#include "cpu/cpu_backend.h"
#include "cpu/row_ranges.h"

namespace coppice {
namespace COPPICE_ISA {

void CpuBackend::swiglu_forward(Context&, const Tensor& out, const Tensor& gate_up) {
  // An exponential and a division weigh about as much as a dozen floats moved.
  for_row_ranges(team(), out.rows, 12 * out.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float* gate = gate_up.f32() + t * gate_up.stride;
      const float* up = gate + out.cols;
      float* to = out.f32() + t * out.stride;
      for_lanes(out.cols, [&](int64_t j, int n) {
        const Vec g = load_lanes(gate + j, n);
        store_lanes(to + j, g * sigmoid(g) * load_lanes(up + j, n), n);
      });
    }
  });
}

// With s = sigmoid(gate): dup = dout gate s;  dgate = dout up s (1 + gate (1 - s)).
void CpuBackend::swiglu_backward(Context&, const Tensor& dgate_up, const Tensor& dout,
                                 const Tensor& gate_up) {
  for_row_ranges(team(), dout.rows, 12 * dout.cols, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const float* gate = gate_up.f32() + t * gate_up.stride;
      const float* up = gate + dout.cols;
      const float* from = dout.f32() + t * dout.stride;
      float* dgate = dgate_up.f32() + t * dgate_up.stride;
      float* dup = dgate + dout.cols;
      for_lanes(dout.cols, [&](int64_t j, int n) {
        const Vec g = load_lanes(gate + j, n), u = load_lanes(up + j, n), d = load_lanes(from + j, n);
        const Vec s = sigmoid(g);
        const Vec slope = s * fma(g, splat(1.0f) - s, splat(1.0f));
        store_lanes(dgate + j, d * u * slope, n);
        store_lanes(dup + j, d * (g * s), n);
      });
    }
  });
}

}  // namespace COPPICE_ISA
}  // namespace coppice
