#include "native/harness.h"
#include "ops/ops.h"

namespace coppice::test {
namespace {

const Case add("add_forward", "odd shapes, also in place", [](Run& run) {
  for (const int64_t cols : {1, 16, 37, 700}) {
    const int64_t rows = 41;
    const std::vector<float> left = run.normals(rows * cols), right = run.normals(rows * cols);
    std::vector<float> want;
    for (size_t i = 0; i < left.size(); ++i) want.push_back(left[i] + right[i]);
    Context context = run.context();
    Matrix a(run, "a", rows, cols, left), b(run, "b", rows, cols, right, 0), out(run, "out", rows, cols, 1);
    ops::add_forward(context, out.tensor(), a.tensor(), b.tensor());
    run.expect_same_bits("out", out.values(), want);
    ops::add_forward(context, a.tensor(), a.tensor(), b.tensor());
    run.expect_same_bits("into a", a.values(), want);
  }
});

const Case gather("gather_rows", "any order, repeated rows", [](Run& run) {
  const int64_t rows = 12, cols = 37;
  const std::vector<float> inp = run.normals(rows * cols);
  const std::vector<int32_t> index = {11, 0, 0, 5, 11, 3};
  Context context = run.context();
  Matrix from(run, "inp", rows, cols, inp), out(run, "out", static_cast<int64_t>(index.size()), cols);
  Array<int32_t> row_index(run, "row_index", index);
  ops::gather_rows(context, out.tensor(), from.tensor(), row_index.data());
  std::vector<float> want;
  for (const int32_t i : index) {
    const std::vector<float> row = rows_of(inp, cols, i, 1);
    want.insert(want.end(), row.begin(), row.end());
  }
  run.expect_same_bits("out", out.values(), want);
  Array<int32_t> bad(run, "row_index", std::vector<int32_t>{0, 1, 2, 3, 4, 12});
  run.expect_error(ErrorCode::kInvalidArgument, "row_index[5]", [&] {
    ops::gather_rows(context, out.tensor(), from.tensor(), bad.data());
    run.backend.synchronize();
  });
  run.expect_same_bits("out", out.values(), want);
});

}  // namespace
}  // namespace coppice::test
