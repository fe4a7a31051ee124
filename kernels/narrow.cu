#include "narrow.cuh"

namespace coppice {
namespace {

constexpr int kPairThreads = 128;

// A thread two columns, rows in steps of gridDim.y.
__global__ void narrow_rows_kernel(const IndexFault* fault, Bf16* to, int64_t to_stride, const float* inp,
                                   int64_t inp_stride, const int32_t* row_index, int64_t rows, int64_t cols) {
  if (row_index != nullptr && found(fault)) return;
  const int64_t j = 2 * (static_cast<int64_t>(blockIdx.x) * kPairThreads + threadIdx.x);
  if (j >= to_stride) return;
  for (int64_t i = blockIdx.y; i < rows; i += gridDim.y) {
    const float* from = inp + (row_index == nullptr ? i : row_index[i]) * inp_stride;
    const Bf16 first = narrowed(j < cols ? from[j] : 0.0f),
               second = narrowed(j + 1 < cols ? from[j + 1] : 0.0f);
    *reinterpret_cast<uint32_t*>(to + i * to_stride + j) =
        static_cast<uint32_t>(first.bits) | static_cast<uint32_t>(second.bits) << 16;
  }
}

}  // namespace

void narrow_rows(const Bf16Rows& to, const Tensor& inp, const int32_t* row_index, int64_t rows,
                 const IndexFault* fault, const Stream& stream) {
  const dim3 grid(blocks_for(to.stride / 2, kPairThreads),
                  static_cast<unsigned>(rows < 65535 ? rows : 65535));
  launch("narrow_rows_kernel", narrow_rows_kernel, grid, kPairThreads, stream, fault, to.data, to.stride,
         inp.f32(), inp.stride, row_index, rows, inp.cols);
}

}  // namespace coppice
