#include "native/attention_run.h"

namespace coppice::test {
namespace {

struct AttentionGradients {
  std::vector<float> dq, dk, dv;
};

AttentionGradients backward(Run& run, const Forest& forest, const AttentionShape& s,
                            const AttentionInputs& inputs) {
  const int64_t rows = forest.rows();
  const int64_t q_cols = int64_t{s.num_heads} * s.head_dim, kv_cols = int64_t{s.num_kv_heads} * s.head_dim;
  const AttentionOutputs saved = attend(run, forest, s, inputs);
  const DeviceBatch batch(run, forest);
  Context context = run.context(run.backend.attention_scratch_bytes(s, rows));
  Matrix q(run, "q", rows, q_cols, inputs.q), k(run, "k", rows, kv_cols, inputs.k),
      v(run, "v", rows, kv_cols, inputs.v);
  Matrix out(run, "out", rows, q_cols, saved.out), dout(run, "dout", rows, q_cols, inputs.dout);
  Matrix dq(run, "dq", rows, q_cols), dk(run, "dk", rows, kv_cols), dv(run, "dv", rows, kv_cols);
  Array<float> lse(run, "lse", saved.lse);
  ops::attention_backward(context, dq.tensor(), dk.tensor(), dv.tensor(), dout.tensor(), out.tensor(),
                          lse.data(), q.tensor(), k.tensor(), v.tensor(), batch.get(), s);
  return {dq.values(), dk.values(), dv.values()};
}

// A tree three levels deep whose branches interleave, then a sequence longer than two tiles.
Forest mixed_forest() {
  Forest forest;
  const int32_t prompt = forest.add(90);
  const int32_t left = forest.add(20, prompt), right = forest.add(67, prompt);
  forest.add(3, left);
  forest.add(30, right);
  forest.add(1, left);
  forest.add(8, prompt);
  forest.add(140);
  return forest;
}

const Case reference_itself(
    "attention_backward", "the reference agrees with finite differences", [](Run& run) {
      Forest forest;
      const int32_t prompt = forest.add(2);
      forest.add(2, prompt);
      const int32_t branch = forest.add(1, prompt);
      forest.add(1, branch);
      for (const int32_t window : {0, 2}) {
        const AttentionShape s = attention_shape(4, 2, 8, window);
        const AttentionInputs inputs = random_attention_inputs(run, forest.rows(), s);
        const std::vector<double> q = to_double(inputs.q), k = to_double(inputs.k), v = to_double(inputs.v),
                                  dout = to_double(inputs.dout);
        const auto loss = [&](const std::vector<double>& q_, const std::vector<double>& k_,
                              const std::vector<double>& v_) {
          return dot(attention_reference(forest, s, q_, k_, v_, dout).out, inputs.dout);
        };
        const AttentionReference want = attention_reference(forest, s, q, k, v, dout);
        const auto compare = [&](const char* name, const std::vector<double>& formula,
                                 const std::vector<double>& differences) {
          run.expect_close(name, {formula.begin(), formula.end()}, differences, 1e-6);
        };
        compare("dq", want.dq,
                numeric_gradient([&](const std::vector<double>& x) { return loss(x, k, v); }, q));
        compare("dk", want.dk,
                numeric_gradient([&](const std::vector<double>& x) { return loss(q, x, v); }, k));
        compare("dv", want.dv,
                numeric_gradient([&](const std::vector<double>& x) { return loss(q, k, x); }, v));
      }
    });

const Case forests("attention_backward", "forests, head sizes, grouped queries", [](Run& run) {
  const Forest forest = mixed_forest();
  const AttentionShape shapes[] = {
      attention_shape(2, 2, 8),       attention_shape(4, 2, 16),     attention_shape(4, 1, 24),
      attention_shape(7, 1, 32),      attention_shape(2, 2, 64),     attention_shape(2, 1, 80),
      attention_shape(2, 1, 96),      attention_shape(2, 1, 128),    attention_shape(4, 2, 16, 2),
      attention_shape(4, 2, 16, 63),  attention_shape(4, 1, 24, 64), attention_shape(2, 2, 64, 65),
      attention_shape(4, 2, 16, 100), attention_shape(4, 2, 16, 150)};
  for (const AttentionShape& s : shapes) {
    const AttentionInputs inputs = random_attention_inputs(run, forest.rows(), s);
    const AttentionGradients got = backward(run, forest, s, inputs);
    const AttentionReference want = attention_reference(forest, s, inputs.q, inputs.k, inputs.v, inputs.dout);
    run.expect_close("dq " + word(s), got.dq, want.dq, 3e-6);
    run.expect_close("dk " + word(s), got.dk, want.dk, 5e-6);
    run.expect_close("dv " + word(s), got.dv, want.dv, 5e-6);
    run.record("dq " + word(s), got.dq);
    run.record("dk " + word(s), got.dk);
    run.record("dv " + word(s), got.dv);
  }
});

const Case short_groups("attention_backward", "groups of short completions", [](Run& run) {
  for (const int32_t prompt_length : {1, 9, 64}) {
    Forest forest;
    for (int32_t group = 0; group < 3; ++group) {
      const int32_t prompt = forest.add(prompt_length);
      for (int32_t i = 0; i < 12; ++i) forest.add(1 + (i + group) % 8, prompt);
    }
    const AttentionShape s = attention_shape(2, 2, 16);
    const AttentionInputs inputs = random_attention_inputs(run, forest.rows(), s);
    const AttentionGradients got = backward(run, forest, s, inputs);
    const AttentionReference want = attention_reference(forest, s, inputs.q, inputs.k, inputs.v, inputs.dout);
    const std::string prompt = " prompt " + std::to_string(prompt_length);
    run.expect_close("dq" + prompt, got.dq, want.dq, 3e-6);
    run.expect_close("dk" + prompt, got.dk, want.dk, 5e-6);
    run.expect_close("dv" + prompt, got.dv, want.dv, 5e-6);
  }
});

const Case trees_alone("attention_backward", "a tree's bits do not depend on other trees", [](Run& run) {
  for (const int32_t window : {0, 70}) {
    const AttentionShape s = attention_shape(4, 2, 24, window);
    const int64_t q_cols = int64_t{s.num_heads} * s.head_dim, kv_cols = int64_t{s.num_kv_heads} * s.head_dim;
    const Forest alone = mixed_forest();
    Forest together;
    together.add(77);
    const int32_t before = together.rows(), first = static_cast<int32_t>(together.segments().size());
    for (const Segment& segment : alone.segments())
      together.add(segment.length, segment.parent < 0 ? -1 : segment.parent + first);
    together.add(5, together.add(130));
    const AttentionInputs inputs = random_attention_inputs(run, together.rows(), s);
    std::vector<int32_t> rows;
    for (int32_t i = 0; i < alone.rows(); ++i) rows.push_back(before + i);
    const AttentionGradients want = backward(run, alone, s, inputs_of(inputs, s, rows));
    const AttentionGradients got = backward(run, together, s, inputs);
    run.expect_same_bits("dq", rows_of(got.dq, q_cols, before, alone.rows()), want.dq);
    run.expect_same_bits("dk", rows_of(got.dk, kv_cols, before, alone.rows()), want.dk);
    run.expect_same_bits("dv", rows_of(got.dv, kv_cols, before, alone.rows()), want.dv);
  }
});

}  // namespace
}  // namespace coppice::test
