#include "cuda_backend.cuh"

namespace coppice {
namespace {

constexpr int kPairThreads = 128;

// A block a row, a thread a pair (x[j], x[j + head_dim / 2]) of one head.
__global__ void rope_kernel(float* inout, int64_t stride, const int32_t* positions, const float* cos_sin,
                            int32_t head_dim, int64_t pairs, float direction) {
  const int32_t half = head_dim / 2;
  float* row = inout + blockIdx.x * stride;
  const float* cosines = cos_sin + positions[blockIdx.x] * static_cast<int64_t>(head_dim);
  for (int64_t i = threadIdx.x; i < pairs; i += kPairThreads) {
    const int64_t j = i % half;
    float* low = row + i / half * head_dim + j;
    float* high = low + half;
    const float a = *low, b = *high, cosine = cosines[j], sine = direction * cosines[half + j];
    *low = fmaf(-b, sine, a * cosine);
    *high = fmaf(a, sine, b * cosine);
  }
}

void rotate(const Tensor& inout, const int32_t* positions, const float* cos_sin, int32_t head_dim,
            float direction, const Stream& stream) {
  launch("rope_kernel", rope_kernel, static_cast<unsigned>(inout.rows), kPairThreads, stream, inout.f32(),
         inout.stride, positions, cos_sin, head_dim, inout.cols / 2, direction);
}

}  // namespace

void CudaBackend::rope_forward(Context&, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                               int32_t head_dim) {
  rotate(inout, positions, cos_sin, head_dim, 1.0f, stream_);
}

void CudaBackend::rope_backward(Context&, const Tensor& inout, const int32_t* positions, const float* cos_sin,
                                int32_t head_dim) {
  rotate(inout, positions, cos_sin, head_dim, -1.0f, stream_);
}

}  // namespace coppice
