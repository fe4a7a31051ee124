#include <algorithm>

#include "native/harness.h"
#include "ops/ops.h"

namespace coppice::test {
namespace {

struct Shape {
  int64_t rows, out_cols, in_cols;
  DType dtype = DType::kF32;
};
// Around the micro-tiles' heights and widths, one panel more or less, and across several blocks of
// kProductDepth.
const Shape kShapes[] = {{1, 1, 1},     {3, 5, 7},     {14, 32, 16},   {15, 33, 17},   {1, 300, 70},
                         {29, 70, 300}, {300, 65, 40}, {257, 31, 513}, {64, 128, 256}, {130, 96, 640}};

std::string word(const Shape& s) {
  return sizes({s.rows, s.out_cols, s.in_cols});
}

std::vector<Shape> shapes(DType dtype) {
  std::vector<Shape> all(std::begin(kShapes), std::end(kShapes));
  for (Shape& shape : all) shape.dtype = dtype;
  return all;
}

// a [rows, depth] times b [depth, cols], each read through its own strides.
template <typename A, typename B>
std::vector<double> multiply(int64_t rows, int64_t cols, int64_t depth, const A& a, const B& b) {
  std::vector<double> out;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < cols; ++j) {
      double total = 0.0;
      for (int64_t k = 0; k < depth; ++k)
        total += static_cast<double>(a(i, k)) * static_cast<double>(b(k, j));
      out.push_back(total);
    }
  }
  return out;
}

auto view(std::vector<float> values, int64_t cols) {
  return [values = std::move(values), cols](int64_t i, int64_t j) {
    return values[static_cast<size_t>(i * cols + j)];
  };
}
auto transposed(std::vector<float> values, int64_t cols) {
  return [values = std::move(values), cols](int64_t i, int64_t j) {
    return values[static_cast<size_t>(j * cols + i)];
  };
}

size_t scratch_bytes(Run& run, const Shape& s) {
  return run.backend.linear_scratch_bytes(s.rows, s.out_cols, s.in_cols, s.dtype);
}

std::vector<float> forward(Run& run, const Shape& s, const std::vector<float>& inp,
                           const std::vector<float>& weight, const std::vector<float>& bias) {
  Context context = run.context(scratch_bytes(run, s));
  TestParameter w(run, "weight", ParameterKind::kMatrix, s.out_cols, s.in_cols, weight, s.dtype);
  Matrix x(run, "inp", s.rows, s.in_cols, inp), out(run, "out", s.rows, s.out_cols);
  if (bias.empty()) {
    ops::linear_forward(context, out.tensor(), x.tensor(), *w, nullptr);
  } else {
    TestParameter b(run, "bias", ParameterKind::kVector, 1, s.out_cols, bias, s.dtype);
    ops::linear_forward(context, out.tensor(), x.tensor(), *w, &*b);
  }
  return out.values();
}

void check_forward_odd_shapes(Run& run, DType dtype) {
  for (const Shape& s : shapes(dtype)) {
    const std::vector<float> inp = run.normals(s.rows * s.in_cols),
                             weight = run.normals(s.out_cols * s.in_cols);
    const std::vector<float> bias = run.normals(s.out_cols);
    std::vector<double> want = multiply(s.rows, s.out_cols, s.in_cols, view(rounded(inp, dtype), s.in_cols),
                                        transposed(rounded(weight, dtype), s.in_cols));
    const std::vector<float> plain = forward(run, s, inp, weight, {});
    run.expect_close("out " + word(s), plain, want, 2e-6);
    const std::vector<float> kept_bias = rounded(bias, dtype);
    for (size_t i = 0; i < want.size(); ++i) want[i] += static_cast<double>(kept_bias[i % bias.size()]);
    run.expect_close("out with bias " + word(s), forward(run, s, inp, weight, bias), want, 2e-6);
    run.record("out " + word(s), plain);
  }
}
const Case forward_odd_shapes("linear_forward", "odd shapes, with and without bias",
                              with_dtype(check_forward_odd_shapes, DType::kF32)),
    forward_odd_shapes_bf16("linear_forward", "odd shapes, with and without bias; bf16",
                            with_dtype(check_forward_odd_shapes, DType::kBF16));

void check_forward_rows(Run& run, DType dtype) {
  for (const Shape& s : {Shape{33, 70, 300, dtype}, {17, 33, 20, dtype}}) {
    const std::vector<float> inp = run.normals(s.rows * s.in_cols),
                             weight = run.normals(s.out_cols * s.in_cols);
    run.expect_rows_independent("out " + word(s), s.rows, s.out_cols, [&](int64_t begin, int64_t count) {
      return forward(run, {count, s.out_cols, s.in_cols, dtype}, rows_of(inp, s.in_cols, begin, count),
                     weight, {});
    });
  }
}
const Case forward_rows("linear_forward", "rows are independent",
                        with_dtype(check_forward_rows, DType::kF32)),
    forward_rows_bf16("linear_forward", "rows are independent; bf16",
                      with_dtype(check_forward_rows, DType::kBF16));

// Gradients of sum(dout * (inp W^T + bias)) are products too; at this size they are held against finite
// differences.
const Case gradients("linear_backward_input", "finite differences of the whole map", [](Run& run) {
  const Shape s = {4, 3, 5};
  const std::vector<float> inp = run.normals(s.rows * s.in_cols),
                           weight = run.normals(s.out_cols * s.in_cols);
  const std::vector<float> dout = run.normals(s.rows * s.out_cols);
  std::vector<double> both = to_double(inp);
  both.insert(both.end(), weight.begin(), weight.end());
  const auto loss = [&](const std::vector<double>& x) {
    const double* w = x.data() + s.rows * s.in_cols;
    return dot(multiply(
                   s.rows, s.out_cols, s.in_cols,
                   [&](int64_t i, int64_t k) { return x[static_cast<size_t>(i * s.in_cols + k)]; },
                   [&](int64_t k, int64_t j) { return w[j * s.in_cols + k]; }),
               dout);
  };
  const std::vector<double> want = numeric_gradient(loss, both);
  Context context = run.context(scratch_bytes(run, s));
  TestParameter w(run, "weight", ParameterKind::kMatrix, s.out_cols, s.in_cols, weight, s.dtype);
  Matrix x(run, "inp", s.rows, s.in_cols, inp), dy(run, "dout", s.rows, s.out_cols, dout);
  Matrix dx(run, "dinp", s.rows, s.in_cols);
  Array<float> dw(run, "dweight", std::vector<float>(static_cast<size_t>(s.out_cols * s.in_cols), 0.0f));
  ops::linear_backward_input(context, dx.tensor(), dy.tensor(), *w);
  ops::linear_backward_weight(context, dw.data(), nullptr, dy.tensor(), x.tensor(), s.dtype);
  const auto split = want.begin() + s.rows * s.in_cols;
  run.expect_close("dinp", dx.values(), {want.begin(), split}, 1e-6);
  run.expect_close("dweight", dw.values(), {split, want.end()}, 1e-6);
});

std::vector<float> backward_input(Run& run, const Shape& s, const std::vector<float>& dout,
                                  const std::vector<float>& weight) {
  Context context = run.context(scratch_bytes(run, s));
  TestParameter w(run, "weight", ParameterKind::kMatrix, s.out_cols, s.in_cols, weight, s.dtype);
  Matrix dy(run, "dout", s.rows, s.out_cols, dout), dx(run, "dinp", s.rows, s.in_cols);
  ops::linear_backward_input(context, dx.tensor(), dy.tensor(), *w);
  return dx.values();
}

void check_backward_input_odd_shapes(Run& run, DType dtype) {
  for (const Shape& s : shapes(dtype)) {
    const std::vector<float> dout = run.normals(s.rows * s.out_cols),
                             weight = run.normals(s.out_cols * s.in_cols);
    const std::vector<float> dinp = backward_input(run, s, dout, weight);
    run.expect_close("dinp " + word(s), dinp,
                     multiply(s.rows, s.in_cols, s.out_cols, view(rounded(dout, dtype), s.out_cols),
                              view(rounded(weight, dtype), s.in_cols)),
                     2e-6);
    run.record("dinp " + word(s), dinp);
  }
}
const Case backward_input_odd_shapes("linear_backward_input", "odd shapes",
                                     with_dtype(check_backward_input_odd_shapes, DType::kF32)),
    backward_input_odd_shapes_bf16("linear_backward_input", "odd shapes; bf16",
                                   with_dtype(check_backward_input_odd_shapes, DType::kBF16));

void check_backward_input_rows(Run& run, DType dtype) {
  const Shape s = {31, 290, 40, dtype};
  const std::vector<float> dout = run.normals(s.rows * s.out_cols),
                           weight = run.normals(s.out_cols * s.in_cols);
  run.expect_rows_independent("dinp", s.rows, s.in_cols, [&](int64_t begin, int64_t count) {
    return backward_input(run, {count, s.out_cols, s.in_cols, dtype}, rows_of(dout, s.out_cols, begin, count),
                          weight);
  });
}
const Case backward_input_rows("linear_backward_input", "rows are independent",
                               with_dtype(check_backward_input_rows, DType::kF32)),
    backward_input_rows_bf16("linear_backward_input", "rows are independent; bf16",
                             with_dtype(check_backward_input_rows, DType::kBF16));

void check_backward_weight_odd_shapes(Run& run, DType dtype) {
  for (const Shape& s : shapes(dtype)) {
    const std::vector<float> dout = run.normals(s.rows * s.out_cols), inp = run.normals(s.rows * s.in_cols);
    const std::vector<float> dweight = run.normals(s.out_cols * s.in_cols), dbias = run.normals(s.out_cols);
    Context context = run.context(scratch_bytes(run, s));
    Matrix dy(run, "dout", s.rows, s.out_cols, dout), x(run, "inp", s.rows, s.in_cols, inp);
    Array<float> dw(run, "dweight", dweight), db(run, "dbias", dbias);
    ops::linear_backward_weight(context, dw.data(), db.data(), dy.tensor(), x.tensor(), s.dtype);
    std::vector<double> want =
        multiply(s.out_cols, s.in_cols, s.rows, transposed(rounded(dout, dtype), s.out_cols),
                 view(rounded(inp, dtype), s.in_cols));
    for (size_t i = 0; i < want.size(); ++i) want[i] += static_cast<double>(dweight[i]);
    std::vector<double> want_bias = to_double(dbias);
    for (size_t i = 0; i < dout.size(); ++i) want_bias[i % dbias.size()] += static_cast<double>(dout[i]);
    run.expect_close("dweight " + word(s), dw.values(), want, 2e-6);
    run.expect_close("dbias " + word(s), db.values(), want_bias, 2e-6);
    run.record("dweight " + word(s), dw.values());
    run.record("dbias " + word(s), db.values());
  }
}
const Case backward_weight_odd_shapes("linear_backward_weight", "odd shapes, on top of what is there",
                                      with_dtype(check_backward_weight_odd_shapes, DType::kF32)),
    backward_weight_odd_shapes_bf16("linear_backward_weight", "odd shapes, on top of what is there; bf16",
                                    with_dtype(check_backward_weight_odd_shapes, DType::kBF16));

// A batch cut at a multiple of kProductDepth rows (in bf16 pairs of rows) adds the same blocks in the same
// order.
void check_backward_weight_blocks(Run& run, DType dtype) {
  const Shape s = {600, 37, 50, dtype};
  const std::vector<float> dout = run.normals(s.rows * s.out_cols), inp = run.normals(s.rows * s.in_cols);
  Context context = run.context(scratch_bytes(run, s));
  Matrix dy(run, "dout", s.rows, s.out_cols, dout), x(run, "inp", s.rows, s.in_cols, inp);
  const std::vector<float> zeros(static_cast<size_t>(s.out_cols * s.in_cols), 0.0f);
  Array<float> once(run, "dweight", zeros), twice(run, "dweight", zeros);
  ops::linear_backward_weight(context, once.data(), nullptr, dy.tensor(), x.tensor(), s.dtype);
  const int64_t cut = 2 * kProductDepth, rest = s.rows - cut;
  ops::linear_backward_weight(context, twice.data(), nullptr, dy.tensor().row_range(0, cut),
                              x.tensor().row_range(0, cut), s.dtype);
  ops::linear_backward_weight(context, twice.data(), nullptr, dy.tensor().row_range(cut, rest),
                              x.tensor().row_range(cut, rest), s.dtype);
  run.expect_same_bits("dweight", twice.values(), once.values());
}
const Case backward_weight_blocks("linear_backward_weight", "two calls add what one call adds",
                                  with_dtype(check_backward_weight_blocks, DType::kF32)),
    backward_weight_blocks_bf16("linear_backward_weight", "two calls add what one call adds; bf16",
                                with_dtype(check_backward_weight_blocks, DType::kBF16));

// Shapes whose outputs are worth the CUDA backend's largest tiles, of which the first rows come again in its
// small ones.
struct Product {
  const char* name;
  // rows, cols of the output and depth
  std::vector<float> (*compute)(Run&, int64_t rows, int64_t cols, int64_t depth, const std::vector<float>& a,
                                const std::vector<float>& b);
};

std::vector<float> weight_gradient(Run& run, int64_t rows, int64_t cols, int64_t depth,
                                   const std::vector<float>& a, const std::vector<float>& b) {
  std::vector<float> dout(static_cast<size_t>(depth * rows));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t k = 0; k < depth; ++k)
      dout[static_cast<size_t>(k * rows + i)] = a[static_cast<size_t>(i * depth + k)];
  }
  const Shape s = {depth, rows, cols, DType::kBF16};
  Context context = run.context(scratch_bytes(run, s));
  Matrix dy(run, "dout", depth, rows, dout), x(run, "inp", depth, cols, b);
  Array<float> dw(run, "dweight", std::vector<float>(static_cast<size_t>(rows * cols), 0.0f));
  ops::linear_backward_weight(context, dw.data(), nullptr, dy.tensor(), x.tensor(), s.dtype);
  return dw.values();
}

const Product kProducts[] = {
    {"out",
     [](Run& run, int64_t rows, int64_t cols, int64_t depth, const std::vector<float>& a,
        const std::vector<float>& b) {
       std::vector<float> weight(b.size());
       for (int64_t k = 0; k < depth; ++k) {
         for (int64_t j = 0; j < cols; ++j)
           weight[static_cast<size_t>(j * depth + k)] = b[static_cast<size_t>(k * cols + j)];
       }
       return forward(run, {rows, cols, depth, DType::kBF16}, a, weight, {});
     }},
    {"dinp",
     [](Run& run, int64_t rows, int64_t cols, int64_t depth, const std::vector<float>& a,
        const std::vector<float>& b) {
       return backward_input(run, {rows, depth, cols, DType::kBF16}, a, b);
     }},
    {"dweight", weight_gradient},
};

void check_large_outputs(Run& run) {
  const int64_t rows = 1100, cols = 1450, depth = 25;
  const std::vector<float> a = run.normals(rows * depth), b = run.normals(depth * cols);
  const std::vector<double> want = multiply(rows, cols, depth, view(rounded(a, DType::kBF16), depth),
                                            view(rounded(b, DType::kBF16), cols));
  for (const Product& product : kProducts) {
    const std::vector<float> all = product.compute(run, rows, cols, depth, a, b);
    run.expect_close(product.name, all, want, 2e-6);
    run.record(product.name, all);
    for (const int64_t count : {int64_t{7}, int64_t{50}}) {
      run.expect_same_bits(std::string(product.name) + " of the first rows",
                           product.compute(run, count, cols, depth, rows_of(a, depth, 0, count), b),
                           rows_of(all, cols, 0, count));
    }
  }
}
const Case large_outputs("linear_forward", "a thousand rows and columns, and the first rows alone; bf16",
                         check_large_outputs);

void check_residual_composite(Run& run, DType dtype) {
  for (const Shape& s : shapes(dtype)) {
    const std::vector<float> inp = run.normals(s.rows * s.in_cols),
                             weight = run.normals(s.out_cols * s.in_cols);
    const std::vector<float> residual = run.normals(s.rows * s.out_cols);
    Context context = run.context(scratch_bytes(run, s));
    TestParameter w(run, "weight", ParameterKind::kMatrix, s.out_cols, s.in_cols, weight, s.dtype);
    Matrix x(run, "inp", s.rows, s.in_cols, inp), r(run, "residual", s.rows, s.out_cols, residual);
    Matrix staging(run, "staging", s.rows, s.out_cols), oracle(run, "oracle", s.rows, s.out_cols);
    Matrix out(run, "out", s.rows, s.out_cols);
    run.backend.Backend::linear_residual(context, oracle.tensor(), x.tensor(), *w, r.tensor(),
                                         staging.tensor());
    ops::linear_residual(context, out.tensor(), x.tensor(), *w, r.tensor(), staging.tensor());
    run.expect_same_bits("out " + word(s), out.values(), oracle.values());
    ops::linear_residual(context, r.tensor(), x.tensor(), *w, r.tensor(), staging.tensor());
    run.expect_same_bits("in place " + word(s), r.values(), oracle.values());
    std::vector<double> want = multiply(s.rows, s.out_cols, s.in_cols, view(rounded(inp, dtype), s.in_cols),
                                        transposed(rounded(weight, dtype), s.in_cols));
    for (size_t i = 0; i < want.size(); ++i) want[i] += static_cast<double>(residual[i]);
    run.expect_close("out " + word(s), out.values(), want, 2e-6);
  }
}
const Case residual_composite("linear_residual", "the bits of the ops it is made of, also in place",
                              with_dtype(check_residual_composite, DType::kF32)),
    residual_composite_bf16("linear_residual", "the bits of the ops it is made of, also in place; bf16",
                            with_dtype(check_residual_composite, DType::kBF16));

void check_parameter_round_trip(Run& run, DType dtype) {
  const int64_t rows = 75, cols = 21;
  const std::vector<float> values = run.normals(rows * cols), other = run.normals(rows * cols),
                           kept = rounded(values, dtype);
  TestParameter whole(run, "whole", ParameterKind::kMatrix, rows, cols, values, dtype);
  TestParameter pieces(run, "pieces", ParameterKind::kMatrix, rows, cols, other, dtype);
  for (int64_t begin = 0, count = 5; begin < rows; begin += count) {
    count = std::min<int64_t>(count + 13, rows - begin);
    run.backend.parameter_upload(pieces.mutable_parameter(), begin, count, values.data() + begin * cols);
  }
  std::vector<float> back(values.size()), part(static_cast<size_t>(9 * cols));
  run.backend.parameter_download(*whole, 0, rows, back.data());
  run.expect_same_bits("whole", back, kept);
  run.backend.parameter_download(*pieces, 0, rows, back.data());
  run.expect_same_bits("pieces", back, kept);
  run.backend.parameter_download(*pieces, 40, 9, part.data());
  run.expect_same_bits("part", part, rows_of(kept, cols, 40, 9));
  Array<float> master(run, "master", other);
  run.backend.parameter_pack(pieces.mutable_parameter(), master.data());
  run.backend.parameter_download(*pieces, 0, rows, back.data());
  run.expect_same_bits("packed", back, rounded(other, dtype));
}
const Case parameter_round_trip("parameter_upload", "in pieces, and back",
                                with_dtype(check_parameter_round_trip, DType::kF32)),
    parameter_round_trip_bf16("parameter_upload", "in pieces, and back; bf16",
                              with_dtype(check_parameter_round_trip, DType::kBF16));

}  // namespace
}  // namespace coppice::test
