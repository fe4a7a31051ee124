#include <cmath>
#include <limits>

#include "native/head_run.h"

namespace coppice::test {
namespace {

struct HeadReference {
  std::vector<double> lp, entropy, lse;
};

std::vector<double> scaled_logits(const HeadProblem& p, const std::vector<double>& hidden,
                                  const std::vector<double>& weight, size_t item) {
  const size_t cols = static_cast<size_t>(p.cols), row = static_cast<size_t>(p.row_index[item]) * cols;
  std::vector<double> y(static_cast<size_t>(p.vocab));
  for (size_t v = 0; v < y.size(); ++v) {
    for (size_t c = 0; c < cols; ++c) y[v] += hidden[row + c] * weight[v * cols + c];
    y[v] /= static_cast<double>(p.temperature[item]);
  }
  return y;
}

HeadReference reference(const HeadProblem& p, const std::vector<double>& hidden,
                        const std::vector<double>& weight) {
  HeadReference result;
  for (size_t i = 0; i < p.target.size(); ++i) {
    const std::vector<double> y = scaled_logits(p, hidden, weight, i);
    double largest = -INFINITY, sum = 0.0, mean = 0.0;
    for (const double x : y) largest = std::fmax(largest, x);
    for (const double x : y) sum += std::exp(x - largest);
    const double lse = largest + std::log(sum);
    for (const double x : y) mean += std::exp(x - lse) * x;
    result.lse.push_back(lse);
    result.lp.push_back(y[static_cast<size_t>(p.target[i])] - lse);
    result.entropy.push_back(lse - mean);
  }
  return result;
}

std::string word(const HeadProblem& p) {
  return sizes({p.rows, p.vocab, p.cols, p.items()});
}

struct Shape {
  int64_t rows, vocab, cols, items;
};

void check_forward_shapes(Run& run, DType dtype) {
  const Shape shapes[] = {{1, 1, 1, 1},       {3, 5, 8, 7},       {9, 265, 64, 40},
                          {4, 1000, 33, 9},   {4, 1024, 16, 9},   {4, 1025, 16, 9},
                          {6, 2500, 300, 12}, {5, 9300, 24, 270}, {40, 5, 3, 4200}};
  for (const Shape& s : shapes) {
    const HeadProblem p = random_head(run, s.rows, s.vocab, s.cols, s.items, dtype);
    const HeadOutputs got = head_outputs(run, p);
    const HeadReference want =
        reference(p, to_double(rounded(p.hidden, dtype)), to_double(rounded(p.weight, dtype)));
    run.expect_close("lp " + word(p), got.lp, want.lp, 2e-6);
    run.expect_close("lse " + word(p), got.lse, want.lse, 2e-6);
    if (s.vocab > 1) run.expect_close("entropy " + word(p), got.entropy, want.entropy, 3e-6);
    const HeadOutputs without = head_outputs(run, p, false);
    run.expect_same_bits("lp without entropy " + word(p), without.lp, got.lp);
    run.record("lp " + word(p), got.lp);
    run.record("entropy " + word(p), got.entropy);
  }
}
const Case forward_shapes("head_forward", "odd shapes, temperatures, rows read several times or never",
                          with_dtype(check_forward_shapes, DType::kF32)),
    forward_shapes_bf16("head_forward", "odd shapes, temperatures, rows read several times or never; bf16",
                        with_dtype(check_forward_shapes, DType::kBF16));

void check_forward_items(Run& run, DType dtype) {
  const HeadProblem p = random_head(run, 5, 1030, 48, 20, dtype);
  run.expect_rows_independent("lp", p.items(), 3, [&](int64_t begin, int64_t count) {
    HeadProblem some = p;
    some.row_index = {p.row_index.begin() + begin, p.row_index.begin() + begin + count};
    some.target = {p.target.begin() + begin, p.target.begin() + begin + count};
    some.temperature = {p.temperature.begin() + begin, p.temperature.begin() + begin + count};
    const HeadOutputs got = head_outputs(run, some);
    std::vector<float> rows;
    for (size_t i = 0; i < some.target.size(); ++i)
      rows.insert(rows.end(), {got.lp[i], got.entropy[i], got.lse[i]});
    return rows;
  });
}
const Case forward_items("head_forward", "items are independent",
                         with_dtype(check_forward_items, DType::kF32)),
    forward_items_bf16("head_forward", "items are independent; bf16",
                       with_dtype(check_forward_items, DType::kBF16));

const Case forward_extremes(
    "head_forward", "logits of +-1000, and logits that are not numbers", [](Run& run) {
      HeadProblem p{3,
                    1500,
                    1,
                    {1.0f, 0.5f, NAN},
                    run.normals(1500, 300.0f),
                    {0, 1, 2},
                    {7, 1400, 3},
                    {1.0f, 1.0f, 1.0f}};
      p.weight[700] = 1000.0f;
      p.weight[1400] = 1000.0f;
      const HeadOutputs got = head_outputs(run, p);
      run.expect(std::fabs(got.lse[0] - (1000.0f + std::log(2.0f))) < 1e-4f, "lse of two equal giants: %.9g",
                 double(got.lse[0]));
      run.expect(std::fabs(got.lp[1] + std::log(2.0f)) < 1e-4f, "lp of one of two: %.9g", double(got.lp[1]));
      run.expect(std::fabs(got.entropy[1] - std::log(2.0f)) < 1e-4f, "entropy of two: %.9g",
                 double(got.entropy[1]));
      run.expect(std::isnan(got.lp[2]) && std::isnan(got.lse[2]) && std::isnan(got.entropy[2]),
                 "NaN went unseen");
      p.weight[3] = INFINITY;
      run.expect(std::isnan(head_outputs(run, p).lp[0]), "an infinite logit went unseen");
    });

struct HeadGradients {
  std::vector<float> dhidden, dweight;
};

// Gradients of sum g_lp lp + g_entropy entropy; dweight begins at 1.
HeadGradients backward(Run& run, const HeadProblem& p, const std::vector<float>& g_lp,
                       const std::vector<float>* g_entropy) {
  const HeadOutputs saved = head_outputs(run, p);
  Context context = run.context(run.backend.head_scratch_bytes(p.items(), p.vocab, p.cols, p.dtype));
  TestParameter weight(run, "weight", ParameterKind::kMatrix, p.vocab, p.cols, p.weight, p.dtype);
  Matrix hidden(run, "hidden", p.rows, p.cols, p.hidden), dhidden(run, "dhidden", p.rows, p.cols);
  Array<float> dweight(run, "dweight", std::vector<float>(p.weight.size(), 1.0f));
  Array<int32_t> row_index(run, "row_index", p.row_index), target(run, "target", p.target);
  Array<float> temperature(run, "temperature", p.temperature), lse(run, "lse", saved.lse);
  Array<float> entropy(run, "entropy", saved.entropy), g(run, "g_lp", g_lp);
  Array<float> ge(run, "g_entropy", g_entropy == nullptr ? std::vector<float>{} : *g_entropy);
  ops::head_backward(context, dhidden.tensor(), dweight.data(), hidden.tensor(), *weight,
                     {row_index.data(), target.data(), temperature.data(), p.items()}, lse.data(),
                     entropy.data(), g.data(), g_entropy == nullptr ? nullptr : ge.data());
  return {dhidden.values(), dweight.values()};
}

struct ReferenceGradients {
  std::vector<double> dhidden, dweight;
};

ReferenceGradients reference_gradients(const HeadProblem& p, const std::vector<float>& g_lp,
                                       const std::vector<float>& g_entropy) {
  const std::vector<double> hidden = to_double(rounded(p.hidden, p.dtype)),
                            weight = to_double(rounded(p.weight, p.dtype));
  const HeadReference forward = reference(p, hidden, weight);
  ReferenceGradients result{std::vector<double>(hidden.size()), std::vector<double>(weight.size(), 1.0)};
  const size_t cols = static_cast<size_t>(p.cols);
  for (size_t i = 0; i < p.target.size(); ++i) {
    const std::vector<double> y = scaled_logits(p, hidden, weight, i);
    const size_t row = static_cast<size_t>(p.row_index[i]) * cols;
    for (size_t v = 0; v < y.size(); ++v) {
      const double log_p = y[v] - forward.lse[i], hit = v == static_cast<size_t>(p.target[i]) ? 1.0 : 0.0;
      const double exact = (double(g_lp[i]) * (hit - std::exp(log_p)) -
                            double(g_entropy[i]) * std::exp(log_p) * (log_p + forward.entropy[i])) /
                           double(p.temperature[i]);
      const double dz =
          p.dtype == DType::kF32 ? exact : double(rounded({static_cast<float>(exact)}, p.dtype)[0]);
      for (size_t c = 0; c < cols; ++c) {
        result.dhidden[row + c] += dz * weight[v * cols + c];
        result.dweight[v * cols + c] += dz * hidden[row + c];
      }
    }
  }
  return result;
}

const Case reference_itself("head_backward", "the reference agrees with finite differences", [](Run& run) {
  const HeadProblem p = random_head(run, 3, 7, 4, 6);
  const std::vector<float> g_lp = run.normals(6), g_entropy = run.normals(6);
  const auto loss = [&](const std::vector<double>& hidden, const std::vector<double>& weight) {
    const HeadReference r = reference(p, hidden, weight);
    return dot(r.lp, g_lp) + dot(r.entropy, g_entropy);
  };
  const std::vector<double> hidden = to_double(p.hidden), weight = to_double(p.weight);
  const ReferenceGradients want = reference_gradients(p, g_lp, g_entropy);
  const std::vector<double> dhidden =
      numeric_gradient([&](const std::vector<double>& x) { return loss(x, weight); }, hidden);
  std::vector<double> dweight =
      numeric_gradient([&](const std::vector<double>& x) { return loss(hidden, x); }, weight);
  for (double& d : dweight) d += 1.0;
  run.expect_close("dhidden", {want.dhidden.begin(), want.dhidden.end()}, dhidden, 1e-6);
  run.expect_close("dweight", {want.dweight.begin(), want.dweight.end()}, dweight, 1e-6);
});

void check_backward_shapes(Run& run, DType dtype) {
  const Shape shapes[] = {{1, 1, 1, 1},     {3, 5, 8, 7},       {9, 265, 64, 40}, {40, 1000, 33, 9},
                          {4, 1025, 70, 9}, {5, 9300, 16, 270}, {60, 5, 3, 4200}};
  for (const Shape& s : shapes) {
    const HeadProblem p = random_head(run, s.rows, s.vocab, s.cols, s.items, dtype);
    const std::vector<float> g_lp = run.normals(s.items), g_entropy = run.normals(s.items);
    const HeadGradients got = backward(run, p, g_lp, &g_entropy);
    const ReferenceGradients want = reference_gradients(p, g_lp, g_entropy);
    // In bf16 a dz that the two compute with another last bit may round to another neighbour.
    const double tolerance = dtype == DType::kF32 ? 5e-6 : 1e-3;
    if (s.vocab > 1) run.expect_close("dhidden " + word(p), got.dhidden, want.dhidden, tolerance);
    run.expect_close("dweight " + word(p), got.dweight, want.dweight, tolerance);
    run.record("dhidden " + word(p), got.dhidden);
    run.record("dweight " + word(p), got.dweight);
    const HeadGradients without = backward(run, p, g_lp, nullptr);
    const std::vector<float> zeros(g_lp.size(), 0.0f);
    const HeadGradients none = backward(run, p, g_lp, &zeros);
    run.expect_same_bits("dhidden without entropy " + word(p), without.dhidden, none.dhidden);
  }
}
const Case backward_shapes("head_backward", "odd shapes; dweight added to, dhidden overwritten",
                           with_dtype(check_backward_shapes, DType::kF32)),
    backward_shapes_bf16("head_backward", "odd shapes; dweight added to, dhidden overwritten; bf16",
                         with_dtype(check_backward_shapes, DType::kBF16));

void check_backward_items(Run& run, DType dtype) {
  HeadProblem p = random_head(run, 12, 1100, 40, 12, dtype);
  for (size_t i = 0; i < 12; ++i) p.row_index[i] = static_cast<int32_t>(i);
  const std::vector<float> g_lp = run.normals(12), g_entropy = run.normals(12);
  run.expect_rows_independent("dhidden", 12, p.cols, [&](int64_t begin, int64_t count) {
    HeadProblem some = p;
    some.row_index = {p.row_index.begin() + begin, p.row_index.begin() + begin + count};
    some.target = {p.target.begin() + begin, p.target.begin() + begin + count};
    some.temperature = {p.temperature.begin() + begin, p.temperature.begin() + begin + count};
    const std::vector<float> g = rows_of(g_lp, 1, begin, count), ge = rows_of(g_entropy, 1, begin, count);
    return rows_of(backward(run, some, g, &ge).dhidden, p.cols, begin, count);
  });
}
const Case backward_items("head_backward", "dhidden of an item is independent of the others",
                          with_dtype(check_backward_items, DType::kF32)),
    backward_items_bf16("head_backward", "dhidden of an item is independent of the others; bf16",
                        with_dtype(check_backward_items, DType::kBF16));

const Case arguments("head_forward", "rows and tokens are checked where they index", [](Run& run) {
  const HeadProblem p = random_head(run, 3, 5, 4, 6);
  HeadProblem wrong = p;
  wrong.target[4] = 5;
  run.expect_error(ErrorCode::kInvalidArgument, "target[4]", [&] { head_outputs(run, wrong); });
  wrong.target[4] = -1;
  run.expect_error(ErrorCode::kInvalidArgument, "target[4]", [&] { head_outputs(run, wrong); });
  wrong = p;
  wrong.row_index[2] = 3;
  run.expect_error(ErrorCode::kInvalidArgument, "row_index[2]", [&] { head_outputs(run, wrong); });
  wrong.row_index[2] = -1;
  run.expect_error(ErrorCode::kInvalidArgument, "row_index[2]", [&] { head_outputs(run, wrong); });
});

}  // namespace
}  // namespace coppice::test
