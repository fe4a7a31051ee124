// The fused head: a tile of logits lives in registers only. Forward leaves (maximum, sum of exp, sum of exp *
// y) a tile; backward turns the tile into dz, kept for a chunk of items and a block of the vocabulary at a
// time, and multiplies it twice.
#include <algorithm>

#include "cuda_backend.cuh"
#include "matmul_tile.cuh"

namespace coppice {
namespace {

constexpr int64_t kChunk = 1024;       // items whose dz is held at a time
constexpr int64_t kVocabChunk = 8192;  // columns of it

// Of one row over one tile of the vocabulary.
struct Partial {
  float maximum, sum, weighted;  // sum of exp(y - maximum), of exp(y - maximum) * y
};

__device__ Partial merge(Partial a, Partial b) {
  const float maximum = fmaxf(a.maximum, b.maximum);
  if (maximum == -INFINITY) return {maximum, 0.0f, 0.0f};
  const float left = expf(a.maximum - maximum), right = expf(b.maximum - maximum);
  return {maximum, a.sum * left + b.sum * right, a.weighted * left + b.weighted * right};
}

__global__ void __launch_bounds__(kThreads)
    head_forward_kernel(Partial* partials, float* target_logit, MatmulArgs args, const int32_t* target,
                        const float* temperature) {
  __shared__ MatmulShared shared;
  float acc[kPerThread][kPerThread];
  const int64_t row_begin = static_cast<int64_t>(blockIdx.y) * kTile,
                col_begin = static_cast<int64_t>(blockIdx.x) * kTile;
  tile_product(acc, shared, args, row_begin, col_begin);
  const int tx = static_cast<int>(threadIdx.x) % 16, ty = static_cast<int>(threadIdx.x) / 16;
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    const int64_t row = row_begin + tile_offset(ty, i);
    Partial part = {-INFINITY, 0.0f, 0.0f};
    if (row < args.rows) {
      const float inverse = 1.0f / temperature[row];
      const int32_t wanted = target[row];
#pragma unroll
      for (int j = 0; j < kPerThread; ++j) {
        const int64_t col = col_begin + tile_offset(tx, j);
        const float y = acc[i][j] * inverse;
        acc[i][j] = y;
        if (col < args.cols) part.maximum = fmaxf(part.maximum, y);
        if (col == wanted) target_logit[row] = y;
      }
#pragma unroll
      for (int j = 0; j < kPerThread; ++j) {
        if (col_begin + tile_offset(tx, j) >= args.cols) continue;
        const float e = expf(acc[i][j] - part.maximum);
        part.sum += e;
        part.weighted = fmaf(e, acc[i][j], part.weighted);
      }
    }
    // The 16 threads of a row are half a warp; a butterfly gives all of them the same bits.
    for (int offset = 8; offset > 0; offset /= 2) {
      Partial other;
      other.maximum = __shfl_xor_sync(0xFFFFFFFFu, part.maximum, offset);
      other.sum = __shfl_xor_sync(0xFFFFFFFFu, part.sum, offset);
      other.weighted = __shfl_xor_sync(0xFFFFFFFFu, part.weighted, offset);
      // Lower lanes first on both sides, so that the two partners add in one order.
      part = (tx & offset) == 0 ? merge(part, other) : merge(other, part);
    }
    if (tx == 0 && row < args.rows) partials[row * gridDim.x + blockIdx.x] = part;
  }
}

// A warp an item would be idle for most of the few hundred tiles of a vocabulary; a thread an item walks them
// in order.
__global__ void head_merge_kernel(float* lp, float* entropy, float* lse, const Partial* partials,
                                  const float* target_logit, int64_t items, int64_t tiles) {
  const int64_t item = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (item >= items) return;
  Partial all = partials[item * tiles];
  for (int64_t tile = 1; tile < tiles; ++tile) all = merge(all, partials[item * tiles + tile]);
  const float log_sum = all.maximum + logf(all.sum);
  lse[item] = log_sum;
  lp[item] = target_logit[item] - log_sum;
  if (entropy != nullptr) entropy[item] = log_sum - all.weighted / all.sum;
}

struct HeadGradient {
  const int32_t* target;
  const float *temperature, *lse, *entropy, *g_lp, *g_entropy;
};

// dz of a chunk of items over vocabulary columns [vocab_begin, vocab_begin + args.cols).
__global__ void __launch_bounds__(kThreads)
    head_dlogits_kernel(float* dz, MatmulArgs args, HeadGradient gradient, int64_t vocab_begin) {
  __shared__ MatmulShared shared;
  float acc[kPerThread][kPerThread];
  const int64_t row_begin = static_cast<int64_t>(blockIdx.y) * kTile,
                col_begin = static_cast<int64_t>(blockIdx.x) * kTile;
  tile_product(acc, shared, args, row_begin, col_begin);
  const int tx = static_cast<int>(threadIdx.x) % 16, ty = static_cast<int>(threadIdx.x) / 16;
#pragma unroll
  for (int i = 0; i < kPerThread; ++i) {
    const int64_t row = row_begin + tile_offset(ty, i);
    if (row >= args.rows) continue;
    const float inverse = 1.0f / gradient.temperature[row], g_lp = gradient.g_lp[row],
                lse = gradient.lse[row];
    const float g_entropy = gradient.g_entropy == nullptr ? 0.0f : gradient.g_entropy[row];
    const float entropy = gradient.g_entropy == nullptr ? 0.0f : gradient.entropy[row];
#pragma unroll
    for (int j = 0; j < kPerThread; ++j) {
      const int64_t col = col_begin + tile_offset(tx, j);
      if (col >= args.cols) continue;
      const float log_p = acc[i][j] * inverse - lse, p = expf(log_p);
      const float hit = vocab_begin + col == gradient.target[row] ? 1.0f : 0.0f;
      float d = g_lp * (hit - p);
      if (g_entropy != 0.0f && p > 0.0f) d -= g_entropy * p * (log_p + entropy);
      dz[row * args.cols + col] = d * inverse;
    }
  }
}

// dhidden[row_index[i]] += ditems[i], i in order; a thread a column.
__global__ void head_scatter_kernel(float* dhidden, int64_t stride, const float* ditems,
                                    const int32_t* row_index, int64_t items, int64_t cols) {
  const int64_t col = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (col >= cols) return;
  for (int64_t i = 0; i < items; ++i) dhidden[row_index[i] * stride + col] += ditems[i * cols + col];
}

int64_t tiles_of(int64_t count) {
  return (count + kTile - 1) / kTile;
}

// Logits of a chunk of items: A gathers rows of hidden, B(k, j) = W[vocab_begin + j][k].
MatmulArgs logits_of(const Tensor& hidden, const Parameter& weight, const int32_t* row_index, int64_t items,
                     int64_t vocab_begin, int64_t vocab) {
  MatmulArgs args;
  args.a = hidden.f32();
  args.a_row = hidden.stride;
  args.a_rows = row_index;
  args.b = static_cast<const float*>(weight.storage) + vocab_begin * weight.cols;
  args.b_col = weight.cols;
  args.rows = items;
  args.cols = vocab;
  args.depth = weight.cols;
  return args;
}

size_t forward_bytes(int64_t items, int64_t vocab) {
  return static_cast<size_t>(items) *
         (static_cast<size_t>(tiles_of(vocab)) * sizeof(Partial) + sizeof(float));
}

}  // namespace

size_t CudaBackend::head_scratch_bytes(int64_t items, int64_t vocab, int64_t hidden, DType) const {
  const int64_t chunk = std::min(items, kChunk), block = std::min(vocab, kVocabChunk);
  return std::max(forward_bytes(chunk, vocab), static_cast<size_t>(chunk * (block + hidden)) * sizeof(float));
}

void CudaBackend::head_forward(Context& context, float* lp, float* entropy, float* lse, const Tensor& hidden,
                               const Parameter& weight, const HeadItems& items) {
  const int64_t vocab = weight.rows, tiles = tiles_of(vocab);
  for (int64_t begin = 0; begin < items.count; begin += kChunk) {
    const int64_t count = std::min(kChunk, items.count - begin);
    Partial* partials = static_cast<Partial*>(context.scratch.data);
    float* target_logit = reinterpret_cast<float*>(partials + count * tiles);
    const MatmulArgs args = logits_of(hidden, weight, items.row_index + begin, count, 0, vocab);
    const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(tiles_of(count)));
    head_forward_kernel<<<grid, kThreads, 0, stream_>>>(partials, target_logit, args, items.target + begin,
                                                        items.temperature + begin);
    check_launch("head_forward_kernel");
    head_merge_kernel<<<static_cast<unsigned>((count + 127) / 128), 128, 0, stream_>>>(
        lp + begin, entropy == nullptr ? nullptr : entropy + begin, lse + begin, partials, target_logit,
        count, tiles);
    check_launch("head_merge_kernel");
  }
}

void CudaBackend::head_backward(Context& context, const Tensor& dhidden, float* dweight, const Tensor& hidden,
                                const Parameter& weight, const HeadItems& items, const float* lse,
                                const float* entropy, const float* g_lp, const float* g_entropy) {
  const int64_t vocab = weight.rows, width = weight.cols;
  check_cuda(cudaMemset2DAsync(dhidden.data, static_cast<size_t>(dhidden.stride) * sizeof(float), 0,
                               static_cast<size_t>(width) * sizeof(float), static_cast<size_t>(dhidden.rows),
                               stream_),
             "head_backward");
  for (int64_t begin = 0; begin < items.count; begin += kChunk) {
    const int64_t count = std::min(kChunk, items.count - begin);
    float* dz = static_cast<float*>(context.scratch.data);
    float* ditems = dz + count * std::min(vocab, kVocabChunk);
    const HeadGradient gradient = {items.target + begin, items.temperature + begin,
                                   lse + begin,          g_entropy == nullptr ? nullptr : entropy + begin,
                                   g_lp + begin,         g_entropy == nullptr ? nullptr : g_entropy + begin};
    for (int64_t v = 0; v < vocab; v += kVocabChunk) {
      const int64_t block = std::min(kVocabChunk, vocab - v);
      const MatmulArgs logits = logits_of(hidden, weight, items.row_index + begin, count, v, block);
      const dim3 grid(static_cast<unsigned>(tiles_of(block)), static_cast<unsigned>(tiles_of(count)));
      head_dlogits_kernel<<<grid, kThreads, 0, stream_>>>(dz, logits, gradient, v);
      check_launch("head_dlogits_kernel");

      MatmulArgs to_hidden;  // ditems (+)= dz W
      to_hidden.out = ditems;
      to_hidden.out_stride = width;
      to_hidden.a = dz;
      to_hidden.a_row = block;
      to_hidden.b = static_cast<const float*>(weight.storage) + v * width;
      to_hidden.b_depth = width;
      to_hidden.b_col = 1;
      to_hidden.rows = count;
      to_hidden.cols = width;
      to_hidden.depth = block;
      to_hidden.accumulate = v > 0;
      matmul(to_hidden, stream_);

      MatmulArgs to_weight;  // dweight += dz^T hidden[row_index]
      to_weight.out = dweight + v * width;
      to_weight.out_stride = width;
      to_weight.a = dz;  // A(i, k) = dz[k][i]
      to_weight.a_row = 1;
      to_weight.a_depth = block;
      to_weight.b = hidden.f32();
      to_weight.b_depth = hidden.stride;
      to_weight.b_depth_index = items.row_index + begin;
      to_weight.b_col = 1;
      to_weight.rows = block;
      to_weight.cols = width;
      to_weight.depth = count;
      to_weight.accumulate = true;
      matmul(to_weight, stream_);
    }
    head_scatter_kernel<<<static_cast<unsigned>((width + 127) / 128), 128, 0, stream_>>>(
        dhidden.f32(), dhidden.stride, ditems, items.row_index + begin, count, width);
    check_launch("head_scatter_kernel");
  }
}

}  // namespace coppice
