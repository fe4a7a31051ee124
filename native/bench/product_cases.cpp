// Linear maps. inner -> cols: weight [cols, inner].
#include <algorithm>

#include "base/error.h"
#include "bench/op_case.h"
#include "ops/ops.h"

namespace coppice::bench {
namespace {

void check_even(int64_t cols) {
  if (cols % 2 == 0) return;
  fail(ErrorCode::kShapeMismatch, "shape of linear_swiglu: cols: expected an even number; received %lld",
       static_cast<long long>(cols));
}

struct Product {
  int64_t rows, cols, inner;
  Context& context;
  const Parameter& weight;
  const Tensor &inp, &out;
  DType dtype;

  Product(CaseMemory& memory, const OpShape& shape)
      : rows(shape.at("rows")),
        cols(shape.at("cols")),
        inner(shape.at("inner")),
        context(memory.context(memory.backend().linear_scratch_bytes(rows, cols, inner, memory.dtype()))),
        weight(memory.parameter(ParameterKind::kMatrix, cols, inner)),
        inp(memory.tensor(rows, inner)),
        out(memory.tensor(rows, cols)),
        dtype(memory.dtype()) {}

  // `more`: bytes beside the weight and both activations. Rows of `out_cols` are written.
  ReadyOp ready(int64_t out_cols, double more, std::function<void()> run) const {
    const double rows_bytes = 4.0 * static_cast<double>(rows * (cols + inner));
    const double weight_bytes = static_cast<double>(dtype_bytes(dtype)) * static_cast<double>(cols * inner);
    return {.flops = 2.0 * static_cast<double>(rows * cols * inner),
            .bytes = rows_bytes + weight_bytes + more,
            .written = 4.0 * static_cast<double>(rows * out_cols),
            .arithmetic = dtype,
            .run = std::move(run)};
  }
};

ReadyOp linear(CaseMemory& memory, const OpShape& shape) {
  const Product p(memory, shape);
  return p.ready(p.cols, 0, [p] { ops::linear_forward(p.context, p.out, p.inp, p.weight, nullptr); });
}

ReadyOp linear_residual(CaseMemory& memory, const OpShape& shape) {
  const Product p(memory, shape);
  const Tensor &residual = memory.tensor(p.rows, p.cols), &staging = memory.tensor(p.rows, p.cols);
  return p.ready(p.cols, 4.0 * static_cast<double>(p.rows * p.cols), [p, &residual, &staging] {
    ops::linear_residual(p.context, p.out, p.inp, p.weight, residual, staging);
  });
}

ReadyOp linear_backward_input(CaseMemory& memory, const OpShape& shape) {
  const Product p(memory, shape);
  return p.ready(p.inner, 0, [p] { ops::linear_backward_input(p.context, p.inp, p.out, p.weight); });
}

ReadyOp linear_backward_weight(CaseMemory& memory, const OpShape& shape) {
  const Product p(memory, shape);
  float* const dweight = memory.constants(p.cols * p.inner, 0);
  // The gradient is read and written, in fp32; the weight is not touched.
  const double gradient =
      (8.0 - static_cast<double>(dtype_bytes(p.dtype))) * static_cast<double>(p.cols * p.inner);
  ReadyOp ready = p.ready(0, gradient, [p, dweight] {
    ops::linear_backward_weight(p.context, dweight, nullptr, p.out, p.inp, p.dtype);
  });
  ready.written = 4.0 * static_cast<double>(p.cols * p.inner);
  ready.memory = ready.bytes - ready.written;
  return ready;
}

// Of the model's gate and up, and the gate: cols is twice what comes out.
ReadyOp linear_swiglu(CaseMemory& memory, const OpShape& shape) {
  const Product p(memory, shape);
  check_even(p.cols);
  const Tensor& out = memory.tensor(p.rows, p.cols / 2);
  ReadyOp ready = p.ready(p.cols, 2.0 * static_cast<double>(p.rows * p.cols),
                          [p, &out] { ops::linear_swiglu(p.context, out, p.out, p.inp, p.weight); });
  ready.written += 2.0 * static_cast<double>(p.rows * p.cols);
  return ready;
}

// Back through inner -> cols and the gate before it. The gate's input becomes its gradient, so it is put back
// from a copy before each run, which takes time, too.
ReadyOp linear_swiglu_backward(CaseMemory& memory, const OpShape& shape) {
  const Product p(memory, shape);
  const Tensor &gate_up = memory.tensor(p.rows, 2 * p.inner), &kept = memory.tensor(p.rows, 2 * p.inner);
  Backend& backend = memory.backend();
  const size_t bytes = float_bytes(2 * p.rows * p.inner);
  // The copy is read and written, and so is its target after that; p.inp is what the gate let through.
  ReadyOp ready = p.ready(p.inner, 4.0 * static_cast<double>(bytes), [p, &gate_up, &kept, &backend, bytes] {
    backend.copy(gate_up.data, kept.data, bytes);
    ops::linear_swiglu_backward(p.context, gate_up, p.inp, p.out, p.weight);
  });
  ready.written += 2.0 * static_cast<double>(bytes);
  ready.memory = ready.bytes - 2.0 * static_cast<double>(bytes);
  return ready;
}

// Rows of decoding and of training against the maps of model S (hidden 256, feed-forward 1024), M (512, 2048)
// and Qwen2.5-0.5B (896, 4864).
std::vector<std::vector<int64_t>> shapes(const std::vector<int64_t>& few_rows) {
  std::vector<std::vector<int64_t>> all;
  for (const int64_t rows : few_rows) all.push_back({rows, 1024, 256});
  for (const auto& [cols, inner] :
       {std::pair<int64_t, int64_t>{256, 256}, {768, 256}, {1024, 256}, {2048, 256}, {256, 1024}}) {
    all.push_back({4096, cols, inner});
  }
  all.push_back({2048, 2048, 512});
  for (const int64_t rows : few_rows) all.push_back({rows, 9728, 896});
  for (const auto& [cols, inner] : {std::pair<int64_t, int64_t>{1152, 896}, {896, 4864}, {9728, 896}}) {
    all.push_back({2048, cols, inner});
  }
  return all;
}

}  // namespace

std::vector<OpCase> product_cases() {
  const std::vector<const char*> sizes = {"rows", "cols", "inner"};
  return {{"linear", sizes, linear, shapes({1, 8, 32, 256})},
          {"linear_residual",
           sizes,
           linear_residual,
           {{1, 256, 1024},
            {8, 256, 1024},
            {32, 256, 1024},
            {256, 256, 1024},
            {4096, 256, 1024},
            {1, 896, 4864},
            {32, 896, 4864},
            {256, 896, 4864},
            {2048, 896, 4864}}},
          {"linear_swiglu", sizes, linear_swiglu, {{256, 2048, 256}, {4096, 2048, 256}, {2048, 9728, 896}}},
          {"linear_swiglu_backward",
           sizes,
           linear_swiglu_backward,
           {{256, 256, 1024}, {4096, 256, 1024}, {2048, 896, 4864}}},
          {"linear_backward_input", sizes, linear_backward_input, shapes({8, 32, 256})},
          {"linear_backward_weight", sizes, linear_backward_weight, shapes({8, 32, 256})}};
}

}  // namespace coppice::bench
