#include "binding/kernel_ops.h"

#include <numeric>

#include "base/error.h"
#include "binding/device_memory.h"
#include "ops/ops.h"

namespace coppice::binding {
void run_matmul(Backend& backend, float* out, const float* inp, const float* weight, int64_t rows,
                int64_t cols, int64_t inner) {
  OwnContext context(backend, backend.linear_scratch_bytes(rows, cols, inner, DType::kF32));
  const DeviceMatrix input(backend, inp, rows, inner), output(backend, rows, cols);
  const DeviceParameter matrix(backend, ParameterKind::kMatrix, weight, cols, inner);
  ops::linear_forward(context.get(), output.view(), input.view(), matrix.view(), nullptr);
  output.download(out);
}

void run_rmsnorm(Backend& backend, float* out, const float* inp, const float* weight, int64_t rows,
                 int64_t cols, float eps) {
  OwnContext context(backend, 0);
  const DeviceMatrix input(backend, inp, rows, cols), output(backend, rows, cols), rstd(backend, rows, 1);
  const DeviceParameter scale(backend, ParameterKind::kVector, weight, 1, cols);
  ops::rmsnorm_forward(context.get(), output.view(), rstd.data(), input.view(), scale.view(), eps);
  output.download(out);
}

void run_swiglu(Backend& backend, float* out, const float* gate_up, int64_t rows, int64_t cols) {
  OwnContext context(backend, 0);
  const DeviceMatrix input(backend, gate_up, rows, 2 * cols), output(backend, rows, cols);
  ops::swiglu_forward(context.get(), output.view(), input.view());
  output.download(out);
}

void run_attention(Backend& backend, float* out, const float* q, const float* k, const float* v,
                   const std::vector<int32_t>& offsets, const AttentionShape& shape) {
  const int64_t rows = offsets.back();
  const int64_t q_cols = int64_t{shape.num_heads} * shape.head_dim,
                kv_cols = int64_t{shape.num_kv_heads} * shape.head_dim;
  OwnContext context(backend, backend.attention_scratch_bytes(shape, rows));
  const DeviceMatrix queries(backend, q, rows, q_cols), keys(backend, k, rows, kv_cols),
      values(backend, v, rows, kv_cols);
  const DeviceMatrix output(backend, rows, q_cols);
  const DeviceSequences sequences(backend, offsets, kv_cols);
  ops::kv_write(context.get(), sequences.pages(), keys.view(), values.view(), sequences.batch(), shape);
  ops::attention_forward(context.get(), output.view(), nullptr, queries.view(), sequences.pages(),
                         sequences.batch(), shape);
  output.download(out);
}

void run_logprob_gather(Backend& backend, float* lp, float* entropy, const float* hidden, const float* head,
                        const int32_t* targets, const float* temperature, int64_t count, int64_t vocab,
                        int64_t cols) {
  std::vector<int32_t> target(targets, targets + count), row(static_cast<size_t>(count));
  std::iota(row.begin(), row.end(), 0);
  for (int64_t i = 0; i < count; ++i) {
    const int32_t id = target[static_cast<size_t>(i)];
    if (id < 0 || id >= vocab) {
      fail(ErrorCode::kInvalidArgument, "targets: entry %lld: expected an id in [0, %lld); received %d",
           static_cast<long long>(i), static_cast<long long>(vocab), id);
    }
  }
  OwnContext context(backend, backend.head_scratch_bytes(count, vocab, cols, DType::kF32));
  const DeviceMatrix input(backend, hidden, count, cols), temperatures(backend, temperature, count, 1);
  const DeviceParameter matrix(backend, ParameterKind::kMatrix, head, vocab, cols);
  const DeviceArray<int32_t> rows(backend, row), ids(backend, target);
  const DeviceMatrix lp_out(backend, count, 1), entropy_out(backend, count, 1), lse(backend, count, 1);
  ops::head_forward(context.get(), lp_out.data(), entropy_out.data(), lse.data(), input.view(), matrix.view(),
                    {rows.data(), ids.data(), temperatures.data(), count});
  lp_out.download(lp);
  entropy_out.download(entropy);
}

}  // namespace coppice::binding
