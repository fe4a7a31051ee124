// The fused head. Items go by in chunks, whose rows are gathered. Forward leaves a partial for each tile of
// the vocabulary; backward turns a block of the vocabulary at a time into dz, and multiplies it twice.
#include <algorithm>

#include "cuda_backend.cuh"
#include "head_partials.cuh"
#include "matmul_tile.cuh"

namespace coppice {
namespace {

constexpr int64_t kChunk = 1024;       // items whose dz is held at a time
constexpr int64_t kVocabChunk = 8192;  // columns of it
constexpr int kWarps = 4;

// A warp an item.
__global__ void head_merge_kernel(float* lp, float* entropy, float* lse, const Partial* partials,
                                  const float* target_logit, int64_t items, int64_t count) {
  const int64_t item = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (item >= items) return;
  const Partial row = merge_row(partials + item * count, count);
  if (threadIdx.x % kWarp != 0) return;
  const float log_sum = log_sum_exp(row);
  lse[item] = log_sum;
  lp[item] = target_logit[item] - log_sum;
  if (entropy != nullptr) entropy[item] = entropy_of(row);
}

struct HeadGradient {
  const int32_t* target;
  const float *temperature, *lse, *entropy, *g_lp, *g_entropy;
};

// dz of a chunk of items over vocabulary columns [vocab_begin, vocab_begin + args.cols).
template <typename Tile>
__global__ void __launch_bounds__(kThreads)
    head_dlogits_kernel(float* dz, MatmulArgs args, HeadGradient gradient, int64_t vocab_begin) {
  __shared__ typename Tile::Shared shared;
  Tile tile;
  const int64_t row_begin = static_cast<int64_t>(blockIdx.y) * Tile::kTileRows,
                col_begin = static_cast<int64_t>(blockIdx.x) * kTile;
  tile.product(shared, args, row_begin, col_begin, 0, args.depth);
#pragma unroll
  for (int i = 0; i < Tile::kRows; ++i) {
    const int64_t row = row_begin + Tile::row(i);
    if (row >= args.rows) continue;
    const float inverse = 1.0f / gradient.temperature[row], g_lp = gradient.g_lp[row],
                lse = gradient.lse[row];
    const float g_entropy = gradient.g_entropy == nullptr ? 0.0f : gradient.g_entropy[row];
    const float entropy = gradient.g_entropy == nullptr ? 0.0f : gradient.entropy[row];
#pragma unroll
    for (int j = 0; j < Tile::kCols; ++j) {
      const int64_t col = col_begin + Tile::col(j);
      if (col >= args.cols) continue;
      const float log_p = tile.acc[i][j] * inverse - lse, p = expf(log_p);
      const float hit = vocab_begin + col == gradient.target[row] ? 1.0f : 0.0f;
      float d = g_lp * (hit - p);
      if (g_entropy != 0.0f && p != 0.0f) d -= g_entropy * p * (log_p + entropy);
      dz[row * args.cols + col] = d * inverse;
    }
  }
}

// dhidden[row_index[i]] += ditems[i], i in order; a thread a column.
__global__ void head_scatter_kernel(const IndexFault* fault, float* dhidden, int64_t stride,
                                    const float* ditems, const int32_t* row_index, int64_t items,
                                    int64_t cols) {
  const int64_t col = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (found(fault) || col >= cols) return;
  for (int64_t i = 0; i < items; ++i) dhidden[row_index[i] * stride + col] += ditems[i * cols + col];
}

// Logits of gathered rows x: B(k, j) = W[vocab_begin + j][k].
MatmulArgs logits_of(const Tensor& x, const Parameter& weight, int64_t vocab_begin, int64_t vocab) {
  MatmulArgs args;
  args.a = x.f32();
  args.a_row = x.stride;
  args.b = static_cast<const char*>(weight.storage) +
           static_cast<size_t>(vocab_begin * weight.cols) * dtype_bytes(weight.dtype);
  args.b_dtype = weight.dtype;
  args.rounds = weight.dtype == DType::kBF16;
  args.b_col = weight.cols;
  args.rows = x.rows;
  args.cols = vocab;
  args.depth = weight.cols;
  return args;
}

}  // namespace

size_t CudaBackend::head_scratch_bytes(int64_t items, int64_t vocab, int64_t hidden, DType) const {
  const int64_t chunk = std::min(items, kChunk), block = std::min(vocab, kVocabChunk);
  const size_t forward = static_cast<size_t>(chunk) *
                         (static_cast<size_t>(head_partials(vocab)) * sizeof(Partial) + sizeof(float));
  const size_t backward = static_cast<size_t>(chunk * (block + hidden)) * sizeof(float);
  return static_cast<size_t>(chunk * hidden) * sizeof(float) + std::max(forward, backward);
}

void CudaBackend::check_items(const char* op, const HeadItems& items, int64_t rows, int64_t vocab) {
  check_indices(index_fault_, op, IndexArray::kRowIndex, items.row_index, items.count, rows, stream_);
  check_indices(index_fault_, op, IndexArray::kTarget, items.target, items.count, vocab, stream_);
}

void CudaBackend::head_forward(Context& context, float* lp, float* entropy, float* lse, const Tensor& hidden,
                               const Parameter& weight, const HeadItems& items) {
  check_items("head_forward", items, hidden.rows, weight.rows);
  const int64_t vocab = weight.rows, partials_of_row = head_partials(vocab);
  for (int64_t begin = 0; begin < items.count; begin += kChunk) {
    const int64_t count = std::min(kChunk, items.count - begin);
    const Tensor x(context.scratch.data, count, weight.cols);
    gather_checked(x, hidden, items.row_index + begin);
    Partial* partials = reinterpret_cast<Partial*>(x.f32() + count * weight.cols);
    float* target_logit = reinterpret_cast<float*>(partials + count * partials_of_row);
    head_logits({partials, nullptr, target_logit, items.target + begin, items.temperature + begin},
                logits_of(x, weight, 0, vocab), stream_);
    launch("head_merge_kernel", head_merge_kernel, blocks_for(count, kWarps), kWarps * kWarp, stream_,
           lp + begin, entropy == nullptr ? nullptr : entropy + begin, lse + begin, partials, target_logit,
           count, partials_of_row);
  }
}

void CudaBackend::head_backward(Context& context, const Tensor& dhidden, float* dweight, const Tensor& hidden,
                                const Parameter& weight, const HeadItems& items, const float* lse,
                                const float* entropy, const float* g_lp, const float* g_entropy) {
  check_items("head_backward", items, hidden.rows, weight.rows);
  const int64_t vocab = weight.rows, width = weight.cols;
  check_cuda(cudaMemset2DAsync(dhidden.data, static_cast<size_t>(dhidden.stride) * sizeof(float), 0,
                               static_cast<size_t>(width) * sizeof(float), static_cast<size_t>(dhidden.rows),
                               stream_.handle),
             "head_backward");
  for (int64_t begin = 0; begin < items.count; begin += kChunk) {
    const int64_t count = std::min(kChunk, items.count - begin);
    const Tensor x(context.scratch.data, count, width);
    gather_checked(x, hidden, items.row_index + begin);
    float* dz = x.f32() + count * width;
    float* ditems = dz + count * std::min(vocab, kVocabChunk);
    const HeadGradient gradient = {items.target + begin, items.temperature + begin,
                                   lse + begin,          g_entropy == nullptr ? nullptr : entropy + begin,
                                   g_lp + begin,         g_entropy == nullptr ? nullptr : g_entropy + begin};
    for (int64_t v = 0; v < vocab; v += kVocabChunk) {
      const int64_t block = std::min(kVocabChunk, vocab - v);
      const MatmulArgs logits = logits_of(x, weight, v, block);
      with_tile(logits, [&](auto tile, dim3 grid) {
        launch("head_dlogits_kernel", head_dlogits_kernel<decltype(tile)>, grid, kThreads, stream_, dz,
               logits, gradient, v);
      });

      MatmulArgs to_hidden;  // ditems (+)= dz W
      to_hidden.out = ditems;
      to_hidden.out_stride = width;
      to_hidden.a = dz;
      to_hidden.a_row = block;
      to_hidden.b = logits.b;
      to_hidden.b_dtype = weight.dtype;
      to_hidden.rounds = logits.rounds;
      to_hidden.b_depth = width;
      to_hidden.b_col = 1;
      to_hidden.rows = count;
      to_hidden.cols = width;
      to_hidden.depth = block;
      to_hidden.accumulate = v > 0;
      matmul(to_hidden, stream_);

      MatmulArgs to_weight;  // dweight += dz^T x
      to_weight.out = dweight + v * width;
      to_weight.out_stride = width;
      to_weight.a = dz;  // A(i, k) = dz[k][i]
      to_weight.a_row = 1;
      to_weight.a_depth = block;
      to_weight.b = x.f32();
      to_weight.b_depth = width;
      to_weight.b_col = 1;
      to_weight.rows = block;
      to_weight.cols = width;
      to_weight.depth = count;
      to_weight.accumulate = true;
      to_weight.rounds = logits.rounds;
      matmul(to_weight, stream_);
    }
    launch("head_scatter_kernel", head_scatter_kernel, blocks_for(width, 128), 128, stream_, index_fault_,
           dhidden.f32(), dhidden.stride, ditems, items.row_index + begin, count, width);
  }
}

}  // namespace coppice
