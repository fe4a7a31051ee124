#include <cmath>

#include "native/harness.h"
#include "ops/ops.h"

namespace coppice::test {
namespace {

constexpr int32_t kPositions = 50;

struct Shape {
  int64_t rows, heads;
  int32_t head_dim;
};
const Shape kShapes[] = {{1, 1, 2}, {5, 3, 16}, {7, 2, 36}, {90, 2, 64}};

std::vector<float> angles(int32_t head_dim) {
  std::vector<float> table;
  for (int32_t p = 0; p < kPositions; ++p) {
    for (const bool sine : {false, true}) {
      for (int32_t j = 0; j < head_dim / 2; ++j) {
        const double angle = p / std::pow(10000.0, 2.0 * j / head_dim);
        table.push_back(static_cast<float>(sine ? std::sin(angle) : std::cos(angle)));
      }
    }
  }
  return table;
}

std::vector<double> reference(const std::vector<double>& x, const std::vector<int32_t>& positions,
                              const std::vector<float>& table, const Shape& s) {
  std::vector<double> out(x.size());
  const size_t hd = static_cast<size_t>(s.head_dim), half = hd / 2, heads = static_cast<size_t>(s.heads);
  for (size_t t = 0; t < positions.size(); ++t) {
    const float* cosines = table.data() + static_cast<size_t>(positions[t]) * hd;
    for (size_t h = 0; h < heads; ++h) {
      const size_t at = (t * heads + h) * hd;
      for (size_t j = 0; j < half; ++j) {
        const double a = x[at + j], b = x[at + half + j], c = double(cosines[j]),
                     d = double(cosines[half + j]);
        out[at + j] = a * c - b * d;
        out[at + half + j] = b * c + a * d;
      }
    }
  }
  return out;
}

std::vector<float> rotate(Run& run, const Shape& s, const std::vector<float>& x,
                          const std::vector<int32_t>& positions, bool backward) {
  Context context = run.context();
  Matrix inout(run, "inout", s.rows, s.heads * s.head_dim, x);
  Array<int32_t> where(run, "positions", positions);
  Array<float> table(run, "cos_sin", angles(s.head_dim));
  (backward ? ops::rope_backward : ops::rope_forward)(context, inout.tensor(), where.data(), table.data(),
                                                      s.head_dim);
  return inout.values();
}

std::vector<int32_t> some_positions(Run& run, int64_t rows) {
  std::vector<int32_t> positions;
  for (int64_t t = 0; t < rows; ++t) positions.push_back(static_cast<int32_t>(run.below(kPositions)));
  return positions;
}

const Case forward_odd_shapes("rope_forward", "odd shapes", [](Run& run) {
  for (const Shape& s : kShapes) {
    const std::vector<float> x = run.normals(s.rows * s.heads * s.head_dim);
    const std::vector<int32_t> positions = some_positions(run, s.rows);
    const std::vector<float> out = rotate(run, s, x, positions, false);
    run.expect_close("out", out, reference(to_double(x), positions, angles(s.head_dim), s), 3e-7);
    run.record("out " + std::to_string(s.head_dim), out);
  }
});

const Case backward_odd_shapes("rope_backward", "finite differences", [](Run& run) {
  for (const Shape& s : kShapes) {
    const std::vector<float> x = run.normals(s.rows * s.heads * s.head_dim),
                             dout = run.normals(s.rows * s.heads * s.head_dim);
    const std::vector<int32_t> positions = some_positions(run, s.rows);
    const std::vector<float> dinp = rotate(run, s, dout, positions, true);
    const auto loss = [&](const std::vector<double>& at) {
      return dot(reference(at, positions, angles(s.head_dim), s), dout);
    };
    if (s.rows < 10) run.expect_close("dinp", dinp, numeric_gradient(loss, to_double(x)), 1e-6);
    run.record("dinp " + std::to_string(s.head_dim), dinp);
  }
});

const Case rows("rope_forward", "rows are independent", [](Run& run) {
  const Shape s = {6, 2, 36};
  const std::vector<float> x = run.normals(s.rows * s.heads * s.head_dim);
  const std::vector<int32_t> positions = some_positions(run, s.rows);
  run.expect_rows_independent("out", s.rows, s.heads * s.head_dim, [&](int64_t begin, int64_t count) {
    return rotate(run, {count, s.heads, s.head_dim}, rows_of(x, s.heads * s.head_dim, begin, count),
                  {positions.begin() + begin, positions.begin() + begin + count}, false);
  });
});

}  // namespace
}  // namespace coppice::test
