// The log-prob head and sampling: hidden states [rows, cols] against a head [vocab, cols].
#include "bench/op_case.h"
#include "engine/micro_batch_loss.h"
#include "ops/ops.h"

namespace coppice::bench {
namespace {

struct Head {
  int64_t rows, vocab, cols;
  DType dtype;
  const Parameter& weight;
  const Tensor& hidden;
  float *lp, *entropy, *lse;

  Head(CaseMemory& memory, const OpShape& shape)
      : rows(shape.at("rows")),
        vocab(shape.at("vocab")),
        cols(shape.at("cols")),
        dtype(memory.dtype()),
        weight(memory.parameter(ParameterKind::kMatrix, vocab, cols)),
        hidden(memory.tensor(rows, cols)),
        lp(memory.constants(rows, 0)),
        entropy(memory.constants(rows, 0)),
        lse(memory.constants(rows, 0)) {}

  double logits() const { return 2.0 * static_cast<double>(rows * vocab) * static_cast<double>(cols); }
  double weight_bytes() const {
    return static_cast<double>(dtype_bytes(dtype)) * static_cast<double>(vocab * cols);
  }
  double hidden_bytes() const { return 4.0 * static_cast<double>(rows * cols); }
  HeadItems items(CaseMemory& memory) const {
    return {memory.range(rows), memory.indices(rows, vocab), memory.constants(rows, 1), rows};
  }
};

Context& head_context(CaseMemory& memory, const Head& h) {
  return memory.context(memory.backend().head_scratch_bytes(h.rows, h.vocab, h.cols, h.dtype));
}

ReadyOp head(CaseMemory& memory, const OpShape& shape) {
  const Head h(memory, shape);
  const HeadItems items = h.items(memory);
  Context& context = head_context(memory, h);
  return {.flops = h.logits(),
          .bytes = h.weight_bytes() + h.hidden_bytes(),
          .arithmetic = h.dtype,
          .run = [h, items, &context] {
            ops::head_forward(context, h.lp, h.entropy, h.lse, h.hidden, h.weight, items);
          }};
}

// What a pass that adds to the gradients of hidden states and head reads and writes, besides.
struct HeadGradient {
  const Tensor& dhidden;
  float *dweight, *g_lp;
  double gradient_bytes;

  HeadGradient(CaseMemory& memory, const Head& h)
      : dhidden(memory.tensor(h.rows, h.cols)),
        dweight(memory.constants(h.vocab * h.cols, 0)),
        g_lp(memory.constants(h.rows, 1)),
        gradient_bytes(4.0 * static_cast<double>(h.vocab * h.cols)) {}

  ReadyOp ready(const Head& h, double flops, std::function<void()> run) const {
    return {.flops = flops,
            .bytes = h.weight_bytes() + 2 * gradient_bytes + 2 * h.hidden_bytes(),
            .written = gradient_bytes + h.hidden_bytes(),
            .memory = h.weight_bytes() + gradient_bytes + 2 * h.hidden_bytes(),
            .arithmetic = h.dtype,
            .run = std::move(run)};
  }
};

// That the logits are computed once more is not counted.
ReadyOp head_backward(CaseMemory& memory, const OpShape& shape) {
  const Head h(memory, shape);
  const HeadItems items = h.items(memory);
  Context& context = head_context(memory, h);
  ops::head_forward(context, h.lp, h.entropy, h.lse, h.hidden, h.weight, items);
  const HeadGradient g(memory, h);
  return g.ready(h, 2 * h.logits(), [h, items, &context, g] {
    ops::head_backward(context, g.dhidden, g.dweight, h.hidden, h.weight, items, h.lse, h.entropy, g.g_lp,
                       nullptr);
  });
}

// With gradients that are there already, so that the loss itself takes no time.
ReadyOp head_forward_backward(CaseMemory& memory, const OpShape& shape) {
  const Head h(memory, shape);
  const HeadItems items = h.items(memory);
  Context& context =
      memory.context(memory.backend().head_forward_backward_scratch_bytes(h.rows, h.vocab, h.cols, h.dtype));
  const HeadGradient g(memory, h);
  return g.ready(h, 3 * h.logits(), [h, items, &context, g] {
    GivenGradient loss;
    ops::head_forward_backward(context, g.dhidden, g.dweight, h.lp, h.entropy, h.lse, h.hidden, h.weight,
                               items, g.g_lp, nullptr, loss);
  });
}

ReadyOp sample_by(CaseMemory& memory, const OpShape& shape, const SampleParams& rule) {
  const Head h(memory, shape);
  Context& context = memory.context(memory.backend().sample_scratch_bytes(h.rows, h.vocab, h.cols, h.dtype));
  std::vector<SampleKey> keys(static_cast<size_t>(h.rows));
  for (size_t r = 0; r < keys.size(); ++r) keys[r].sample = static_cast<uint32_t>(r);
  const SampleKey* const key = memory.array(keys);
  const SampleParams* const params = memory.array(std::vector<SampleParams>(keys.size(), rule));
  int32_t* const token = memory.range(h.rows);
  return {.flops = h.logits(),
          .bytes = h.weight_bytes() + h.hidden_bytes(),
          .arithmetic = h.dtype,
          .run = [h, &context, key, params, token] {
            ops::sample(context, token, h.lp, h.lse, h.entropy, h.hidden, h.weight, key, params);
          }};
}

ReadyOp sample(CaseMemory& memory, const OpShape& shape) {
  return sample_by(memory, shape, {});
}
ReadyOp sample_truncated(CaseMemory& memory, const OpShape& shape) {
  return sample_by(memory, shape, {.temperature = 0.7f, .top_k = 20, .top_p = 0.8f, .min_p = 0.05f});
}

}  // namespace

std::vector<OpCase> head_cases() {
  const std::vector<const char*> sizes = {"rows", "vocab", "cols"};
  // Of the embedded task, the models S and M and Qwen2.5-0.5B.
  const std::vector<std::vector<int64_t>>
      training = {{2048, 265, 64}, {4096, 128, 256}, {2048, 4096, 512}, {2048, 151936, 896}},
      decoding = {{1, 128, 256}, {256, 128, 256}, {32, 4096, 512}, {1, 151936, 896}, {32, 151936, 896}};
  return {{"head", sizes, head, training},
          {"head_backward", sizes, head_backward, training},
          {"head_forward_backward", sizes, head_forward_backward, training},
          {"sample", sizes, sample, decoding},
          {"sample_truncated", sizes, sample_truncated, decoding}};
}

}  // namespace coppice::bench
