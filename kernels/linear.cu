// The linear maps: in f32 by fma (matmul.cu), in bf16 on tensor cores (tensor_matmul.cu), the other operand
// rounded into scratch first.
#include "cuda_backend.cuh"
#include "matmul.cuh"
#include "narrow.cuh"
#include "tensor_matmul.cuh"

namespace coppice {
namespace {

constexpr size_t kScratchAlignment = 64;

// dbias[j] += sum of dout[t][j], t in order; a thread a column.
__global__ void bias_backward_kernel(float* dbias, const float* dout, int64_t stride, int64_t rows,
                                     int64_t cols) {
  const int64_t col = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (col >= cols) return;
  float sum = 0.0f;
  for (int64_t t = 0; t < rows; ++t) sum += dout[t * stride + col];
  dbias[col] += sum;
}

// Rows of a matrix in bf16, `behind` bytes of scratch.
Bf16Rows rounded_rows(const Context& context, const Tensor& inp, size_t behind, const Stream& stream) {
  const Bf16Rows rows = {reinterpret_cast<Bf16*>(static_cast<char*>(context.scratch.data) + behind),
                         bf16_stride(inp.cols)};
  narrow_rows(rows, inp, nullptr, inp.rows, nullptr, stream);
  return rows;
}

size_t aligned(size_t bytes) {
  return (bytes + kScratchAlignment - 1) / kScratchAlignment * kScratchAlignment;
}

}  // namespace

// Both operands of a weight's gradient; what a caller may rely on is that there is some.
size_t CudaBackend::linear_scratch_bytes(int64_t rows, int64_t out_cols, int64_t in_cols, DType dtype) const {
  if (dtype == DType::kF32) return kScratchAlignment;
  return aligned(bf16_bytes(rows, out_cols)) + aligned(bf16_bytes(rows, in_cols)) + kScratchAlignment;
}

void CudaBackend::linear_forward(Context& context, const Tensor& out, const Tensor& inp,
                                 const Parameter& weight, const Parameter* bias) {
  const float* bias_values = bias == nullptr ? nullptr : static_cast<const float*>(bias->storage);
  if (weight.dtype == DType::kBF16) {
    const Bf16Rows x = rounded_rows(context, inp, 0, stream_);
    TensorArgs args;
    args.out = out.f32();
    args.out_stride = out.stride;
    args.a = x.data;
    args.a_stride = x.stride;
    args.b = static_cast<const Bf16*>(weight.storage);  // B(k, j) = W[j][k]
    args.b_stride = matrix_stride(weight);
    args.rows = inp.rows;
    args.cols = weight.rows;
    args.depth = weight.cols;
    args.bias = bias_values;
    tensor_matmul(Along::kDepth, Along::kDepth, args, stream_);
    return;
  }
  MatmulArgs args;
  args.out = out.f32();
  args.out_stride = out.stride;
  args.a = inp.f32();
  args.a_row = inp.stride;
  args.b = static_cast<const float*>(weight.storage);  // B(k, j) = W[j][k]
  args.b_col = weight.cols;
  args.rows = inp.rows;
  args.cols = weight.rows;
  args.depth = weight.cols;
  args.bias = bias_values;
  matmul(args, stream_);
}

void CudaBackend::linear_backward_input(Context& context, const Tensor& dinp, const Tensor& dout,
                                        const Parameter& weight) {
  if (weight.dtype == DType::kBF16) {
    const Bf16Rows dy = rounded_rows(context, dout, 0, stream_);
    TensorArgs args;
    args.out = dinp.f32();
    args.out_stride = dinp.stride;
    args.a = dy.data;
    args.a_stride = dy.stride;
    args.b = static_cast<const Bf16*>(weight.storage);  // B(k, j) = W[k][j]
    args.b_stride = matrix_stride(weight);
    args.rows = dout.rows;
    args.cols = weight.cols;
    args.depth = weight.rows;
    tensor_matmul(Along::kDepth, Along::kOuter, args, stream_);
    return;
  }
  MatmulArgs args;
  args.out = dinp.f32();
  args.out_stride = dinp.stride;
  args.a = dout.f32();
  args.a_row = dout.stride;
  args.b = static_cast<const float*>(weight.storage);  // B(k, j) = W[k][j]
  args.b_depth = weight.cols;
  args.b_col = 1;
  args.rows = dout.rows;
  args.cols = weight.cols;
  args.depth = weight.rows;
  matmul(args, stream_);
}

void CudaBackend::linear_backward_weight(Context& context, float* dweight, float* dbias, const Tensor& dout,
                                         const Tensor& inp, DType dtype) {
  if (dtype == DType::kBF16) {
    const Bf16Rows dy = rounded_rows(context, dout, 0, stream_),
                   x = rounded_rows(context, inp, aligned(bf16_bytes(dout.rows, dout.cols)), stream_);
    TensorArgs args;
    args.out = dweight;
    args.out_stride = inp.cols;
    args.a = dy.data;  // A(i, k) = dout[k][i]
    args.a_stride = dy.stride;
    args.b = x.data;
    args.b_stride = x.stride;
    args.rows = dout.cols;
    args.cols = inp.cols;
    args.depth = dout.rows;
    args.accumulate = true;
    tensor_matmul(Along::kOuter, Along::kOuter, args, stream_);
  } else {
    MatmulArgs args;
    args.out = dweight;
    args.out_stride = inp.cols;
    args.a = dout.f32();  // A(i, k) = dout[k][i]
    args.a_row = 1;
    args.a_depth = dout.stride;
    args.b = inp.f32();
    args.b_depth = inp.stride;
    args.b_col = 1;
    args.rows = dout.cols;
    args.cols = inp.cols;
    args.depth = dout.rows;
    args.accumulate = true;
    matmul(args, stream_);
  }
  if (dbias == nullptr || dout.empty()) return;
  launch("bias_backward_kernel", bias_backward_kernel, blocks_for(dout.cols, 128), 128, stream_, dbias,
         dout.f32(), dout.stride, dout.rows, dout.cols);
}

}  // namespace coppice
