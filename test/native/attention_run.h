// Attention ops on guarded buffers, and the shapes that their cases share.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "native/attention_reference.h"
#include "native/harness.h"
#include "ops/ops.h"

namespace coppice::test {

struct AttentionInputs {
  std::vector<float> q, k, v, dout;
};

inline AttentionShape attention_shape(int32_t num_heads, int32_t num_kv_heads, int32_t head_dim,
                                      int32_t window = 0) {
  return {num_heads, num_kv_heads, head_dim, static_cast<float>(1.0 / std::sqrt(double(head_dim))), window};
}

inline std::string word(const AttentionShape& s) {
  return sizes({s.num_heads, s.num_kv_heads, s.head_dim}) +
         (s.window == 0 ? "" : ", window " + std::to_string(s.window));
}

inline AttentionInputs random_attention_inputs(Run& run, int64_t rows, const AttentionShape& s) {
  const int64_t q_cols = int64_t{s.num_heads} * s.head_dim, kv_cols = int64_t{s.num_kv_heads} * s.head_dim;
  return {run.normals(rows * q_cols, 1.5f), run.normals(rows * kv_cols), run.normals(rows * kv_cols),
          run.normals(rows * q_cols)};
}

// The packed batch in the backend's memory.
class DeviceBatch {
 public:
  DeviceBatch(Run& run, const std::vector<Segment>& segments, const std::vector<int32_t>& page_table)
      : segments_(run, "segments", segments),
        page_table_(run, "page_table", page_table),
        count_(static_cast<int32_t>(segments.size())) {}
  DeviceBatch(Run& run, const Forest& forest) : DeviceBatch(run, forest.segments(), forest.page_table()) {}
  AttentionBatch get() const { return {segments_.data(), count_, page_table_.data()}; }

 private:
  Array<Segment> segments_;
  Array<int32_t> page_table_;
  int32_t count_;
};

// Pages that begin as garbage: finite, and large enough to be seen wherever they are read.
class Pages {
 public:
  Pages(Run& run, int32_t pages, const AttentionShape& s)
      : k_(run, "k pages", garbage(pages, s)), v_(run, "v pages", garbage(pages, s)) {}
  KvPages get() const { return {k_.data(), v_.data(), DType::kF32}; }
  std::vector<float> k() const { return k_.values(); }
  std::vector<float> v() const { return v_.values(); }

 private:
  static std::vector<float> garbage(int32_t pages, const AttentionShape& s) {
    std::vector<float> values(static_cast<size_t>(pages * s.num_kv_heads * s.head_dim) * kKeyBlock);
    for (size_t i = 0; i < values.size(); ++i) values[i] = i % 3 == 0 ? -1e3f : 7e2f;
    return values;
  }
  Array<float> k_, v_;
};

struct AttentionOutputs {
  std::vector<float> out, lse;
};

// Writes the rows' keys and values and attends to them.
inline AttentionOutputs attend(Run& run, const Pages& pages, const DeviceBatch& batch,
                               const AttentionShape& s, const AttentionInputs& inputs, int64_t rows) {
  const int64_t q_cols = int64_t{s.num_heads} * s.head_dim, kv_cols = int64_t{s.num_kv_heads} * s.head_dim;
  Context context = run.context(run.backend.attention_scratch_bytes(s, rows));
  Matrix q(run, "q", rows, q_cols, inputs.q), k(run, "k", rows, kv_cols, inputs.k),
      v(run, "v", rows, kv_cols, inputs.v), out(run, "out", rows, q_cols);
  Array<float> lse(run, "lse", rows * s.num_heads);
  ops::kv_write_attention(context, out.tensor(), lse.data(), q.tensor(), k.tensor(), v.tensor(), pages.get(),
                          batch.get(), s);
  return {out.values(), lse.values()};
}

inline AttentionOutputs attend(Run& run, const Forest& forest, const AttentionShape& s,
                               const AttentionInputs& inputs) {
  return attend(run, Pages(run, forest.page_count(), s), DeviceBatch(run, forest), s, inputs, forest.rows());
}

// Inputs of the rows `rows`, in that order.
inline AttentionInputs inputs_of(const AttentionInputs& inputs, const AttentionShape& s,
                                 const std::vector<int32_t>& rows) {
  const int64_t q_cols = int64_t{s.num_heads} * s.head_dim, kv_cols = int64_t{s.num_kv_heads} * s.head_dim;
  AttentionInputs some;
  for (const int32_t row : rows) {
    const auto append = [row](std::vector<float>& to, const std::vector<float>& from, int64_t cols) {
      to.insert(to.end(), from.begin() + row * cols, from.begin() + (row + 1) * cols);
    };
    append(some.q, inputs.q, q_cols);
    append(some.k, inputs.k, kv_cols);
    append(some.v, inputs.v, kv_cols);
    append(some.dout, inputs.dout, q_cols);
  }
  return some;
}

}  // namespace coppice::test
