// Bad arguments: the error names the op and the argument, and nothing is written.
#include "native/harness.h"
#include "ops/ops.h"

namespace coppice::test {
namespace {

const Case linear("arguments", "linear", [](Run& run) {
  const int64_t rows = 4, in_cols = 6, out_cols = 5;
  Context context = run.context(run.backend.linear_scratch_bytes(rows, out_cols, in_cols, DType::kF32));
  TestParameter weight(run, "weight", ParameterKind::kMatrix, out_cols, in_cols,
                       run.normals(out_cols * in_cols));
  TestParameter bias(run, "bias", ParameterKind::kVector, 1, out_cols, run.normals(out_cols));
  const std::vector<float> before = run.normals(rows * out_cols);
  Matrix inp(run, "inp", rows, in_cols, run.normals(rows * in_cols)), out(run, "out", rows, out_cols, before);
  const auto refuse = [&](ErrorCode code, const char* name, const Tensor& to, const Tensor& from,
                          const Parameter& w, const Parameter* b) {
    run.expect_error(code, name, [&] { ops::linear_forward(context, to, from, w, b); });
  };
  const Tensor x = inp.tensor(), y = out.tensor();
  refuse(ErrorCode::kShapeMismatch, "inp: expected [any, 6], received [4, 5]", y, x.columns(0, 5), *weight,
         nullptr);
  refuse(ErrorCode::kShapeMismatch, "out: expected [4, 5], received [3, 5]", y.row_range(0, 3), x, *weight,
         nullptr);
  refuse(ErrorCode::kInvalidArgument, "weight (bias): expected a matrix", y, x, *bias, nullptr);
  refuse(ErrorCode::kInvalidArgument, "bias (weight): expected a vector", y, x, *weight, &*weight);
  Tensor half = x, absent = x, narrow = x;
  half.dtype = DType::kBF16;
  absent.data = nullptr;
  narrow.stride = 2;
  refuse(ErrorCode::kInvalidArgument, "inp: expected f32, received bf16", y, half, *weight, nullptr);
  refuse(ErrorCode::kInvalidArgument, "inp: expected an array", y, absent, *weight, nullptr);
  refuse(ErrorCode::kShapeMismatch, "inp: expected a stride", y, narrow, *weight, nullptr);
  context.scratch.bytes -= 1;
  refuse(ErrorCode::kInvalidArgument, "scratch", y, x, *weight, nullptr);
  run.expect_same_bits("out", out.values(), before);
});

const Case empty("arguments", "no rows: nothing is done", [](Run& run) {
  Context context = run.context(run.backend.linear_scratch_bytes(0, 5, 6, DType::kF32));
  TestParameter weight(run, "weight", ParameterKind::kMatrix, 5, 6, run.normals(30));
  const std::vector<float> before = run.normals(30);
  Array<float> dweight(run, "dweight", before);
  const Tensor inp(nullptr, 0, 6), out(nullptr, 0, 5);
  ops::linear_forward(context, out, inp, *weight, nullptr);
  ops::linear_backward_input(context, inp, out, *weight);
  ops::linear_backward_weight(context, dweight.data(), nullptr, out, inp, DType::kF32);
  run.expect_same_bits("dweight", dweight.values(), before);
});

const Case others("arguments", "norm, rope, swiglu, adamw", [](Run& run) {
  Context context = run.context(run.backend.linear_scratch_bytes(2, 1, 4, DType::kF32));
  TestParameter weight(run, "weight", ParameterKind::kVector, 1, 4, run.normals(4));
  Matrix x(run, "x", 2, 10, run.normals(20)), y(run, "y", 2, 10, run.normals(20));
  Array<float> rstd(run, "rstd", 8);
  Array<int32_t> positions(run, "positions", std::vector<int32_t>{0, 0});
  run.expect_error(ErrorCode::kInvalidArgument, "rmsnorm_forward: the columns must be whole groups", [&] {
    ops::rmsnorm_forward(context, y.tensor(), rstd.data(), x.tensor(), *weight, 1e-5f);
  });
  run.expect_error(ErrorCode::kInvalidArgument, "rope_forward: head_dim must be positive and even",
                   [&] { ops::rope_forward(context, x.tensor(), positions.data(), rstd.data(), 5); });
  run.expect_error(ErrorCode::kInvalidArgument, "rope_forward: the columns must be whole heads",
                   [&] { ops::rope_forward(context, x.tensor(), positions.data(), rstd.data(), 4); });
  run.expect_error(ErrorCode::kShapeMismatch, "swiglu_forward: gate_up: expected [2, 20], received [2, 10]",
                   [&] { ops::swiglu_forward(context, y.tensor(), x.tensor()); });
  AdamwStats stats;
  float* some = rstd.data();
  run.expect_error(ErrorCode::kInvalidArgument, "adamw_step: step must be 1 or more",
                   [&] { ops::adamw_step(context, &stats, some, some, some, some, 8, {.step = 0}); });
  run.expect_error(ErrorCode::kInvalidArgument, "adamw_step: grad: expected an array",
                   [&] { ops::adamw_step(context, &stats, some, nullptr, some, some, 8, {}); });
});

const Case devices("arguments", "devices and instruction sets", [](Run& run) {
  run.expect_error(ErrorCode::kInvalidArgument, "device", [] { open_backend({.device = "gpu"}); });
  run.expect_error(ErrorCode::kInvalidArgument, "device", [] { open_backend({.device = "cuda:x"}); });
  run.expect_error(ErrorCode::kInvalidArgument, "threads", [] { open_backend({.threads = -1}); });
  run.expect_error(ErrorCode::kInvalidArgument, "threads", [] { open_backend({.threads = 1000000}); });
  run.expect_error(ErrorCode::kDeviceUnavailable, "portable",
                   [] { open_backend({.instruction_set = "mmx"}); });
});

}  // namespace
}  // namespace coppice::test
