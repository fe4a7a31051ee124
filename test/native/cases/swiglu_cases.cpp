#include <cmath>

#include "native/harness.h"
#include "ops/ops.h"

namespace coppice::test {
namespace {

// gate_up [rows, 2 ff] -> [rows, ff]
std::vector<double> reference(const std::vector<double>& gate_up, int64_t rows, int64_t ff) {
  std::vector<double> out;
  for (int64_t t = 0; t < rows; ++t) {
    for (int64_t j = 0; j < ff; ++j) {
      const double gate = gate_up[static_cast<size_t>(2 * ff * t + j)],
                   up = gate_up[static_cast<size_t>(2 * ff * t + ff + j)];
      out.push_back(gate / (1.0 + std::exp(-gate)) * up);
    }
  }
  return out;
}

std::vector<float> forward(Run& run, const std::vector<float>& gate_up, int64_t rows, int64_t ff) {
  Context context = run.context();
  Matrix inp(run, "gate_up", rows, 2 * ff, gate_up);
  Matrix out(run, "out", rows, ff);
  ops::swiglu_forward(context, out.tensor(), inp.tensor());
  return out.values();
}

struct Shape {
  int64_t rows, ff;
};

const Case forward_odd_shapes("swiglu_forward", "odd shapes", [](Run& run) {
  for (const Shape shape : {Shape{1, 1}, {3, 16}, {5, 37}, {200, 130}}) {
    const std::vector<float> inp = run.normals(shape.rows * 2 * shape.ff, 3.0f);
    const std::vector<float> out = forward(run, inp, shape.rows, shape.ff);
    run.expect_close("out", out, reference(to_double(inp), shape.rows, shape.ff), 1e-6);
    run.record("out " + std::to_string(shape.rows), out);
  }
});

const Case forward_extremes("swiglu_forward", "gates so large that the exponential ends", [](Run& run) {
  const std::vector<float> inp = {-200.0f, -89.0f, -87.4f, 0.0f, 87.4f, 200.0f,
                                  1.0f,    1.0f,   1.0f,   1.0f, 1.0f,  1.0f};
  run.expect_close("out", forward(run, inp, 1, 6), {0.0, 0.0, 0.0, 0.0, static_cast<double>(87.4f), 200.0},
                   1e-7);
});

const Case forward_rows("swiglu_forward", "rows are independent", [](Run& run) {
  const int64_t rows = 6, ff = 37;
  const std::vector<float> inp = run.normals(rows * 2 * ff);
  run.expect_rows_independent("out", rows, ff, [&](int64_t begin, int64_t count) {
    return forward(run, rows_of(inp, 2 * ff, begin, count), count, ff);
  });
});

const Case backward_odd_shapes("swiglu_backward", "finite differences", [](Run& run) {
  for (const Shape shape : {Shape{1, 1}, {3, 16}, {4, 37}, {60, 23}}) {
    const std::vector<float> inp = run.normals(shape.rows * 2 * shape.ff, 2.0f);
    const std::vector<float> dout = run.normals(shape.rows * shape.ff);
    Context context = run.context();
    Matrix gate_up(run, "gate_up", shape.rows, 2 * shape.ff, inp),
        grad(run, "dout", shape.rows, shape.ff, dout);
    Matrix dgate_up(run, "dgate_up", shape.rows, 2 * shape.ff), out(run, "out", shape.rows, shape.ff);
    ops::swiglu_backward(context, dgate_up.tensor(), out.tensor(), grad.tensor(), gate_up.tensor());
    run.expect_same_bits("out", out.values(), forward(run, inp, shape.rows, shape.ff));
    const auto loss = [&](const std::vector<double>& x) {
      return dot(reference(x, shape.rows, shape.ff), dout);
    };
    if (shape.rows <= 4)
      run.expect_close("dgate_up", dgate_up.values(), numeric_gradient(loss, to_double(inp)), 2e-6);
    run.record("dgate_up " + std::to_string(shape.rows), dgate_up.values());
    ops::swiglu_backward(context, gate_up.tensor(), grad.tensor(), grad.tensor(), gate_up.tensor());
    run.expect_same_bits("dgate_up in place", gate_up.values(), dgate_up.values());
    run.expect_same_bits("out in place", grad.values(), out.values());
  }
});

// More rows and columns than a block of the fused forms has, FF both a multiple of a panel and not, depths of
// one block of the products rule and of several.
struct FusedShape {
  int64_t rows, ff, cols;
};
const FusedShape kFused[] = {{1, 32, 16},     {7, 64, 40},  {300, 320, 24},
                             {130, 288, 300}, {20, 37, 50}, {9, 32, 600}};

void check_linear_swiglu(Run& run, DType dtype) {
  for (const FusedShape& s : kFused) {
    Context context = run.context(run.backend.linear_scratch_bytes(s.rows, 2 * s.ff, s.cols, dtype));
    const TestParameter weight(run, "weight", ParameterKind::kMatrix, 2 * s.ff, s.cols,
                               run.normals(2 * s.ff * s.cols), dtype);
    Matrix inp(run, "inp", s.rows, s.cols, run.normals(s.rows * s.cols));
    Matrix out(run, "out", s.rows, s.ff), gate_up(run, "gate_up", s.rows, 2 * s.ff);
    Matrix want(run, "want", s.rows, s.ff), want_gate_up(run, "want gate_up", s.rows, 2 * s.ff);
    run.backend.Backend::linear_swiglu(context, want.tensor(), want_gate_up.tensor(), inp.tensor(), *weight);
    ops::linear_swiglu(context, out.tensor(), gate_up.tensor(), inp.tensor(), *weight);
    const std::string size = std::to_string(s.rows) + "x" + std::to_string(s.ff);
    run.expect_same_bits("gate_up " + size, gate_up.values(), want_gate_up.values());
    run.expect_same_bits("out " + size, out.values(), want.values());
    run.record("out " + size, out.values());
  }
}
const Case linear_swiglu("linear_swiglu", "the bits of the ops it is made of",
                         [](Run& run) { check_linear_swiglu(run, DType::kF32); }),
    linear_swiglu_bf16("linear_swiglu", "the bits of the ops it is made of; bf16",
                       [](Run& run) { check_linear_swiglu(run, DType::kBF16); });

void check_linear_swiglu_backward(Run& run, DType dtype) {
  for (const FusedShape& s : kFused) {
    Context context = run.context(run.backend.linear_scratch_bytes(s.rows, s.cols, s.ff, dtype));
    const TestParameter weight(run, "weight", ParameterKind::kMatrix, s.cols, s.ff,
                               run.normals(s.cols * s.ff), dtype);
    const std::vector<float> values = run.normals(s.rows * 2 * s.ff);
    Matrix dout(run, "dout", s.rows, s.cols, run.normals(s.rows * s.cols));
    Matrix gate_up(run, "gate_up", s.rows, 2 * s.ff, values), out(run, "out", s.rows, s.ff);
    Matrix want_gate_up(run, "want gate_up", s.rows, 2 * s.ff, values), want(run, "want", s.rows, s.ff);
    run.backend.Backend::linear_swiglu_backward(context, want_gate_up.tensor(), want.tensor(), dout.tensor(),
                                                *weight);
    ops::linear_swiglu_backward(context, gate_up.tensor(), out.tensor(), dout.tensor(), *weight);
    const std::string size = std::to_string(s.rows) + "x" + std::to_string(s.ff);
    run.expect_same_bits("dgate_up " + size, gate_up.values(), want_gate_up.values());
    run.expect_same_bits("out " + size, out.values(), forward(run, values, s.rows, s.ff));
    run.record("dgate_up " + size, gate_up.values());
  }
}
const Case linear_swiglu_backward("linear_swiglu_backward", "the bits of the ops it is made of",
                                  [](Run& run) { check_linear_swiglu_backward(run, DType::kF32); }),
    linear_swiglu_backward_bf16("linear_swiglu_backward", "the bits of the ops it is made of; bf16",
                                [](Run& run) { check_linear_swiglu_backward(run, DType::kBF16); });

}  // namespace
}  // namespace coppice::test
