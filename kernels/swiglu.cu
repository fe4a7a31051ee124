#include "cuda_backend.cuh"

namespace coppice {
namespace {

constexpr int kElementThreads = 256;

__device__ float sigmoid(float x) {
  return 1.0f / (1.0f + expf(-x));
}

// Blocks along x cover a row's columns, those along y the rows.
__global__ void swiglu_forward_kernel(float* out, int64_t out_stride, const float* gate_up, int64_t stride,
                                      int64_t rows, int64_t cols) {
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kElementThreads + threadIdx.x;
  if (j >= cols) return;
  for (int64_t t = blockIdx.y; t < rows; t += gridDim.y) {
    const float gate = gate_up[t * stride + j], up = gate_up[t * stride + cols + j];
    out[t * out_stride + j] = gate * sigmoid(gate) * up;
  }
}

// With s = sigmoid(gate): dup = dout gate s;  dgate = dout up s (1 + gate (1 - s)). Everything is read before
// anything is written, for dgate_up may be gate_up and out may be dout.
__global__ void swiglu_backward_kernel(float* dgate_up, int64_t dgate_up_stride, float* out,
                                       int64_t out_stride, const float* dout, int64_t dout_stride,
                                       const float* gate_up, int64_t stride, int64_t rows, int64_t cols) {
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kElementThreads + threadIdx.x;
  if (j >= cols) return;
  for (int64_t t = blockIdx.y; t < rows; t += gridDim.y) {
    const float gate = gate_up[t * stride + j], up = gate_up[t * stride + cols + j],
                d = dout[t * dout_stride + j];
    const float s = sigmoid(gate), gated = gate * s, slope = s * fmaf(gate, 1.0f - s, 1.0f);
    dgate_up[t * dgate_up_stride + j] = d * up * slope;
    dgate_up[t * dgate_up_stride + cols + j] = d * gated;
    out[t * out_stride + j] = gated * up;
  }
}

}  // namespace

void CudaBackend::swiglu_forward(Context&, const Tensor& out, const Tensor& gate_up) {
  launch("swiglu_forward_kernel", swiglu_forward_kernel, element_grid(out, kElementThreads), kElementThreads,
         stream_, out.f32(), out.stride, gate_up.f32(), gate_up.stride, out.rows, out.cols);
}

void CudaBackend::swiglu_backward(Context&, const Tensor& dgate_up, const Tensor& out, const Tensor& dout,
                                  const Tensor& gate_up) {
  launch("swiglu_backward_kernel", swiglu_backward_kernel, element_grid(out, kElementThreads),
         kElementThreads, stream_, dgate_up.f32(), dgate_up.stride, out.f32(), out.stride, dout.f32(),
         dout.stride, gate_up.f32(), gate_up.stride, out.rows, out.cols);
}

}  // namespace coppice
