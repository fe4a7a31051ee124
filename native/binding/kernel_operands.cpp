#include "binding/kernel_operands.h"

#include <numeric>

#include "base/error.h"
#include "ops/ops.h"

namespace coppice::binding {
namespace {

const std::vector<int32_t>& checked_targets(const HeadOperands& operands) {
  for (size_t i = 0; i < operands.targets.size(); ++i) {
    const int32_t id = operands.targets[i];
    if (id >= 0 && id < operands.vocab) continue;
    fail(ErrorCode::kInvalidArgument, "targets: entry %zu: expected an id in [0, %lld); received %d", i,
         static_cast<long long>(operands.vocab), id);
  }
  return operands.targets;
}

}  // namespace

std::vector<int32_t> first_numbers(int64_t count) {
  std::vector<int32_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

DeviceAttention::DeviceAttention(Backend& backend, const AttentionOperands& operands)
    : shape(operands.shape),
      rows(operands.offsets.back()),
      q_cols(int64_t{shape.num_heads} * shape.head_dim),
      kv_cols(int64_t{shape.num_kv_heads} * shape.head_dim),
      context(backend, backend.attention_scratch_bytes(shape, rows)),
      q(backend, operands.q, rows, q_cols),
      k(backend, operands.k, rows, kv_cols),
      v(backend, operands.v, rows, kv_cols),
      out(backend, rows, q_cols),
      lse(backend, rows, shape.num_heads),
      pages(backend, PackedForest::of_sequences(operands.offsets), kv_cols) {}

void DeviceAttention::forward() const {
  ops::kv_write(context.get(), pages.pages(), k.view(), v.view(), pages.batch(), shape);
  ops::attention_forward(context.get(), out.view(), lse.data(), q.view(), pages.pages(), pages.batch(),
                         shape);
}

DeviceHead::DeviceHead(Backend& backend, const HeadOperands& operands)
    : count(operands.count()),
      context(backend, backend.head_scratch_bytes(count, operands.vocab, operands.cols, DType::kF32)),
      hidden(backend, operands.hidden, count, operands.cols),
      temperature(backend, operands.temperature, count, 1),
      lp(backend, count, 1),
      entropy(backend, count, 1),
      lse(backend, count, 1),
      weight(backend, ParameterKind::kMatrix, operands.head, operands.vocab, operands.cols),
      rows(backend, first_numbers(count)),
      targets(backend, checked_targets(operands)) {}

void DeviceHead::forward() const {
  ops::head_forward(context.get(), lp.data(), entropy.data(), lse.data(), hidden.view(), weight.view(),
                    items());
}

}  // namespace coppice::binding
