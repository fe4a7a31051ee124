// Attention over pages of keys and values. The backward pass is attention_backward.cu.
//
// A block takes a tile of query rows of one segment: tokens times the query heads that read one kv head. It
// goes through the blocks of keys at their absolute positions, and every row takes in it the steps that it
// would take alone: scores by fma over d in order, the block's maximum and sum over lanes in one order, one
// rescaling, then out += p_j v_j by fma over j in order. A key that a row does not see has p = 0, which adds
// nothing; a block of which it sees nothing is passed over.
#include "attention_rows.cuh"
#include "base/error.h"
#include "cuda_backend.cuh"
#include "reduce.cuh"

namespace coppice {
namespace {

constexpr int kThreads = 128;
constexpr int kScoreRows = kTileRows * kKeys / kThreads;  // of a thread, which has one key

struct ForwardArgs {
  float* out;
  int64_t out_stride;
  float* lse;
  const float* q;
  int64_t q_stride;
  int64_t rows;
  const float *k, *v;  // pages
  AttentionBatch batch;
  AttentionShape shape;
  TileShape tile;
};

template <int kHeadDim>
struct ForwardShared {
  float q[kTileRows][kHeadDim];
  float out[kTileRows][kHeadDim];  // not yet divided by the sum
  float p[kTileRows][kKeys];       // scores, then probabilities
  float maximum[kTileRows], sum[kTileRows], alpha[kTileRows];
};

template <int kHeadDim>
class ForwardTile {
 public:
  __device__ ForwardTile(const ForwardArgs& args, ForwardShared<kHeadDim>& shared) : a_(args), s_(shared) {
    const int group = a_.shape.num_heads / a_.shape.num_kv_heads,
              parts = (group + a_.tile.heads - 1) / a_.tile.heads;
    kv_head_ = static_cast<int>(blockIdx.y) / parts;
    const int first = static_cast<int>(blockIdx.y) % parts * a_.tile.heads;
    first_head_ = kv_head_ * group + first;
    heads_ = group - first < a_.tile.heads ? group - first : a_.tile.heads;
  }

  __device__ void run(const RowRun& run) {
    run_ = run;
    rows_ = run.tokens * heads_;
    begin();
    const int64_t behind = a_.shape.window == 0 ? 0 : run.position - a_.shape.window + 1;
    const int64_t last = (run.position + run.tokens - 1) / kKeyBlock;
    const Segment& segment = a_.batch.segments[run.segment];
    for (int64_t block = behind > 0 ? behind / kKeyBlock : 0; block <= last; ++block) {
      const int64_t offset = page_offset(a_.batch.page_table[segment.page_begin + block], kv_head_, a_.shape);
      score(a_.k + offset, block * kKeyBlock);
      __syncthreads();
      soften();
      __syncthreads();
      accumulate(a_.v + offset);
      __syncthreads();
    }
    finish();
    __syncthreads();
  }

 private:
  // Row r of the tile is head r % heads of token r / heads.
  __device__ int64_t position(int r) const { return run_.position + r / heads_; }
  __device__ int64_t token(int r) const { return run_.row + r / heads_; }
  __device__ int head(int r) const { return first_head_ + r % heads_; }

  __device__ void begin() {
    const int head_dim = a_.shape.head_dim;
    for (int i = static_cast<int>(threadIdx.x); i < kTileRows * head_dim; i += kThreads) {
      const int r = i / head_dim, d = i % head_dim;
      s_.q[r][d] = r < rows_ ? a_.q[token(r) * a_.q_stride + head(r) * head_dim + d] : 0.0f;
      s_.out[r][d] = 0.0f;
    }
    if (threadIdx.x < kTileRows) {
      s_.maximum[threadIdx.x] = -INFINITY;
      s_.sum[threadIdx.x] = 0.0f;
    }
    __syncthreads();
  }

  // A thread has one key, and half of the rows.
  __device__ void score(const float* keys, int64_t first_key) {
    const int key = static_cast<int>(threadIdx.x) % kKeys,
              first = static_cast<int>(threadIdx.x) / kKeys * kScoreRows;
    float acc[kScoreRows];
#pragma unroll
    for (int i = 0; i < kScoreRows; ++i) acc[i] = 0.0f;
    for (int d = 0; d < a_.shape.head_dim; ++d) {
      const float k = keys[d * kKeys + key];
#pragma unroll
      for (int i = 0; i < kScoreRows; ++i) acc[i] = fmaf(s_.q[first + i][d], k, acc[i]);
    }
#pragma unroll
    for (int i = 0; i < kScoreRows; ++i) {
      const int r = first + i;
      const bool seen = r < rows_ && sees(a_.shape, position(r), first_key + key);
      s_.p[r][key] = seen ? acc[i] * a_.shape.scale : -INFINITY;
    }
  }

  // A warp a row: scores become p = exp(score - new maximum), and the row's sum is carried over to it.
  __device__ void soften() {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    for (int r = static_cast<int>(threadIdx.x) / kWarp; r < kTileRows; r += kThreads / kWarp) {
      const float low = s_.p[r][lane], high = s_.p[r][lane + kWarp];
      const float largest = warp_reduce<Maximum>(fmaxf(low, high));
      const bool nothing = largest == -INFINITY;
      const float before = s_.maximum[r], maximum = fmaxf(before, largest);
      const float p_low = nothing ? 0.0f : expf(low - maximum),
                  p_high = nothing ? 0.0f : expf(high - maximum);
      s_.p[r][lane] = p_low;
      s_.p[r][lane + kWarp] = p_high;
      const float total = warp_reduce<Sum>(p_low + p_high);
      if (lane != 0) continue;
      const float alpha = nothing ? 1.0f : expf(before - maximum);
      s_.alpha[r] = alpha;
      s_.maximum[r] = maximum;
      s_.sum[r] = fmaf(s_.sum[r], alpha, total);
    }
  }

  // A thread has one column of as many rows as there are threads for.
  __device__ void accumulate(const float* values) {
    constexpr int kGroups = kThreads > kHeadDim ? kThreads / kHeadDim : 1, kRows = kTileRows / kGroups;
    const int head_dim = a_.shape.head_dim;
    const int first = kGroups == 1 ? 0 : static_cast<int>(threadIdx.x) / kHeadDim * kRows;
    for (int d = static_cast<int>(threadIdx.x) % kHeadDim; d < head_dim; d += kThreads) {
      float acc[kRows];
#pragma unroll
      for (int i = 0; i < kRows; ++i) acc[i] = s_.out[first + i][d] * s_.alpha[first + i];
      for (int j = 0; j < kKeys; ++j) {
        const float v = values[j * head_dim + d];
#pragma unroll
        for (int i = 0; i < kRows; ++i) acc[i] = fmaf(s_.p[first + i][j], v, acc[i]);
      }
#pragma unroll
      for (int i = 0; i < kRows; ++i) s_.out[first + i][d] = acc[i];
    }
  }

  // The last addition settles the sign of a zero, which keys that are not seen may turn.
  __device__ void finish() {
    const int head_dim = a_.shape.head_dim;
    for (int i = static_cast<int>(threadIdx.x); i < rows_ * head_dim; i += kThreads) {
      const int r = i / head_dim, d = i % head_dim;
      a_.out[token(r) * a_.out_stride + head(r) * head_dim + d] = s_.out[r][d] * (1.0f / s_.sum[r]) + 0.0f;
    }
    const int r = static_cast<int>(threadIdx.x);
    if (a_.lse != nullptr && r < rows_)
      a_.lse[token(r) * a_.shape.num_heads + head(r)] = s_.maximum[r] + logf(s_.sum[r]);
  }

  const ForwardArgs& a_;
  ForwardShared<kHeadDim>& s_;
  RowRun run_;
  int kv_head_, first_head_, heads_, rows_;
};

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads) attention_forward_kernel(ForwardArgs args) {
  __shared__ ForwardShared<kHeadDim> shared;
  ForwardTile<kHeadDim> tile(args, shared);
  int64_t row = static_cast<int64_t>(blockIdx.x) * args.tile.tokens;
  const int64_t end = row + args.tile.tokens < args.rows ? row + args.tile.tokens : args.rows;
  while (row < end) {
    const RowRun run = run_from(args.batch, row, end);
    tile.run(run);
    row += run.tokens;
  }
}

}  // namespace

void check_head_dim(const char* op, const AttentionShape& shape) {
  if (shape.head_dim <= kMaxHeadDim) return;
  fail(ErrorCode::kInvalidArgument, "%s: head_dim: expected at most %d on the CUDA backend, received %d", op,
       kMaxHeadDim, shape.head_dim);
}

void CudaBackend::attention_forward(Context&, const Tensor& out, float* lse, const Tensor& q,
                                    const KvPages& pages, const AttentionBatch& batch,
                                    const AttentionShape& shape) {
  check_head_dim("attention_forward", shape);
  const ForwardArgs args = {out.f32(),
                            out.stride,
                            lse,
                            q.f32(),
                            q.stride,
                            q.rows,
                            static_cast<const float*>(pages.k),
                            static_cast<const float*>(pages.v),
                            batch,
                            shape,
                            tile_shape(shape, q.rows, batch.segment_count)};
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  const dim3 grid(blocks_for(q.rows, args.tile.tokens),
                  static_cast<unsigned>(shape.num_kv_heads) * blocks_for(group, args.tile.heads));
  const auto kernel = shape.head_dim <= 64    ? attention_forward_kernel<64>
                      : shape.head_dim <= 128 ? attention_forward_kernel<128>
                                              : attention_forward_kernel<256>;
  launch("attention_forward_kernel", kernel, grid, kThreads, stream_, args);
}

}  // namespace coppice
