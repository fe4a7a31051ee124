// What works on rows, or on elements of rows, one by one: memory is their floor.
#include "bench/op_case.h"
#include "ops/ops.h"

namespace coppice::bench {
namespace {

struct Rows {
  int64_t rows, cols;
  double bytes;  // of one fp32 matrix

  explicit Rows(const OpShape& shape)
      : rows(shape.at("rows")), cols(shape.at("cols")), bytes(4.0 * static_cast<double>(rows * cols)) {}
};

struct Norm : Rows {
  Context& context;
  const Parameter& weight;
  const Tensor &inp, &out;
  float* rstd;

  Norm(CaseMemory& memory, const OpShape& shape)
      : Rows(shape),
        context(memory.context(memory.backend().linear_scratch_bytes(rows, 1, cols, DType::kF32))),
        weight(memory.parameter(ParameterKind::kVector, 1, cols)),
        inp(memory.tensor(rows, cols)),
        out(memory.tensor(rows, cols)),
        rstd(memory.constants(rows, 1)) {}
};

ReadyOp rmsnorm(CaseMemory& memory, const OpShape& shape) {
  const Norm n(memory, shape);
  return {.bytes = 2 * n.bytes, .written = n.bytes, .run = [n] {
            ops::rmsnorm_forward(n.context, n.out, n.rstd, n.inp, n.weight, 1e-6f);
          }};
}

// Adds to what the residual stream brings.
ReadyOp rmsnorm_backward(CaseMemory& memory, const OpShape& shape) {
  const Norm n(memory, shape);
  const Tensor& dinp = memory.tensor(n.rows, n.cols);
  float* const dweight = memory.constants(n.cols, 0);
  return {.bytes = 4 * n.bytes, .written = n.bytes, .memory = 3 * n.bytes, .run = [n, &dinp, dweight] {
            ops::rmsnorm_backward(n.context, dinp, dweight, n.out, n.inp, n.weight, n.rstd, true);
          }};
}

ReadyOp swiglu(CaseMemory& memory, const OpShape& shape) {
  const Rows r(shape);
  Context& context = memory.context(0);
  const Tensor &gate_up = memory.tensor(r.rows, 2 * r.cols), &out = memory.tensor(r.rows, r.cols);
  return {.bytes = 3 * r.bytes, .written = r.bytes, .run = [&context, &gate_up, &out] {
            ops::swiglu_forward(context, out, gate_up);
          }};
}

// Writes the forward's output once more.
ReadyOp swiglu_backward(CaseMemory& memory, const OpShape& shape) {
  const Rows r(shape);
  Context& context = memory.context(0);
  const Tensor &gate_up = memory.tensor(r.rows, 2 * r.cols), &dgate_up = memory.tensor(r.rows, 2 * r.cols);
  const Tensor &dout = memory.tensor(r.rows, r.cols), &out = memory.tensor(r.rows, r.cols);
  return {.bytes = 6 * r.bytes, .written = 3 * r.bytes, .run = [&context, &dgate_up, &out, &dout, &gate_up] {
            ops::swiglu_backward(context, dgate_up, out, dout, gate_up);
          }};
}

ReadyOp add(CaseMemory& memory, const OpShape& shape) {
  const Rows r(shape);
  Context& context = memory.context(0);
  const Tensor &out = memory.tensor(r.rows, r.cols), &a = memory.tensor(r.rows, r.cols),
               &b = memory.tensor(r.rows, r.cols);
  return {.bytes = 3 * r.bytes, .written = r.bytes, .run = [&context, &out, &a, &b] {
            ops::add_forward(context, out, a, b);
          }};
}

ReadyOp gather_rows(CaseMemory& memory, const OpShape& shape) {
  const Rows r(shape);
  Context& context = memory.context(0);
  const Tensor &out = memory.tensor(r.rows, r.cols), &inp = memory.tensor(r.rows, r.cols);
  const int32_t* const index = memory.indices(r.rows, r.rows);
  return {.bytes = 2 * r.bytes, .written = r.bytes, .run = [&context, &out, &inp, index] {
            ops::gather_rows(context, out, inp, index);
          }};
}

// Positions of one sequence, heads beside each other in a row.
template <typename Rotation>
ReadyOp rope_case(CaseMemory& memory, const OpShape& shape, Rotation* rotate) {
  const int64_t rows = shape.at("rows"), heads = shape.at("heads"), head_dim = shape.at("head_dim");
  const double bytes = 4.0 * static_cast<double>(rows * heads * head_dim);
  Context& context = memory.context(0);
  const Tensor& inout = memory.tensor(rows, heads * head_dim);
  const int32_t* const positions = memory.range(rows);
  // A rotation by no angle leaves the numbers alone however often it is done; it takes as long as any other.
  std::vector<float> cos_sin(static_cast<size_t>(rows * head_dim), 0.0f);
  for (int64_t p = 0; p < rows; ++p) {
    for (int64_t j = 0; j < head_dim / 2; ++j) cos_sin[static_cast<size_t>(p * head_dim + j)] = 1.0f;
  }
  const float* const table = memory.array(cos_sin);
  return {.bytes = 2 * bytes,
          .written = bytes,
          .memory = bytes,
          .run = [&context, &inout, positions, table, head_dim, rotate] {
            rotate(context, inout, positions, table, static_cast<int32_t>(head_dim));
          }};
}

ReadyOp rope(CaseMemory& memory, const OpShape& shape) {
  return rope_case(memory, shape, ops::rope_forward);
}
ReadyOp rope_backward(CaseMemory& memory, const OpShape& shape) {
  return rope_case(memory, shape, ops::rope_backward);
}

struct Embedding : Rows {
  int64_t vocab;
  Context& context;
  const Tensor& out;
  const int32_t* tokens;

  Embedding(CaseMemory& memory, const OpShape& shape)
      : Rows(shape),
        vocab(shape.at("vocab")),
        context(memory.context(0)),
        out(memory.tensor(rows, cols)),
        tokens(memory.indices(rows, vocab)) {}
};

ReadyOp embedding(CaseMemory& memory, const OpShape& shape) {
  const Embedding e(memory, shape);
  const Parameter& weight = memory.parameter(ParameterKind::kMatrix, e.vocab, e.cols);
  const double row_bytes =
      static_cast<double>(dtype_bytes(memory.dtype())) * static_cast<double>(e.rows * e.cols);
  return {.bytes = e.bytes + row_bytes, .written = e.bytes, .run = [e, &weight] {
            ops::embedding_forward(e.context, e.out, weight, e.tokens);
          }};
}

ReadyOp embedding_backward(CaseMemory& memory, const OpShape& shape) {
  const Embedding e(memory, shape);
  float* const dweight = memory.constants(e.vocab * e.cols, 0);
  return {.bytes = 3 * e.bytes, .written = e.bytes, .memory = 2 * e.bytes, .run = [e, dweight] {
            ops::embedding_backward(e.context, dweight, e.vocab, e.out, e.tokens);
          }};
}

}  // namespace

std::vector<OpCase> row_cases() {
  const std::vector<const char*> sizes = {"rows", "cols"}, rope_sizes = {"rows", "heads", "head_dim"},
                                 table_sizes = {"rows", "vocab", "cols"};
  // Of the models S and Qwen2.5-0.5B: hidden states, and what the gate lets through.
  const std::vector<std::vector<int64_t>> hidden = {{256, 256}, {4096, 256}, {2048, 896}},
                                          gated = {{256, 1024}, {4096, 1024}, {2048, 4864}},
                                          heads = {{256, 4, 64}, {4096, 4, 64}, {2048, 16, 64}},
                                          tables = {{4096, 128, 256}, {2048, 151936, 896}};
  return {{"embedding", table_sizes, embedding, tables},
          {"embedding_backward", table_sizes, embedding_backward, tables},
          {"rmsnorm", sizes, rmsnorm, hidden},
          {"rmsnorm_backward", sizes, rmsnorm_backward, hidden},
          {"rope", rope_sizes, rope, heads},
          {"rope_backward", rope_sizes, rope_backward, heads},
          {"swiglu", sizes, swiglu, gated},
          {"swiglu_backward", sizes, swiglu_backward, gated},
          {"add", sizes, add, hidden},
          {"gather_rows", sizes, gather_rows, hidden}};
}

}  // namespace coppice::bench
