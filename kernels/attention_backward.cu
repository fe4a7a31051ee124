// The gradient of attention in two kernels that mirror each other, with nothing of size [T x T] and no
// atomics: a block that owns query rows goes through their keys, and one that owns key rows through the
// queries that read them. Probabilities come again from the scores and the saved log-sum-exp.
//
// An owned row's gradient is one fma chain over what goes by, by the tree alone: keys by position; query rows
// segment by segment, and in steps of kKeys rows head by head. What a row does not see takes part with 0, so
// the tile in which it is owned changes no bit.
#include "attention_rows.cuh"
#include "cuda_backend.cuh"
#include "reduce.cuh"

namespace coppice {
namespace {

constexpr int kThreads = 128;
constexpr int kDotThreads = 128;
constexpr int kSlice = 8;  // of the head's dimensions, of what goes by
constexpr int kPairRows = kTileRows * kKeys / kThreads;

struct Matrix {
  float* data;
  int64_t stride;
};
struct ConstMatrix {
  const float* data;
  int64_t stride;
};

struct BackwardArgs {
  Matrix dq, dk, dv;
  ConstMatrix q, k, v, dout;
  const float *lse, *delta;
  int64_t rows;
  AttentionBatch batch;
  AttentionShape shape;
  TileShape tile;
};

// delta[t * num_heads + h] = sum_d dout * out; a warp a head of a row.
__global__ void attention_delta_kernel(float* delta, ConstMatrix dout, ConstMatrix out,
                                       AttentionShape shape) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int h = static_cast<int>(threadIdx.x) / kWarp; h < shape.num_heads; h += kDotThreads / kWarp) {
    const int64_t row = blockIdx.x, column = static_cast<int64_t>(h) * shape.head_dim;
    float sum = 0.0f;
    for (int d = lane; d < shape.head_dim; d += kWarp)
      sum = fmaf(dout.data[row * dout.stride + column + d], out.data[row * out.stride + column + d], sum);
    sum = warp_reduce<Sum>(sum);
    if (lane == 0) delta[row * shape.num_heads + h] = sum;
  }
}

template <int kHeadDim>
struct BackwardShared {
  float own_a[kTileRows][kHeadDim], own_b[kTileRows][kHeadDim];
  float slice_a[kSlice][kKeys + 1], slice_b[kSlice][kKeys + 1];
  float p[kTileRows][kKeys], dscores[kTileRows][kKeys];
  int64_t row[kKeys];  // of what goes by; only the first `count` are there
};

// Two products of owned rows with what goes by: (q, k) and (dout, v), or the other way round.
struct Pair {
  float a[kPairRows], b[kPairRows];
};

// A thread has one of the rows that go by, and half of the owned ones.
__device__ inline int passing() {
  return static_cast<int>(threadIdx.x) % kKeys;
}
__device__ inline int owned(int i) {
  return static_cast<int>(threadIdx.x) / kKeys * kPairRows + i;
}

template <int kHeadDim>
__device__ void pair_products(Pair& pair, BackwardShared<kHeadDim>& s, ConstMatrix a, ConstMatrix b,
                              int64_t column, int count, int head_dim) {
#pragma unroll
  for (int i = 0; i < kPairRows; ++i) pair.a[i] = pair.b[i] = 0.0f;
  for (int d = 0; d < head_dim; d += kSlice) {
    for (int e = static_cast<int>(threadIdx.x); e < kKeys * kSlice; e += kThreads) {
      const int other = e / kSlice, offset = e % kSlice;
      const bool inside = other < count && d + offset < head_dim;
      const int64_t at = column + d + offset;
      s.slice_a[offset][other] = inside ? a.data[s.row[other] * a.stride + at] : 0.0f;
      s.slice_b[offset][other] = inside ? b.data[s.row[other] * b.stride + at] : 0.0f;
    }
    __syncthreads();
    const int depth = head_dim - d < kSlice ? head_dim - d : kSlice;
    for (int offset = 0; offset < depth; ++offset) {
      const float x = s.slice_a[offset][passing()], y = s.slice_b[offset][passing()];
#pragma unroll
      for (int i = 0; i < kPairRows; ++i) {
        pair.a[i] = fmaf(s.own_a[owned(i)][d + offset], x, pair.a[i]);
        pair.b[i] = fmaf(s.own_b[owned(i)][d + offset], y, pair.b[i]);
      }
    }
    __syncthreads();
  }
}

// out[r] += sum over what goes by of factor[r][j] * values[row j], for owned rows r < rows: out_row(r) is
// where. The first time `out` begins at zero. Adding zero settles the sign of one.
template <int kHeadDim, typename OutRow>
__device__ void accumulate(const OutRow& out_row, int rows, const float (&factor)[kTileRows][kKeys],
                           const int64_t* row, int count, ConstMatrix values, int64_t column, int head_dim,
                           bool first) {
  constexpr int kGroups = kThreads > kHeadDim ? kThreads / kHeadDim : 1, kRows = kTileRows / kGroups;
  const int begin = kGroups == 1 ? 0 : static_cast<int>(threadIdx.x) / kHeadDim * kRows;
  for (int d = static_cast<int>(threadIdx.x) % kHeadDim; d < head_dim; d += kThreads) {
    float acc[kRows];
#pragma unroll
    for (int i = 0; i < kRows; ++i) acc[i] = first || begin + i >= rows ? 0.0f : out_row(begin + i)[d];
    for (int j = 0; j < count; ++j) {
      const float value = values.data[row[j] * values.stride + column + d];
#pragma unroll
      for (int i = 0; i < kRows; ++i) acc[i] = fmaf(factor[begin + i][j], value, acc[i]);
    }
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      if (begin + i < rows) out_row(begin + i)[d] = acc[i] + 0.0f;
    }
  }
}

// p and dscores of a query and a key from their products.
struct Slope {
  float p, dscore;
};
__device__ inline Slope slope(const BackwardArgs& a, float score, float dp, int64_t query_row, int head,
                              bool seen) {
  if (!seen) return {0.0f, 0.0f};
  const int64_t at = query_row * a.shape.num_heads + head;
  const float p = expf(fmaf(score, a.shape.scale, -a.lse[at]));
  return {p, p * ((dp - a.delta[at]) * a.shape.scale)};
}

template <int kHeadDim>
__device__ void own_rows(BackwardShared<kHeadDim>& s, ConstMatrix a, ConstMatrix b, const RowRun& run,
                         int heads, int first_head, int head_dim) {
  for (int i = static_cast<int>(threadIdx.x); i < kTileRows * head_dim; i += kThreads) {
    const int r = i / head_dim, d = i % head_dim;
    const int64_t row = run.row + r / heads, at = static_cast<int64_t>(first_head + r % heads) * head_dim + d;
    const bool inside = r < run.tokens * heads;
    s.own_a[r][d] = inside ? a.data[row * a.stride + at] : 0.0f;
    s.own_b[r][d] = inside ? b.data[row * b.stride + at] : 0.0f;
  }
  __syncthreads();
}

// dq of the query rows of one run, for heads [first_head, first_head + heads) of a kv head.
template <int kHeadDim>
__device__ void query_gradients(const BackwardArgs& a, BackwardShared<kHeadDim>& s, const RowRun& run,
                                int kv_head, int first_head, int heads) {
  const int head_dim = a.shape.head_dim, rows = run.tokens * heads;
  const int64_t column = static_cast<int64_t>(kv_head) * head_dim, last = run.position + run.tokens - 1;
  const int64_t behind = a.shape.window == 0 ? 0 : run.position - a.shape.window + 1;
  own_rows(s, a.q, a.dout, run, heads, first_head, head_dim);
  const auto dq_row = [&](int r) {
    return a.dq.data + (run.row + r / heads) * a.dq.stride +
           static_cast<int64_t>(first_head + r % heads) * head_dim;
  };
  bool first = true;
  for (int64_t key = behind > 0 ? behind / kKeyBlock * kKeyBlock : 0; key <= last; key += kKeyBlock) {
    const int count = static_cast<int>(last + 1 - key < kKeyBlock ? last + 1 - key : kKeyBlock);
    if (static_cast<int>(threadIdx.x) < count) {
      const int64_t position = key + threadIdx.x;
      const Segment* segment = &a.batch.segments[run.segment];
      while (position < segment->position_begin) segment = &a.batch.segments[segment->parent];
      s.row[threadIdx.x] = segment->token_begin + position - segment->position_begin;
    }
    __syncthreads();
    Pair pair;
    pair_products(pair, s, a.k, a.v, column, count, head_dim);
#pragma unroll
    for (int i = 0; i < kPairRows; ++i) {
      const int r = owned(i);
      const bool seen =
          r < rows && passing() < count && sees(a.shape, run.position + r / heads, key + passing());
      s.dscores[r][passing()] =
          slope(a, pair.a[i], pair.b[i], run.row + r / heads, first_head + r % heads, seen).dscore;
    }
    __syncthreads();
    accumulate<kHeadDim>(dq_row, rows, s.dscores, s.row, count, a.k, column, head_dim, first);
    first = false;
    __syncthreads();
  }
}

// dk and dv of the key rows of one run.
template <int kHeadDim>
class KeyGradients {
 public:
  __device__ KeyGradients(const BackwardArgs& args, BackwardShared<kHeadDim>& shared, const RowRun& run,
                          int kv_head)
      : a_(args), s_(shared), run_(run), kv_head_(kv_head) {
    own_rows(s_, a_.k, a_.v, run, 1, kv_head, a_.shape.head_dim);
  }

  // Query rows [row, end) of one segment, the first at `position`: those that still see the run's last key.
  __device__ void meet(int64_t row, int64_t end, int64_t position) {
    const int64_t last_key = run_.position + run_.tokens - 1;
    if (a_.shape.window > 0 && last_key + a_.shape.window - position < end - row)
      end = row + last_key + a_.shape.window - position;
    const int group = a_.shape.num_heads / a_.shape.num_kv_heads;
    for (; row < end; row += kKeys, position += kKeys) {
      const int count = static_cast<int>(end - row < kKeys ? end - row : kKeys);
      if (static_cast<int>(threadIdx.x) < count) s_.row[threadIdx.x] = row + threadIdx.x;
      __syncthreads();
      for (int head = kv_head_ * group; head < (kv_head_ + 1) * group; ++head)
        meet_head(row, count, position, head);
    }
  }

 private:
  __device__ void meet_head(int64_t row, int count, int64_t position, int head) {
    const int head_dim = a_.shape.head_dim;
    const int64_t column = static_cast<int64_t>(head) * head_dim;
    Pair pair;
    pair_products(pair, s_, a_.q, a_.dout, column, count, head_dim);
#pragma unroll
    for (int i = 0; i < kPairRows; ++i) {
      const int r = owned(i);
      const bool seen =
          r < run_.tokens && passing() < count && sees(a_.shape, position + passing(), run_.position + r);
      const Slope both = slope(a_, pair.a[i], pair.b[i], row + passing(), head, seen);
      s_.p[r][passing()] = both.p;
      s_.dscores[r][passing()] = both.dscore;
    }
    __syncthreads();
    const int64_t own_column = static_cast<int64_t>(kv_head_) * head_dim;
    const auto dk_row = [&](int r) { return a_.dk.data + (run_.row + r) * a_.dk.stride + own_column; };
    const auto dv_row = [&](int r) { return a_.dv.data + (run_.row + r) * a_.dv.stride + own_column; };
    accumulate<kHeadDim>(dk_row, run_.tokens, s_.dscores, s_.row, count, a_.q, column, head_dim, first_);
    accumulate<kHeadDim>(dv_row, run_.tokens, s_.p, s_.row, count, a_.dout, column, head_dim, first_);
    first_ = false;
    __syncthreads();
  }

  const BackwardArgs& a_;
  BackwardShared<kHeadDim>& s_;
  const RowRun& run_;
  int kv_head_;
  bool first_ = true;
};

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads) attention_backward_query_kernel(BackwardArgs args) {
  __shared__ BackwardShared<kHeadDim> shared;
  const int group = args.shape.num_heads / args.shape.num_kv_heads,
            parts = (group + args.tile.heads - 1) / args.tile.heads;
  const int kv_head = static_cast<int>(blockIdx.y) / parts,
            first = static_cast<int>(blockIdx.y) % parts * args.tile.heads;
  const int heads = group - first < args.tile.heads ? group - first : args.tile.heads;
  int64_t row = static_cast<int64_t>(blockIdx.x) * args.tile.tokens;
  const int64_t end = row + args.tile.tokens < args.rows ? row + args.tile.tokens : args.rows;
  while (row < end) {
    const RowRun run = run_from(args.batch, row, end);
    query_gradients(args, shared, run, kv_head, kv_head * group + first, heads);
    row += run.tokens;
  }
}

__device__ bool descends_from(const AttentionBatch& batch, int32_t segment, int32_t ancestor) {
  while (segment > ancestor) segment = batch.segments[segment].parent;
  return segment == ancestor;
}

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads) attention_backward_key_kernel(BackwardArgs args) {
  __shared__ BackwardShared<kHeadDim> shared;
  int64_t row = static_cast<int64_t>(blockIdx.x) * kTileRows;
  const int64_t end = row + kTileRows < args.rows ? row + kTileRows : args.rows;
  while (row < end) {
    const RowRun run = run_from(args.batch, row, end);
    KeyGradients<kHeadDim> keys(args, shared, run, static_cast<int>(blockIdx.y));
    const Segment* segments = args.batch.segments;
    const Segment& own = segments[run.segment];
    // In the segment's own steps of kKeys rows, wherever in one of them the run begins.
    const int64_t before = (run.row - own.token_begin) % kKeys;
    keys.meet(run.row - before, static_cast<int64_t>(own.token_begin) + own.length, run.position - before);
    for (int32_t s = run.segment + 1; s < args.batch.segment_count && segments[s].parent >= 0; ++s) {
      if (!descends_from(args.batch, s, run.segment)) continue;
      keys.meet(segments[s].token_begin, static_cast<int64_t>(segments[s].token_begin) + segments[s].length,
                segments[s].position_begin);
    }
    row += run.tokens;
  }
}

ConstMatrix read(const Tensor& tensor) {
  return {tensor.f32(), tensor.stride};
}
Matrix written(const Tensor& tensor) {
  return {tensor.f32(), tensor.stride};
}

}  // namespace

size_t CudaBackend::attention_scratch_bytes(const AttentionShape& shape, int64_t rows) const {
  return static_cast<size_t>(rows * shape.num_heads) * sizeof(float);  // delta
}

void CudaBackend::attention_backward(Context& context, const Tensor& dq, const Tensor& dk, const Tensor& dv,
                                     const Tensor& dout, const Tensor& out, const float* lse, const Tensor& q,
                                     const Tensor& k, const Tensor& v, const AttentionBatch& batch,
                                     const AttentionShape& shape) {
  check_head_dim("attention_backward", shape);
  float* delta = static_cast<float*>(context.scratch.data);
  launch("attention_delta_kernel", attention_delta_kernel, static_cast<unsigned>(q.rows), kDotThreads,
         stream_, delta, read(dout), read(out), shape);
  const BackwardArgs args = {written(dq),
                             written(dk),
                             written(dv),
                             read(q),
                             read(k),
                             read(v),
                             read(dout),
                             lse,
                             delta,
                             q.rows,
                             batch,
                             shape,
                             tile_shape(shape, q.rows, batch.segment_count)};
  const int64_t group = shape.num_heads / shape.num_kv_heads;
  const dim3 queries(blocks_for(q.rows, args.tile.tokens),
                     static_cast<unsigned>(shape.num_kv_heads) * blocks_for(group, args.tile.heads));
  launch("attention_backward_query_kernel",
         shape.head_dim <= 64    ? attention_backward_query_kernel<64>
         : shape.head_dim <= 128 ? attention_backward_query_kernel<128>
                                 : attention_backward_query_kernel<256>,
         queries, kThreads, stream_, args);
  const dim3 keys(blocks_for(q.rows, kTileRows), static_cast<unsigned>(shape.num_kv_heads));
  launch("attention_backward_key_kernel",
         shape.head_dim <= 64    ? attention_backward_key_kernel<64>
         : shape.head_dim <= 128 ? attention_backward_key_kernel<128>
                                 : attention_backward_key_kernel<256>,
         keys, kThreads, stream_, args);
}

}  // namespace coppice
