#include <cmath>

#include "native/bench.h"
#include "ops/ops.h"

namespace coppice::bench {
namespace {

// `groups` prompts, each with `completions` completions behind it; 0 completions: plain sequences.
struct Shape {
  int64_t groups, prompt, completions, completion;
  int32_t heads, kv_heads, head_dim;
};
// Model S and M of DESIGN, grouped queries, a long sequence, and the embedded task's 17 tokens without and
// with shared prompts.
const Shape kShapes[] = {{32, 128, 0, 0, 4, 4, 64},  {8, 256, 0, 0, 8, 8, 64},  {16, 128, 0, 0, 14, 2, 64},
                         {1, 2048, 0, 0, 8, 2, 128}, {256, 17, 0, 0, 4, 4, 16}, {32, 9, 8, 8, 4, 4, 16},
                         {4, 200, 8, 100, 8, 4, 64}};

struct Forest {
  std::vector<int32_t> segments, pages;  // segments as the five numbers of a Segment
  int64_t rows = 0, page_count = 0;
  double pairs = 0;  // of a query and a key it reads

  void add(int64_t length, int64_t parent, int64_t position) {
    const int64_t shared = position / kKeyBlock, last = (position + length - 1) / kKeyBlock;
    const int64_t page_begin = static_cast<int64_t>(pages.size());
    for (int64_t block = 0; block <= last; ++block) {
      const bool own = parent < 0 || block >= shared;
      pages.push_back(static_cast<int32_t>(
          own ? page_count++
              : pages[static_cast<size_t>(segments[static_cast<size_t>(parent) * 5 + 4] + block)]));
    }
    for (const int64_t field : {rows, length, parent, position, page_begin})
      segments.push_back(static_cast<int32_t>(field));
    for (int64_t i = 0; i < length; ++i) pairs += static_cast<double>(position + i + 1);
    rows += length;
  }
  int64_t count() const { return static_cast<int64_t>(segments.size()) / 5; }
};

struct Cache {
  KvPages pages;
  AttentionBatch batch;
};

Cache cache_of(Bench& bench, const Forest& forest, const AttentionShape& shape) {
  static_assert(sizeof(Segment) == 5 * sizeof(int32_t));
  const int64_t floats = forest.page_count * shape.num_kv_heads * shape.head_dim * kKeyBlock;
  return {{bench.floats(floats), bench.floats(floats), DType::kF32},
          {reinterpret_cast<const Segment*>(bench.integers(forest.segments)),
           static_cast<int32_t>(forest.count()), bench.integers(forest.pages)}};
}

AttentionShape attention_shape(const Shape& s) {
  return {s.heads, s.kv_heads, s.head_dim,
          static_cast<float>(1.0 / std::sqrt(static_cast<double>(s.head_dim)))};
}

void bench_training(Bench& bench, const Shape& s) {
  Forest forest;
  for (int64_t group = 0; group < s.groups; ++group) {
    const int64_t prompt = forest.count();
    forest.add(s.prompt, -1, 0);
    for (int64_t i = 0; i < s.completions; ++i) forest.add(s.completion, prompt, s.prompt);
  }
  const AttentionShape shape = attention_shape(s);
  const int64_t q_cols = int64_t{s.heads} * s.head_dim, kv_cols = int64_t{s.kv_heads} * s.head_dim;
  const double flops = 4.0 * forest.pairs * static_cast<double>(q_cols);
  Context context = bench.context(bench.backend().attention_scratch_bytes(shape, forest.rows));
  const Cache cache = cache_of(bench, forest, shape);
  const Tensor qkv = bench.tensor(forest.rows, q_cols + 2 * kv_cols),
               dqkv = bench.tensor(forest.rows, q_cols + 2 * kv_cols);
  const Tensor out = bench.tensor(forest.rows, q_cols), dout = bench.tensor(forest.rows, q_cols);
  float* lse = bench.floats(forest.rows * s.heads);
  const Tensor q = qkv.columns(0, q_cols), k = qkv.columns(q_cols, kv_cols),
               v = qkv.columns(q_cols + kv_cols, kv_cols);
  const std::string word =
      shape_of({s.groups, s.prompt, s.completions, s.completion, s.heads, s.kv_heads, s.head_dim});
  ops::kv_write(context, cache.pages, k, v, cache.batch, shape);
  ops::attention_forward(context, out, lse, q, cache.pages, cache.batch, shape);
  if (bench.wants("kv_write")) {
    bench.row("kv_write", word, 0, 16.0 * static_cast<double>(forest.rows * kv_cols),
              [&] { ops::kv_write(context, cache.pages, k, v, cache.batch, shape); });
  }
  if (bench.wants("attention_forward")) {
    bench.row("attention_forward", word, flops, 0,
              [&] { ops::attention_forward(context, out, lse, q, cache.pages, cache.batch, shape); });
  }
  if (bench.wants("attention_backward")) {
    bench.row("attention_backward", word, 2.5 * flops, 0, [&] {
      ops::attention_backward(context, dqkv.columns(0, q_cols), dqkv.columns(q_cols, kv_cols),
                              dqkv.columns(q_cols + kv_cols, kv_cols), dout, out, lse, q, k, v, cache.batch,
                              shape);
    });
  }
  bench.release();
}

// One new row for each of `sequences` sequences that hold `position` tokens.
void bench_decoding(Bench& bench, int64_t sequences, int64_t position, const Shape& s) {
  if (!bench.wants("attention_forward")) return;
  Forest forest;
  for (int64_t i = 0; i < sequences; ++i) forest.add(1, -1, position);
  const AttentionShape shape = attention_shape(s);
  const int64_t q_cols = int64_t{s.heads} * s.head_dim;
  Context context = bench.context(bench.backend().attention_scratch_bytes(shape, sequences));
  const Cache cache = cache_of(bench, forest, shape);
  const Tensor q = bench.tensor(sequences, q_cols), out = bench.tensor(sequences, q_cols);
  bench.row("attention_forward", "decode " + shape_of({sequences, position, s.heads, s.kv_heads, s.head_dim}),
            4.0 * forest.pairs * static_cast<double>(q_cols), 0,
            [&] { ops::attention_forward(context, out, nullptr, q, cache.pages, cache.batch, shape); });
  bench.release();
}

}  // namespace

void bench_attention(Bench& bench) {
  for (const char* op : {"kv_write", "attention_forward", "attention_backward"}) {
    if (!bench.wants(op)) continue;
    for (const Shape& s : kShapes) bench_training(bench, s);
    break;
  }
  for (const int64_t position : {16, 100, 1000}) bench_decoding(bench, 64, position, kShapes[0]);
  bench_decoding(bench, 64, 100, kShapes[2]);
}

}  // namespace coppice::bench
