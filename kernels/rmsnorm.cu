#include "cuda_backend.cuh"
#include "reduce.cuh"

namespace coppice {
namespace {

constexpr int kRowThreads = 256;
constexpr int kColumnLanes = 8;

// Row t, group g of a [T, groups * n] matrix.
__device__ const float* group_row(const float* data, int64_t stride, int64_t index, int64_t groups,
                                  int64_t n) {
  return data + index / groups * stride + index % groups * n;
}

// A block a row and group.
__global__ void rmsnorm_forward_kernel(float* out, int64_t out_stride, float* rstd, const float* inp,
                                       int64_t inp_stride, const float* weight, int64_t groups, int64_t n,
                                       float eps) {
  __shared__ float shared[kRowThreads / kWarp];
  const int64_t index = blockIdx.x;
  const float* x = group_row(inp, inp_stride, index, groups, n);
  float* y = const_cast<float*>(group_row(out, out_stride, index, groups, n));
  float squares = 0.0f;
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) squares = fmaf(x[j], x[j], squares);
  const float scale = 1.0f / sqrtf(block_reduce<Sum>(squares, shared) / static_cast<float>(n) + eps);
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) y[j] = x[j] * scale * weight[j];
  if (threadIdx.x == 0) rstd[index] = scale;
}

__global__ void rmsnorm_backward_kernel(float* dinp, int64_t dinp_stride, const float* dout,
                                        int64_t dout_stride, const float* inp, int64_t inp_stride,
                                        const float* weight, const float* rstd, int64_t groups, int64_t n,
                                        bool accumulate) {
  __shared__ float shared[kRowThreads / kWarp];
  const int64_t index = blockIdx.x;
  const float* x = group_row(inp, inp_stride, index, groups, n);
  const float* dy = group_row(dout, dout_stride, index, groups, n);
  float* dx = const_cast<float*>(group_row(dinp, dinp_stride, index, groups, n));
  const float scale = rstd[index];
  float dot = 0.0f;
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) dot = fmaf(dy[j] * weight[j], x[j] * scale, dot);
  const float mean = block_reduce<Sum>(dot, shared) / static_cast<float>(n);
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x) {
    const float value = scale * (dy[j] * weight[j] - x[j] * scale * mean);
    dx[j] = accumulate ? dx[j] + value : value;
  }
}

// dweight[j] += sum over rows and groups: 32 columns by kColumnLanes lanes of rows a block, lanes added in
// order.
__global__ void rmsnorm_weight_kernel(float* dweight, const float* dout, int64_t dout_stride,
                                      const float* inp, int64_t inp_stride, const float* rstd, int64_t count,
                                      int64_t groups, int64_t n) {
  __shared__ float partial[kColumnLanes][kWarp];
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kWarp + threadIdx.x;
  float sum = 0.0f;
  if (j < n) {
    for (int64_t index = threadIdx.y; index < count; index += kColumnLanes) {
      const float xhat = group_row(inp, inp_stride, index, groups, n)[j] * rstd[index];
      sum = fmaf(group_row(dout, dout_stride, index, groups, n)[j], xhat, sum);
    }
  }
  partial[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || j >= n) return;
  for (int lane = 1; lane < kColumnLanes; ++lane) sum += partial[lane][threadIdx.x];
  dweight[j] += sum;
}

}  // namespace

void CudaBackend::rmsnorm_forward(Context&, const Tensor& out, float* rstd, const Tensor& inp,
                                  const Parameter& weight, float eps) {
  const int64_t n = weight.cols, groups = inp.cols / n, count = inp.rows * groups;
  launch("rmsnorm_forward_kernel", rmsnorm_forward_kernel, static_cast<unsigned>(count), kRowThreads, stream_,
         out.f32(), out.stride, rstd, inp.f32(), inp.stride, static_cast<const float*>(weight.storage),
         groups, n, eps);
}

void CudaBackend::rmsnorm_backward(Context&, const Tensor& dinp, float* dweight, const Tensor& dout,
                                   const Tensor& inp, const Parameter& weight, const float* rstd,
                                   bool accumulate) {
  const int64_t n = weight.cols, groups = inp.cols / n, count = inp.rows * groups;
  // First, because dinp may be dout.
  launch("rmsnorm_weight_kernel", rmsnorm_weight_kernel, blocks_for(n, kWarp), dim3(kWarp, kColumnLanes),
         stream_, dweight, dout.f32(), dout.stride, inp.f32(), inp.stride, rstd, count, groups, n);
  launch("rmsnorm_backward_kernel", rmsnorm_backward_kernel, static_cast<unsigned>(count), kRowThreads,
         stream_, dinp.f32(), dinp.stride, dout.f32(), dout.stride, inp.f32(), inp.stride,
         static_cast<const float*>(weight.storage), rstd, groups, n, accumulate);
}

}  // namespace coppice
