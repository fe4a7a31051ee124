// The fused head. Items go by in chunks, whose rows are gathered. Forward leaves a partial for each tile of
// the vocabulary; backward turns a block of the vocabulary at a time into dz, and multiplies it twice.
#include <algorithm>

#include "cuda_backend.cuh"
#include "head_partials.cuh"
#include "head_tile.cuh"

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

__device__ inline void put(float* to, float value) {
  *to = value;
}
__device__ inline void put(Bf16* to, float value) {
  *to = narrowed(value);
}

// dz of a chunk of items over vocabulary columns [vocab_begin, vocab_begin + args.cols), as the products that
// follow take it.
template <typename Tile, typename Number>
__global__ void __launch_bounds__(Tile::kThreads)
    head_dlogits_kernel(Number* dz, int64_t stride, typename Tile::Args args, HeadGradient gradient,
                        int64_t vocab_begin) {
  auto& shared = shared_memory<typename Tile::Shared>();
  Tile tile;
  const int64_t row_begin = static_cast<int64_t>(blockIdx.y) * Tile::kTileRows,
                col_begin = static_cast<int64_t>(blockIdx.x) * Tile::kTileCols;
  tile.compute(shared, args, row_begin, col_begin);
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
      put(&dz[row * stride + col], d * inverse);
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

// Scratch of a chunk of items.
struct HeadScratch {
  HeadScratch(void* data, int64_t items, int64_t vocab, int64_t hidden, DType dtype)
      : x(HeadRows::at(data, items, hidden, dtype)) {
    const int64_t block = std::min(vocab, kVocabChunk);
    char* next = static_cast<char*>(data) + HeadRows::bytes(items, hidden, dtype);
    const int64_t partial_count = items * head_partials(vocab, dtype);
    partials = reinterpret_cast<Partial*>(next);
    target_logit = reinterpret_cast<float*>(partials + partial_count);
    dz = next;
    ditems = reinterpret_cast<float*>(next + HeadRows::bytes(items, block, dtype));
    bytes =
        HeadRows::bytes(items, hidden, dtype) +
        std::max(
            static_cast<size_t>(partial_count) * sizeof(Partial) + static_cast<size_t>(items) * sizeof(float),
            HeadRows::bytes(items, block, dtype) + static_cast<size_t>(items * hidden) * sizeof(float));
  }

  HeadRows x;
  // Of the forward,
  Partial* partials;
  float* target_logit;
  // and, in the same place, of the backward: a block of the vocabulary's gradients, and the items' own.
  void* dz;
  float* ditems;
  size_t bytes;
};

// ditems (+)= dz W and dweight += dz^T x, for rows [vocab_begin, vocab_begin + block) of the weight.
struct HeadProducts {
  const HeadScratch& scratch;
  const Parameter& weight;
  float* dweight;
  const HeadRows& dz;
  int64_t vocab_begin, block;

  void run_f32(const Stream& stream) const {
    MatmulArgs to_hidden;
    to_hidden.out = scratch.ditems;
    to_hidden.out_stride = weight.cols;
    to_hidden.a = dz.floats();
    to_hidden.a_row = block;
    to_hidden.b = static_cast<const float*>(weight.storage) + vocab_begin * weight.cols;
    to_hidden.b_depth = weight.cols;
    to_hidden.b_col = 1;
    to_hidden.rows = scratch.x.rows;
    to_hidden.cols = weight.cols;
    to_hidden.depth = block;
    to_hidden.accumulate = vocab_begin > 0;
    matmul(to_hidden, stream);

    MatmulArgs to_weight;
    to_weight.out = dweight + vocab_begin * weight.cols;
    to_weight.out_stride = weight.cols;
    to_weight.a = dz.floats();  // A(i, k) = dz[k][i]
    to_weight.a_row = 1;
    to_weight.a_depth = block;
    to_weight.b = scratch.x.floats();
    to_weight.b_depth = weight.cols;
    to_weight.b_col = 1;
    to_weight.rows = block;
    to_weight.cols = weight.cols;
    to_weight.depth = scratch.x.rows;
    to_weight.accumulate = true;
    matmul(to_weight, stream);
  }

  void run_bf16(const Stream& stream) const {
    TensorArgs to_hidden;
    to_hidden.out = scratch.ditems;
    to_hidden.out_stride = weight.cols;
    to_hidden.a = dz.narrow();
    to_hidden.a_stride = dz.stride;
    to_hidden.b = static_cast<const Bf16*>(weight.storage) + vocab_begin * matrix_stride(weight);
    to_hidden.b_stride = matrix_stride(weight);
    to_hidden.rows = scratch.x.rows;
    to_hidden.cols = weight.cols;
    to_hidden.depth = block;
    to_hidden.accumulate = vocab_begin > 0;
    tensor_matmul(Along::kDepth, Along::kOuter, to_hidden, stream);

    TensorArgs to_weight;
    to_weight.out = dweight + vocab_begin * weight.cols;
    to_weight.out_stride = weight.cols;
    to_weight.a = dz.narrow();  // A(i, k) = dz[k][i]
    to_weight.a_stride = dz.stride;
    to_weight.b = scratch.x.narrow();
    to_weight.b_stride = scratch.x.stride;
    to_weight.rows = block;
    to_weight.cols = weight.cols;
    to_weight.depth = scratch.x.rows;
    to_weight.accumulate = true;
    tensor_matmul(Along::kOuter, Along::kOuter, to_weight, stream);
  }
};

}  // namespace

size_t CudaBackend::head_scratch_bytes(int64_t items, int64_t vocab, int64_t hidden, DType dtype) const {
  return HeadScratch(nullptr, std::min(items, kChunk), vocab, hidden, dtype).bytes;
}

void CudaBackend::check_items(const char* op, const HeadItems& items, int64_t rows, int64_t vocab) {
  check_indices(index_fault_, op, IndexArray::kRowIndex, items.row_index, items.count, rows, stream_);
  check_indices(index_fault_, op, IndexArray::kTarget, items.target, items.count, vocab, stream_);
}

void CudaBackend::gather_head_rows(void* to, const Tensor& hidden, const int32_t* row_index, int64_t count,
                                   DType dtype) {
  if (dtype == DType::kBF16) {
    narrow_rows({static_cast<Bf16*>(to), bf16_stride(hidden.cols)}, hidden, row_index, count, index_fault_,
                stream_);
  } else {
    gather_checked({to, count, hidden.cols}, hidden, row_index);
  }
}

void CudaBackend::head_forward(Context& context, float* lp, float* entropy, float* lse, const Tensor& hidden,
                               const Parameter& weight, const HeadItems& items) {
  check_items("head_forward", items, hidden.rows, weight.rows);
  const int64_t vocab = weight.rows;
  for (int64_t begin = 0; begin < items.count; begin += kChunk) {
    const int64_t count = std::min(kChunk, items.count - begin);
    const HeadScratch scratch(context.scratch.data, count, vocab, weight.cols, weight.dtype);
    gather_head_rows(scratch.x.data, hidden, items.row_index + begin, count, weight.dtype);
    head_logits(
        {scratch.partials, nullptr, scratch.target_logit, items.target + begin, items.temperature + begin},
        scratch.x, weight, stream_);
    launch("head_merge_kernel", head_merge_kernel, blocks_for(count, kWarps), kWarps * kWarp, stream_,
           lp + begin, entropy == nullptr ? nullptr : entropy + begin, lse + begin, scratch.partials,
           scratch.target_logit, count, head_partials(vocab, weight.dtype));
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
    const HeadScratch scratch(context.scratch.data, count, vocab, width, weight.dtype);
    gather_head_rows(scratch.x.data, hidden, items.row_index + begin, count, weight.dtype);
    const HeadGradient gradient = {items.target + begin, items.temperature + begin,
                                   lse + begin,          g_entropy == nullptr ? nullptr : entropy + begin,
                                   g_lp + begin,         g_entropy == nullptr ? nullptr : g_entropy + begin};
    for (int64_t v = 0; v < vocab; v += kVocabChunk) {
      const int64_t block = std::min(kVocabChunk, vocab - v);
      const HeadRows dz = HeadRows::at(scratch.dz, count, block, weight.dtype);
      with_logits_tile(scratch.x, weight, v, block, [&](auto tile, dim3 grid, const auto& args) {
        using Tile = decltype(tile);
        using Number = std::conditional_t<std::is_same_v<typename Tile::Args, TensorArgs>, Bf16, float>;
        launch_sharing(sizeof(typename Tile::Shared), "head_dlogits_kernel",
                       head_dlogits_kernel<Tile, Number>, grid, Tile::kThreads, stream_,
                       static_cast<Number*>(dz.data), dz.stride, args, gradient, v);
      });
      const HeadProducts products = {scratch, weight, dweight, dz, v, block};
      if (weight.dtype == DType::kBF16) {
        products.run_bf16(stream_);
      } else {
        products.run_f32(stream_);
      }
    }
    launch("head_scatter_kernel", head_scatter_kernel, blocks_for(width, 128), 128, stream_, index_fault_,
           dhidden.f32(), dhidden.stride, scratch.ditems, items.row_index + begin, count, width);
  }
}

}  // namespace coppice
