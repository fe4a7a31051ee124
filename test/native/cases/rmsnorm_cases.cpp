#include <cmath>

#include "native/harness.h"
#include "ops/ops.h"

namespace coppice::test {
namespace {

constexpr float kEps = 1e-5f;

struct Shape {
  int64_t rows, groups, width;
};
const Shape kShapes[] = {{1, 1, 1}, {5, 1, 16}, {3, 1, 37}, {4, 3, 20}, {300, 1, 50}, {520, 2, 8}};

std::vector<double> reference(const std::vector<double>& inp, const std::vector<double>& weight,
                              const Shape& s) {
  std::vector<double> out(inp.size());
  const size_t width = static_cast<size_t>(s.width);
  for (size_t begin = 0; begin < inp.size(); begin += width) {
    double squares = 0.0;
    for (size_t j = 0; j < width; ++j) squares += inp[begin + j] * inp[begin + j];
    const double rstd = 1.0 / std::sqrt(squares / static_cast<double>(width) + static_cast<double>(kEps));
    for (size_t j = 0; j < width; ++j) out[begin + j] = inp[begin + j] * rstd * weight[j];
  }
  return out;
}

struct Gradients {
  std::vector<double> dinp, dweight;
};

Gradients reference_gradients(const std::vector<float>& inp, const std::vector<float>& weight,
                              const std::vector<float>& dout, const Shape& s) {
  Gradients result{std::vector<double>(inp.size()), std::vector<double>(weight.size())};
  const size_t width = static_cast<size_t>(s.width);
  for (size_t begin = 0; begin < inp.size(); begin += width) {
    double squares = 0.0, mean = 0.0;
    for (size_t j = 0; j < width; ++j) squares += double(inp[begin + j]) * double(inp[begin + j]);
    const double rstd = 1.0 / std::sqrt(squares / static_cast<double>(width) + static_cast<double>(kEps));
    for (size_t j = 0; j < width; ++j) {
      mean += double(dout[begin + j]) * double(weight[j]) * double(inp[begin + j]) * rstd /
              static_cast<double>(width);
    }
    for (size_t j = 0; j < width; ++j) {
      const double xhat = double(inp[begin + j]) * rstd;
      result.dinp[begin + j] = rstd * (double(dout[begin + j]) * double(weight[j]) - xhat * mean);
      result.dweight[j] += double(dout[begin + j]) * xhat;
    }
  }
  return result;
}

struct Forward {
  std::vector<float> out, rstd;
};

Forward forward(Run& run, const Shape& s, const std::vector<float>& inp, const std::vector<float>& weight,
                bool in_place) {
  Context context = run.context();
  TestParameter w(run, "weight", ParameterKind::kVector, 1, s.width, weight);
  Matrix x(run, "inp", s.rows, s.groups * s.width, inp), out(run, "out", s.rows, s.groups * s.width);
  Array<float> rstd(run, "rstd", s.rows * s.groups);
  ops::rmsnorm_forward(context, in_place ? x.tensor() : out.tensor(), rstd.data(), x.tensor(), *w, kEps);
  return {in_place ? x.values() : out.values(), rstd.values()};
}

std::string word(const Shape& s) {
  return sizes({s.rows, s.groups, s.width});
}

const Case forward_odd_shapes("rmsnorm_forward", "odd shapes, groups, in place", [](Run& run) {
  for (const Shape& s : kShapes) {
    const std::vector<float> inp = run.normals(s.rows * s.groups * s.width, 2.0f),
                             weight = run.normals(s.width);
    const Forward result = forward(run, s, inp, weight, false);
    run.expect_close("out " + word(s), result.out, reference(to_double(inp), to_double(weight), s), 1e-6);
    run.expect_same_bits("in place " + word(s), forward(run, s, inp, weight, true).out, result.out);
    run.record("out " + word(s), result.out);
    run.record("rstd " + word(s), result.rstd);
  }
});

const Case forward_rows("rmsnorm_forward", "rows are independent", [](Run& run) {
  const Shape s = {9, 2, 37};
  const std::vector<float> inp = run.normals(s.rows * s.groups * s.width), weight = run.normals(s.width);
  run.expect_rows_independent("out", s.rows, s.groups * s.width, [&](int64_t begin, int64_t count) {
    return forward(run, {count, s.groups, s.width}, rows_of(inp, s.groups * s.width, begin, count), weight,
                   false)
        .out;
  });
});

struct Backward {
  std::vector<float> dinp, dweight;
};

enum class Into { kFresh, kSum, kDout };

Backward backward(Run& run, const Shape& s, const std::vector<float>& inp, const std::vector<float>& weight,
                  const std::vector<float>& dout, const std::vector<float>& before, Into into) {
  Context context = run.context(run.backend.linear_scratch_bytes(s.rows, 1, s.width, DType::kF32));
  TestParameter w(run, "weight", ParameterKind::kVector, 1, s.width, weight);
  const int64_t cols = s.groups * s.width;
  Matrix x(run, "inp", s.rows, cols, inp), dy(run, "dout", s.rows, cols, dout),
      sum(run, "dinp", s.rows, cols, before);
  Matrix fresh(run, "dinp", s.rows, cols), out(run, "out", s.rows, cols);
  Array<float> rstd(run, "rstd", s.rows * s.groups);
  Array<float> dweight(run, "dweight", std::vector<float>(static_cast<size_t>(s.width), 1.0f));
  ops::rmsnorm_forward(context, out.tensor(), rstd.data(), x.tensor(), *w, kEps);
  const Matrix& dinp = into == Into::kFresh ? fresh : into == Into::kSum ? sum : dy;
  ops::rmsnorm_backward(context, dinp.tensor(), dweight.data(), dy.tensor(), x.tensor(), *w, rstd.data(),
                        into == Into::kSum);
  return {dinp.values(), dweight.values()};
}

const Case backward_odd_shapes(
    "rmsnorm_backward", "finite differences; overwriting, adding, in place", [](Run& run) {
      for (const Shape& s : kShapes) {
        const int64_t count = s.rows * s.groups * s.width;
        const std::vector<float> inp = run.normals(count, 2.0f), weight = run.normals(s.width),
                                 dout = run.normals(count);
        const std::vector<float> before = run.normals(count);
        Gradients want = reference_gradients(inp, weight, dout, s);
        if (count < 300) {
          const auto of_inp = [&](const std::vector<double>& x) {
            return dot(reference(x, to_double(weight), s), dout);
          };
          const auto of_weight = [&](const std::vector<double>& w) {
            return dot(reference(to_double(inp), w, s), dout);
          };
          want = {numeric_gradient(of_inp, to_double(inp)), numeric_gradient(of_weight, to_double(weight))};
        }
        for (double& d : want.dweight) d += 1.0;
        const Backward fresh = backward(run, s, inp, weight, dout, before, Into::kFresh);
        // A group of one element has a gradient that is nearly nothing: eps times what its terms are.
        const double tolerance = s.width == 1 ? 1e-1 : 3e-6;
        run.expect_close("dinp " + word(s), fresh.dinp, want.dinp, tolerance);
        run.expect_close("dweight " + word(s), fresh.dweight, want.dweight, 3e-6);
        run.expect_same_bits("in place " + word(s),
                             backward(run, s, inp, weight, dout, before, Into::kDout).dinp, fresh.dinp);
        std::vector<double> sum = want.dinp;
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += static_cast<double>(before[i]);
        run.expect_close("dinp added " + word(s),
                         backward(run, s, inp, weight, dout, before, Into::kSum).dinp, sum, 3e-6);
        run.record("dinp " + word(s), fresh.dinp);
        run.record("dweight " + word(s), fresh.dweight);
      }
    });

const Case backward_rows("rmsnorm_backward", "rows are independent", [](Run& run) {
  const Shape s = {9, 1, 37};
  const std::vector<float> inp = run.normals(s.rows * s.width), weight = run.normals(s.width);
  const std::vector<float> dout = run.normals(s.rows * s.width);
  run.expect_rows_independent("dinp", s.rows, s.width, [&](int64_t begin, int64_t count) {
    const std::vector<float> some = rows_of(dout, s.width, begin, count);
    return backward(run, {count, 1, s.width}, rows_of(inp, s.width, begin, count), weight, some, some,
                    Into::kFresh)
        .dinp;
  });
});

}  // namespace
}  // namespace coppice::test
