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
    Matrix dgate_up(run, "dgate_up", shape.rows, 2 * shape.ff);
    ops::swiglu_backward(context, dgate_up.tensor(), grad.tensor(), gate_up.tensor());
    const auto loss = [&](const std::vector<double>& x) {
      return dot(reference(x, shape.rows, shape.ff), dout);
    };
    if (shape.rows <= 4)
      run.expect_close("dgate_up", dgate_up.values(), numeric_gradient(loss, to_double(inp)), 2e-6);
    run.record("dgate_up " + std::to_string(shape.rows), dgate_up.values());
  }
});

}  // namespace
}  // namespace coppice::test
