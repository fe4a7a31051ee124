// Attention and its cache: sequences of their own, groups that share their prompt, and decoding.
#include <cmath>

#include "base/error.h"
#include "bench/op_case.h"
#include "ops/ops.h"

namespace coppice::bench {
namespace {

AttentionShape heads_of(const OpShape& shape) {
  const int64_t head_dim = shape.at("head_dim");
  return {static_cast<int32_t>(shape.at("num_heads")), static_cast<int32_t>(shape.at("num_kv_heads")),
          static_cast<int32_t>(head_dim), static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dim)))};
}

// Rows of a packed batch are counted in 32 bits.
void require_rows(double rows) {
  if (rows <= 0x1p28) return;
  fail(ErrorCode::kInvalidArgument, "shape: expected at most 2^28 rows and positions; received %g", rows);
}

PackedForest sequences(const OpShape& shape) {
  require_rows(static_cast<double>(shape.at("sequences") * shape.at("length")));
  PackedForest forest;
  for (int64_t i = 0; i < shape.at("sequences"); ++i) forest.add(static_cast<int32_t>(shape.at("length")));
  return forest;
}

PackedForest groups(const OpShape& shape) {
  require_rows(static_cast<double>(shape.at("groups")) *
               static_cast<double>(shape.at("prompt") + shape.at("completions") * shape.at("completion")));
  const auto prompt = static_cast<int32_t>(shape.at("prompt")),
             completion = static_cast<int32_t>(shape.at("completion"));
  PackedForest forest;
  for (int64_t i = 0; i < shape.at("groups"); ++i) {
    const int32_t root = forest.add(prompt);
    for (int64_t j = 0; j < shape.at("completions"); ++j) forest.add(completion, root, prompt);
  }
  return forest;
}

// One new row for each sequence; the keys of the `position` before it are in its pages.
PackedForest next_tokens(const OpShape& shape) {
  require_rows(static_cast<double>(shape.at("sequences") * (shape.at("position") + 1)));
  PackedForest forest;
  for (int64_t i = 0; i < shape.at("sequences"); ++i) {
    forest.add(1, -1, static_cast<int32_t>(shape.at("position")));
  }
  return forest;
}

// Rows of a packed batch and what attention over them comes to.
struct Attention {
  AttentionShape shape;
  int64_t rows, q_cols, kv_cols;
  double pairs = 0;      // of a query and a key that it reads
  double positions = 0;  // of different keys
  Context& context;
  const DevicePages& pages;
  const Tensor &q, &k, &v, &out;
  float* lse;

  Attention(CaseMemory& memory, const OpShape& sizes, const PackedForest& forest)
      : shape(heads_of(sizes)),
        rows(forest.rows),
        q_cols(int64_t{shape.num_heads} * shape.head_dim),
        kv_cols(int64_t{shape.num_kv_heads} * shape.head_dim),
        context(memory.context(memory.backend().attention_scratch_bytes(shape, rows))),
        pages(memory.own<DevicePages>(memory.backend(), forest, kv_cols)),
        q(memory.tensor(rows, q_cols)),
        k(memory.tensor(rows, kv_cols)),
        v(memory.tensor(rows, kv_cols)),
        out(memory.tensor(rows, q_cols)),
        lse(memory.constants(rows * shape.num_heads, 0)) {
    for (const Segment& segment : forest.segments) {
      const double length = segment.length, before = segment.position_begin;
      pairs += length * before + length * (length + 1) / 2;
      positions += length + (segment.parent < 0 ? before : 0);
    }
  }

  void write_keys() const { ops::kv_write(context, pages.pages(), k, v, pages.batch(), shape); }
  void forward() const { ops::attention_forward(context, out, lse, q, pages.pages(), pages.batch(), shape); }
  // Of scores and of probabilities times values.
  double flops() const { return 4.0 * pairs * static_cast<double>(q_cols); }
  double row_bytes() const { return 4.0 * static_cast<double>(rows * q_cols); }
  double key_bytes() const { return 8.0 * positions * static_cast<double>(kv_cols); }
};

ReadyOp forward_case(CaseMemory& memory, const OpShape& sizes, const PackedForest& forest) {
  const Attention a(memory, sizes, forest);
  a.write_keys();
  return {
      .flops = a.flops(), .bytes = 2 * a.row_bytes() + a.key_bytes(), .written = a.row_bytes(), .run = [a] {
        a.forward();
      }};
}

ReadyOp backward_case(CaseMemory& memory, const OpShape& sizes, const PackedForest& forest) {
  const Attention a(memory, sizes, forest);
  a.write_keys();
  a.forward();
  const Tensor &dout = memory.tensor(a.rows, a.q_cols), &dq = memory.tensor(a.rows, a.q_cols);
  const Tensor &dk = memory.tensor(a.rows, a.kv_cols), &dv = memory.tensor(a.rows, a.kv_cols);
  // A product for each of dP, dV, dQ, dK. That the scores are computed once more is not counted.
  return {.flops = 2 * a.flops(),
          .bytes = 4 * a.row_bytes() + 2 * a.key_bytes(),
          .written = a.row_bytes() + a.key_bytes(),
          .run = [a, &dout, &dq, &dk, &dv] {
            ops::attention_backward(a.context, dq, dk, dv, dout, a.out, a.lse, a.q, a.k, a.v, a.pages.batch(),
                                    a.shape);
          }};
}

ReadyOp attention(CaseMemory& memory, const OpShape& shape) {
  return forward_case(memory, shape, sequences(shape));
}
ReadyOp attention_backward(CaseMemory& memory, const OpShape& shape) {
  return backward_case(memory, shape, sequences(shape));
}
ReadyOp attention_shared(CaseMemory& memory, const OpShape& shape) {
  return forward_case(memory, shape, groups(shape));
}
ReadyOp attention_shared_backward(CaseMemory& memory, const OpShape& shape) {
  return backward_case(memory, shape, groups(shape));
}
// Without a log-sum-exp, as generation wants it. Keys of earlier positions are zeros: a number like any
// other.
ReadyOp attention_decode(CaseMemory& memory, const OpShape& shape) {
  Attention a(memory, shape, next_tokens(shape));
  a.lse = nullptr;
  a.write_keys();
  return {
      .flops = a.flops(), .bytes = 2 * a.row_bytes() + a.key_bytes(), .written = a.row_bytes(), .run = [a] {
        a.forward();
      }};
}

ReadyOp kv_write(CaseMemory& memory, const OpShape& shape) {
  const Attention a(memory, shape, sequences(shape));
  return {.bytes = 2 * a.key_bytes(), .written = a.key_bytes(), .run = [a] { a.write_keys(); }};
}

// Half a block from one page to the next, as when a sample leaves its prompt.
ReadyOp kv_copy(CaseMemory& memory, const OpShape& sizes) {
  const AttentionShape shape = heads_of({{"num_heads", sizes.at("num_kv_heads")},
                                         {"num_kv_heads", sizes.at("num_kv_heads")},
                                         {"head_dim", sizes.at("head_dim")}});
  const auto copies = static_cast<int32_t>(sizes.at("copies"));
  PackedForest forest;
  for (int32_t i = 0; i <= copies; ++i) forest.add(1);
  const int64_t kv_cols = int64_t{shape.num_kv_heads} * shape.head_dim;
  const DevicePages& pages = memory.own<DevicePages>(memory.backend(), forest, kv_cols);
  Context& context = memory.context(0);
  constexpr int32_t kSlots = kKeyBlock / 2;
  return {.bytes = 16.0 * kSlots * static_cast<double>(copies * kv_cols),
          .written = 8.0 * kSlots * static_cast<double>(copies * kv_cols),
          .run = [&context, &pages, copies, shape] {
            for (int32_t i = 1; i <= copies; ++i) ops::kv_copy(context, pages.pages(), i, 0, kSlots, shape);
          }};
}

}  // namespace

std::vector<OpCase> attention_cases() {
  const std::vector<const char*> sizes = {"sequences", "length", "num_heads", "num_kv_heads", "head_dim"},
                                 group_sizes = {"groups",    "prompt",       "completions", "completion",
                                                "num_heads", "num_kv_heads", "head_dim"},
                                 decode_sizes = {"sequences", "position", "num_heads", "num_kv_heads",
                                                 "head_dim"};
  // Of the embedded task, the models S and M, Qwen2.5-0.5B, and one long sequence.
  const std::vector<std::vector<int64_t>> whole = {{256, 17, 4, 4, 16},
                                                   {32, 128, 4, 4, 64},
                                                   {8, 256, 8, 8, 64},
                                                   {4, 512, 14, 2, 64},
                                                   {1, 2048, 14, 2, 64}},
                                          shared = {{32, 9, 8, 8, 4, 4, 16},
                                                    {4, 128, 8, 64, 4, 4, 64},
                                                    {4, 200, 8, 100, 14, 2, 64}};
  return {{"kv_write", sizes, kv_write, whole},
          {"kv_copy", {"copies", "num_kv_heads", "head_dim"}, kv_copy, {{32, 2, 64}, {256, 4, 64}}},
          {"attention", sizes, attention, whole},
          {"attention_backward", sizes, attention_backward, whole},
          {"attention_shared", group_sizes, attention_shared, shared},
          {"attention_shared_backward", group_sizes, attention_shared_backward, shared},
          {"attention_decode",
           decode_sizes,
           attention_decode,
           {{1, 100, 4, 4, 64}, {32, 100, 14, 2, 64}, {256, 80, 4, 4, 64}, {64, 1000, 14, 2, 64}}}};
}

}  // namespace coppice::bench
