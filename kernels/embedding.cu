#include "bf16.cuh"
#include "cuda_backend.cuh"

namespace coppice {
namespace {

constexpr int kRowThreads = 128;

template <typename T>
__global__ void embedding_forward_kernel(const IndexFault* fault, float* out, int64_t stride, const T* table,
                                         int64_t table_stride, const int32_t* tokens, int64_t cols) {
  if (found(fault)) return;
  const int64_t t = blockIdx.x;
  const T* from = table + tokens[t] * table_stride;
  for (int64_t j = threadIdx.x; j < cols; j += kRowThreads) out[t * stride + j] = widened(from[j]);
}

// A block a row: the first row of a token adds up all rows of that token, in order, and the others are done.
// Each looks for its like among all rows, which costs less than the additions as long as rows are fewer than
// some tens of thousands.
__global__ void embedding_backward_kernel(const IndexFault* fault, float* dweight, const float* dout,
                                          int64_t stride, const int32_t* tokens, int64_t rows, int64_t cols) {
  __shared__ unsigned matches[kRowThreads / 32];
  if (found(fault)) return;
  const int64_t t = blockIdx.x;
  const int32_t token = tokens[t];
  int earlier = 0;
  for (int64_t i = threadIdx.x; i < t && earlier == 0; i += kRowThreads) earlier = tokens[i] == token;
  if (__syncthreads_or(earlier)) return;
  float* to = dweight + token * cols;
  for (int64_t begin = t; begin < rows; begin += kRowThreads) {
    const int64_t i = begin + threadIdx.x;
    const unsigned votes = __ballot_sync(0xFFFFFFFFu, i < rows && tokens[i] == token);
    if (threadIdx.x % 32 == 0) matches[threadIdx.x / 32] = votes;
    __syncthreads();
    for (int warp = 0; warp < kRowThreads / 32; ++warp) {
      for (unsigned left = matches[warp]; left != 0; left &= left - 1) {
        const float* from = dout + (begin + warp * 32 + __ffs(static_cast<int>(left)) - 1) * stride;
        for (int64_t j = threadIdx.x; j < cols; j += kRowThreads) to[j] += from[j];
      }
    }
    __syncthreads();
  }
}

}  // namespace

void CudaBackend::embedding_forward(Context&, const Tensor& out, const Parameter& weight,
                                    const int32_t* tokens) {
  check_indices(index_fault_, "embedding_forward", IndexArray::kTokens, tokens, out.rows, weight.rows,
                stream_);
  const unsigned rows = static_cast<unsigned>(out.rows);
  if (weight.dtype == DType::kF32) {
    launch("embedding_forward_kernel", embedding_forward_kernel<float>, rows, kRowThreads, stream_,
           index_fault_, out.f32(), out.stride, static_cast<const float*>(weight.storage),
           matrix_stride(weight), tokens, out.cols);
  } else {
    launch("embedding_forward_kernel", embedding_forward_kernel<Bf16>, rows, kRowThreads, stream_,
           index_fault_, out.f32(), out.stride, static_cast<const Bf16*>(weight.storage),
           matrix_stride(weight), tokens, out.cols);
  }
}

void CudaBackend::embedding_backward(Context&, float* dweight, int64_t vocab, const Tensor& dout,
                                     const int32_t* tokens) {
  check_indices(index_fault_, "embedding_backward", IndexArray::kTokens, tokens, dout.rows, vocab, stream_);
  launch("embedding_backward_kernel", embedding_backward_kernel, static_cast<unsigned>(dout.rows),
         kRowThreads, stream_, index_fault_, dweight, dout.f32(), dout.stride, tokens, dout.rows, dout.cols);
}

}  // namespace coppice
