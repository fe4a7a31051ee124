// What an update does beside the passes: the loss, the gradient's norm, the optimiser, packing.
#include "bench/op_case.h"
#include "ops/ops.h"

namespace coppice::bench {
namespace {

// Ratios with a clip, KL and entropy: every term of the loss.
template <typename T, typename Loss>
ReadyOp policy_loss_case(CaseMemory& memory, const OpShape& shape, Loss* loss) {
  const int64_t sequences = shape.at("sequences"), length = shape.at("length"), count = sequences * length;
  Context& context = memory.context(0);
  const int32_t* const offsets = memory.range(sequences + 1, length);
  PolicyLossParams params;
  params.kl_coef = 1e-3;
  params.entropy_coef = 1e-4;
  const auto per_token = [&](double value) {
    return memory.array(std::vector<T>(static_cast<size_t>(count), static_cast<T>(value)));
  };
  T *const g_lp = per_token(0), *const g_entropy = per_token(0), *const lp = per_token(-1.1),
           *const entropy = per_token(1.5), *const old_lp = per_token(-1.2), *const ref_lp = per_token(-1.3),
           *const advantage = per_token(0.7), *const norm = per_token(1.0 / static_cast<double>(count));
  return {.bytes = 8.0 * sizeof(T) * static_cast<double>(count),
          .written = 2.0 * sizeof(T) * static_cast<double>(count),
          .run = [=, &context] {
            PolicyLossStats stats;
            loss(context, &stats, g_lp, g_entropy, lp, entropy, old_lp, ref_lp, advantage, norm, offsets,
                 sequences, params);
          }};
}

ReadyOp policy_loss(CaseMemory& memory, const OpShape& shape) {
  return policy_loss_case<float>(memory, shape, ops::policy_loss);
}
ReadyOp policy_loss_f64(CaseMemory& memory, const OpShape& shape) {
  return policy_loss_case<double>(memory, shape, ops::policy_loss_f64);
}

ReadyOp sum_of_squares(CaseMemory& memory, const OpShape& shape) {
  const int64_t elements = shape.at("elements");
  Context& context = memory.context(0);
  const float* const values = memory.floats(elements);
  return {.bytes = 4.0 * static_cast<double>(elements), .run = [&context, values, elements] {
            double sum = 0;
            ops::sum_of_squares(context, &sum, values, elements);
          }};
}

ReadyOp adamw(CaseMemory& memory, const OpShape& shape) {
  const int64_t elements = shape.at("elements");
  Context& context = memory.context(0);
  float *const master = memory.floats(elements), *const grad = memory.floats(elements);
  float *const m = memory.constants(elements, 0), *const v = memory.constants(elements, 0);
  const double bytes = 4.0 * static_cast<double>(elements);
  return {.bytes = 7 * bytes,
          .written = 3 * bytes,
          .memory = 4 * bytes,
          .run = [&context, master, grad, m, v, elements] {
            AdamwStats stats;
            ops::adamw_step(context, &stats, master, grad, m, v, elements, {});
          }};
}

ReadyOp parameter_pack(CaseMemory& memory, const OpShape& shape) {
  const int64_t rows = shape.at("rows"), cols = shape.at("cols");
  Backend& backend = memory.backend();
  Parameter& parameter = memory.parameter(ParameterKind::kMatrix, rows, cols);
  const float* const master = memory.floats(rows * cols);
  const double element_bytes = 4.0 + static_cast<double>(dtype_bytes(memory.dtype()));
  return {.bytes = element_bytes * static_cast<double>(rows * cols),
          .written = (element_bytes - 4.0) * static_cast<double>(rows * cols),
          .run = [&backend, &parameter, master] { backend.parameter_pack(parameter, master); }};
}

}  // namespace

std::vector<OpCase> update_cases() {
  // Tokens of a step of model S; parameters of a layer of S and of Qwen2.5-0.5B.
  return {{"policy_loss", {"sequences", "length"}, policy_loss, {{32, 128}, {512, 128}}},
          {"policy_loss_f64", {"sequences", "length"}, policy_loss_f64, {{32, 128}, {512, 128}}},
          {"sum_of_squares", {"elements"}, sum_of_squares, {{1 << 18}, {1 << 20}, {14909440}}},
          {"adamw", {"elements"}, adamw, {{1 << 18}, {1 << 20}, {14909440}}},
          {"parameter_pack", {"rows", "cols"}, parameter_pack, {{1024, 256}, {9728, 896}}}};
}

}  // namespace coppice::bench
