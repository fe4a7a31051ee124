#include "native/harness.h"
#include "ops/ops.h"

namespace coppice::test {
namespace {

struct Shape {
  int64_t rows, vocab, cols;
};
const Shape kShapes[] = {{1, 1, 1}, {9, 40, 17}, {70, 33, 64}, {600, 300, 36}};

std::vector<int32_t> some_tokens(Run& run, const Shape& s) {
  std::vector<int32_t> tokens;
  for (int64_t t = 0; t < s.rows; ++t) tokens.push_back(static_cast<int32_t>(run.below(s.vocab)));
  tokens.back() = static_cast<int32_t>(s.vocab - 1);
  return tokens;
}

void check_forward(Run& run, DType dtype) {
  for (const Shape& s : kShapes) {
    const std::vector<float> weight = run.normals(s.vocab * s.cols);
    const std::vector<int32_t> tokens = some_tokens(run, s);
    Context context = run.context();
    TestParameter w(run, "weight", ParameterKind::kMatrix, s.vocab, s.cols, weight, dtype);
    Array<int32_t> ids(run, "tokens", tokens);
    Matrix out(run, "out", s.rows, s.cols);
    ops::embedding_forward(context, out.tensor(), *w, ids.data());
    std::vector<float> want;
    for (const int32_t token : tokens) {
      const std::vector<float> row = rows_of(rounded(weight, dtype), s.cols, token, 1);
      want.insert(want.end(), row.begin(), row.end());
    }
    run.expect_same_bits("out", out.values(), want);
  }
}
const Case forward("embedding_forward", "rows of the table, exactly", with_dtype(check_forward, DType::kF32)),
    forward_bf16("embedding_forward", "rows of the table, exactly; bf16",
                 with_dtype(check_forward, DType::kBF16));

const Case backward("embedding_backward", "rows add up in order", [](Run& run) {
  for (const Shape& s : kShapes) {
    const std::vector<float> dout = run.normals(s.rows * s.cols), before = run.normals(s.vocab * s.cols);
    const std::vector<int32_t> tokens = some_tokens(run, s);
    Context context = run.context();
    Array<int32_t> ids(run, "tokens", tokens);
    Array<float> dweight(run, "dweight", before);
    Matrix grad(run, "dout", s.rows, s.cols, dout);
    ops::embedding_backward(context, dweight.data(), s.vocab, grad.tensor(), ids.data());
    std::vector<float> want = before;
    for (size_t i = 0; i < dout.size(); ++i) {
      const size_t cols = static_cast<size_t>(s.cols);
      want[static_cast<size_t>(tokens[i / cols]) * cols + i % cols] += dout[i];
    }
    run.expect_same_bits("dweight", dweight.values(), want);
    run.record("dweight " + std::to_string(s.rows), dweight.values());
  }
});

const Case bad_tokens(
    "embedding_forward", "an id outside the table is refused, nothing written", [](Run& run) {
      Context context = run.context();
      TestParameter w(run, "weight", ParameterKind::kMatrix, 5, 3, run.normals(15));
      Matrix out(run, "out", 2, 3, {1, 2, 3, 4, 5, 6});
      Array<float> dweight(run, "dweight", {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
      for (const int32_t bad : {-1, 5}) {
        Array<int32_t> ids(run, "tokens", std::vector<int32_t>{0, bad});
        run.expect_error(ErrorCode::kInvalidArgument, "tokens[1]", [&] {
          ops::embedding_forward(context, out.tensor(), *w, ids.data());
          run.backend.synchronize();
        });
        run.expect_error(ErrorCode::kInvalidArgument, "tokens[1]", [&] {
          ops::embedding_backward(context, dweight.data(), 5, out.tensor(), ids.data());
          run.backend.synchronize();
        });
      }
      run.expect_same_bits("out", out.values(), {1, 2, 3, 4, 5, 6});
      run.expect_same_bits("dweight", dweight.values(), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15});
    });

}  // namespace
}  // namespace coppice::test
