#include "cuda_backend.cuh"

namespace coppice {
namespace {

constexpr int kElementThreads = 256;

__global__ void add_forward_kernel(float* out, int64_t out_stride, const float* a, int64_t a_stride,
                                   const float* b, int64_t b_stride, int64_t rows, int64_t cols) {
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kElementThreads + threadIdx.x;
  if (j >= cols) return;
  for (int64_t t = blockIdx.y; t < rows; t += gridDim.y)
    out[t * out_stride + j] = a[t * a_stride + j] + b[t * b_stride + j];
}

__global__ void gather_rows_kernel(const IndexFault* fault, float* out, int64_t out_stride, const float* inp,
                                   int64_t inp_stride, const int32_t* row_index, int64_t rows, int64_t cols) {
  if (found(fault)) return;
  const int64_t j = static_cast<int64_t>(blockIdx.x) * kElementThreads + threadIdx.x;
  if (j >= cols) return;
  for (int64_t t = blockIdx.y; t < rows; t += gridDim.y)
    out[t * out_stride + j] = inp[row_index[t] * inp_stride + j];
}

}  // namespace

void CudaBackend::add_forward(Context&, const Tensor& out, const Tensor& a, const Tensor& b) {
  launch("add_forward_kernel", add_forward_kernel, element_grid(out, kElementThreads), kElementThreads,
         stream_, out.f32(), out.stride, a.f32(), a.stride, b.f32(), b.stride, out.rows, out.cols);
}

void CudaBackend::gather_rows(Context&, const Tensor& out, const Tensor& inp, const int32_t* row_index) {
  check_indices(index_fault_, "gather_rows", IndexArray::kRowIndex, row_index, out.rows, inp.rows, stream_);
  gather_checked(out, inp, row_index);
}

void CudaBackend::gather_checked(const Tensor& out, const Tensor& inp, const int32_t* row_index) {
  launch("gather_rows_kernel", gather_rows_kernel, element_grid(out, kElementThreads), kElementThreads,
         stream_, index_fault_, out.f32(), out.stride, inp.f32(), inp.stride, row_index, out.rows, out.cols);
}

}  // namespace coppice
