#include "base/thread_pool.h"
#include "native/bench.h"
#include "ops/ops.h"

namespace coppice::bench {
namespace {

struct Shape {
  int64_t rows, cols;
};
const Shape kShapes[] = {{2048, 64}, {4096, 256}, {4096, 1024}};

double bytes_of(int64_t floats) {
  return 4.0 * static_cast<double>(floats);
}

void bench_norm(Bench& bench, const Shape& s) {
  Context context = bench.context(bench.backend().linear_scratch_bytes(s.rows, 1, s.cols, DType::kF32));
  const Parameter weight = bench.parameter(ParameterKind::kVector, 1, s.cols);
  const Tensor inp = bench.tensor(s.rows, s.cols), out = bench.tensor(s.rows, s.cols),
               dinp = bench.tensor(s.rows, s.cols);
  float* rstd = bench.floats(s.rows);
  float* dweight = bench.floats(s.cols);
  const std::string shape = shape_of({s.rows, s.cols});
  if (bench.wants("rmsnorm_forward")) {
    bench.row("rmsnorm_forward", shape, 0, bytes_of(2 * s.rows * s.cols),
              [&] { ops::rmsnorm_forward(context, out, rstd, inp, weight, 1e-5f); });
  }
  if (bench.wants("rmsnorm_backward")) {
    bench.row("rmsnorm_backward", shape, 0, bytes_of(4 * s.rows * s.cols),
              [&] { ops::rmsnorm_backward(context, dinp, dweight, out, inp, weight, rstd, true); });
  }
  bench.release();
}

void bench_pointwise(Bench& bench, const Shape& s) {
  Context context = bench.context(0);
  const Tensor gate_up = bench.tensor(s.rows, 2 * s.cols), dgate_up = bench.tensor(s.rows, 2 * s.cols);
  const Tensor out = bench.tensor(s.rows, s.cols), a = bench.tensor(s.rows, s.cols),
               b = bench.tensor(s.rows, s.cols);
  const std::vector<int32_t> zeros(static_cast<size_t>(s.rows), 0);
  const int32_t* positions = bench.integers(zeros);
  const float* cos_sin = bench.floats(64);
  const std::string shape = shape_of({s.rows, s.cols});
  if (bench.wants("swiglu_forward")) {
    bench.row("swiglu_forward", shape, 0, bytes_of(3 * s.rows * s.cols),
              [&] { ops::swiglu_forward(context, out, gate_up); });
  }
  if (bench.wants("swiglu_backward")) {
    bench.row("swiglu_backward", shape, 0, bytes_of(6 * s.rows * s.cols),
              [&] { ops::swiglu_backward(context, dgate_up, a, out, gate_up); });
  }
  if (bench.wants("add_forward")) {
    bench.row("add_forward", shape, 0, bytes_of(3 * s.rows * s.cols),
              [&] { ops::add_forward(context, out, a, b); });
  }
  if (bench.wants("rope_forward")) {
    bench.row("rope_forward", shape, 0, bytes_of(2 * s.rows * s.cols),
              [&] { ops::rope_forward(context, a, positions, cos_sin, 64); });
  }
  bench.release();
}

void bench_embedding(Bench& bench, const Shape& s) {
  constexpr int64_t kVocab = 4096;
  Context context = bench.context(0);
  const Parameter weight = bench.parameter(ParameterKind::kMatrix, kVocab, s.cols);
  const Tensor out = bench.tensor(s.rows, s.cols);
  float* dweight = bench.floats(kVocab * s.cols);
  std::vector<int32_t> tokens;
  for (int64_t t = 0; t < s.rows; ++t) tokens.push_back(static_cast<int32_t>(t * 7919 % kVocab));
  const int32_t* ids = bench.integers(tokens);
  const std::string shape = shape_of({s.rows, kVocab, s.cols});
  if (bench.wants("embedding_forward")) {
    bench.row("embedding_forward", shape, 0, bytes_of(2 * s.rows * s.cols),
              [&] { ops::embedding_forward(context, out, weight, ids); });
  }
  if (bench.wants("embedding_backward")) {
    bench.row("embedding_backward", shape, 0, bytes_of(3 * s.rows * s.cols),
              [&] { ops::embedding_backward(context, dweight, kVocab, out, ids); });
  }
  bench.release();
}

void bench_optimiser(Bench& bench, int64_t count) {
  Context context = bench.context(0);
  float* master = bench.floats(count);
  float* grad = bench.floats(count);
  float* m = bench.floats(count);
  float* v = bench.floats(count);
  bench.backend().zero(v, static_cast<size_t>(count) * sizeof(float));
  AdamwStats stats;
  double sum = 0;
  if (bench.wants("adamw_step")) {
    bench.row("adamw_step", shape_of({count}), 0, bytes_of(7 * count),
              [&] { ops::adamw_step(context, &stats, master, grad, m, v, count, {}); });
  }
  if (bench.wants("sum_of_squares")) {
    bench.row("sum_of_squares", shape_of({count}), 0, bytes_of(count),
              [&] { ops::sum_of_squares(context, &sum, grad, count); });
  }
  if (bench.wants("parameter_pack")) {
    Parameter weight = bench.parameter(ParameterKind::kMatrix, count / 256, 256);
    bench.row("parameter_pack", shape_of({count / 256, 256}), 0, bytes_of(2 * count),
              [&] { bench.backend().parameter_pack(weight, master); });
  }
  bench.release();
}

}  // namespace

void bench_rows(Bench& bench) {
  if (bench.wants("region") && bench.backend().threads() > 1) {
    const ThreadTeam team(ThreadPool::shared(bench.backend().threads()), bench.backend().threads());
    bench.row("region", "empty", 0, 0, [&] { team.parallel_for(team.threads(), [](int64_t, int) {}); });
  }
  for (const Shape& s : kShapes) {
    bench_norm(bench, s);
    bench_pointwise(bench, s);
    bench_embedding(bench, s);
  }
  bench_optimiser(bench, 1 << 18);
  bench_optimiser(bench, 1 << 23);
}

}  // namespace coppice::bench
