#include "cuda_backend.cuh"
#include "matmul_tile.cuh"

namespace coppice {
namespace {

template <typename Tile>
__global__ void __launch_bounds__(kThreads) matmul_kernel(MatmulArgs args) {
  __shared__ typename Tile::Shared shared;
  Tile tile;
  const int64_t row_begin = static_cast<int64_t>(blockIdx.y) * Tile::kTileRows,
                col_begin = static_cast<int64_t>(blockIdx.x) * kTile;
  const int64_t step = args.accumulate ? kProductDepth : args.depth;
  int64_t depth = 0;
  do {
    const int64_t end = depth + step < args.depth ? depth + step : args.depth;
    tile.product(shared, args, row_begin, col_begin, depth, end);
    depth = end;
#pragma unroll
    for (int i = 0; i < Tile::kRows; ++i) {
      const int64_t row = row_begin + Tile::row(i);
#pragma unroll
      for (int j = 0; j < Tile::kCols; ++j) {
        const int64_t col = col_begin + Tile::col(j);
        if (row >= args.rows || col >= args.cols) continue;
        float* out = args.out + row * args.out_stride + col;
        float value = tile.acc[i][j];
        if (args.bias != nullptr) value += args.bias[col];
        *out = args.accumulate ? *out + value : value;
      }
    }
  } while (depth < args.depth);
}

// dbias[j] += sum of dout[t][j], t in order; a thread a column.
__global__ void bias_backward_kernel(float* dbias, const float* dout, int64_t stride, int64_t rows,
                                     int64_t cols) {
  const int64_t col = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (col >= cols) return;
  float sum = 0.0f;
  for (int64_t t = 0; t < rows; ++t) sum += dout[t * stride + col];
  dbias[col] += sum;
}

}  // namespace

void matmul(const MatmulArgs& args, const Stream& stream) {
  with_tile(args, [&](auto tile, dim3 grid) {
    launch("matmul_kernel", matmul_kernel<decltype(tile)>, grid, kThreads, stream, args);
  });
}

// None, but what a caller may rely on is that there is some.
size_t CudaBackend::linear_scratch_bytes(int64_t, int64_t, int64_t, DType) const {
  return 64;
}

void CudaBackend::linear_forward(Context&, const Tensor& out, const Tensor& inp, const Parameter& weight,
                                 const Parameter* bias) {
  MatmulArgs args;
  args.out = out.f32();
  args.out_stride = out.stride;
  args.a = inp.f32();
  args.a_row = inp.stride;
  args.b = weight.storage;  // B(k, j) = W[j][k]
  args.b_dtype = weight.dtype;
  args.rounds = weight.dtype == DType::kBF16;
  args.b_col = weight.cols;
  args.rows = inp.rows;
  args.cols = weight.rows;
  args.depth = weight.cols;
  args.bias = bias == nullptr ? nullptr : static_cast<const float*>(bias->storage);
  matmul(args, stream_);
}

void CudaBackend::linear_backward_input(Context&, const Tensor& dinp, const Tensor& dout,
                                        const Parameter& weight) {
  MatmulArgs args;
  args.out = dinp.f32();
  args.out_stride = dinp.stride;
  args.a = dout.f32();
  args.a_row = dout.stride;
  args.b = weight.storage;  // B(k, j) = W[k][j]
  args.b_dtype = weight.dtype;
  args.rounds = weight.dtype == DType::kBF16;
  args.b_depth = weight.cols;
  args.b_col = 1;
  args.rows = dout.rows;
  args.cols = weight.cols;
  args.depth = weight.rows;
  matmul(args, stream_);
}

void CudaBackend::linear_backward_weight(Context&, float* dweight, float* dbias, const Tensor& dout,
                                         const Tensor& inp, DType dtype) {
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
  args.rounds = dtype == DType::kBF16;
  matmul(args, stream_);
  if (dbias == nullptr || dout.empty()) return;
  launch("bias_backward_kernel", bias_backward_kernel, blocks_for(dout.cols, 128), 128, stream_, dbias,
         dout.f32(), dout.stride, dout.rows, dout.cols);
}

}  // namespace coppice
