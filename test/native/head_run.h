// The fused head on guarded buffers.
#pragma once

#include <string>
#include <vector>

#include "native/harness.h"
#include "ops/ops.h"

namespace coppice::test {

struct HeadProblem {
  int64_t rows, vocab, cols;
  std::vector<float> hidden, weight;  // [rows, cols], [vocab, cols]
  std::vector<int32_t> row_index, target;
  std::vector<float> temperature;
  DType dtype = DType::kF32;  // of weight

  int64_t items() const { return static_cast<int64_t>(target.size()); }
};

// Logits of a few units; items read rows in no order, some rows several times and some never.
inline HeadProblem random_head(Run& run, int64_t rows, int64_t vocab, int64_t cols, int64_t items,
                               DType dtype = DType::kF32) {
  HeadProblem p{rows,
                vocab,
                cols,
                run.normals(rows * cols),
                run.normals(vocab * cols, 2.0f / std::sqrt(float(cols))),
                {},
                {},
                {},
                dtype};
  for (int64_t i = 0; i < items; ++i) {
    p.row_index.push_back(static_cast<int32_t>(run.below(rows)));
    p.target.push_back(static_cast<int32_t>(run.below(vocab)));
    p.temperature.push_back(i % 3 == 0 ? 1.0f : i % 3 == 1 ? 0.7f : 1.3f);
  }
  return p;
}

struct HeadOutputs {
  std::vector<float> lp, entropy, lse;
};

inline HeadOutputs head_outputs(Run& run, const HeadProblem& p, bool with_entropy = true) {
  Context context = run.context(run.backend.head_scratch_bytes(p.items(), p.vocab, p.cols, p.dtype));
  TestParameter weight(run, "weight", ParameterKind::kMatrix, p.vocab, p.cols, p.weight, p.dtype);
  Matrix hidden(run, "hidden", p.rows, p.cols, p.hidden);
  Array<int32_t> row_index(run, "row_index", p.row_index), target(run, "target", p.target);
  Array<float> temperature(run, "temperature", p.temperature);
  Array<float> lp(run, "lp", p.items()), entropy(run, "entropy", p.items()), lse(run, "lse", p.items());
  ops::head_forward(context, lp.data(), with_entropy ? entropy.data() : nullptr, lse.data(), hidden.tensor(),
                    *weight, {row_index.data(), target.data(), temperature.data(), p.items()});
  return {lp.values(), entropy.values(), lse.values()};
}

}  // namespace coppice::test
