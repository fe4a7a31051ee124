#include "binding/kernel_ops.h"

#include "binding/kernel_operands.h"
#include "engine/device_memory.h"
#include "ops/ops.h"

namespace coppice::binding {

void run_linear(Backend& backend, float* out, const float* inp, const float* weight, const float* bias,
                int64_t rows, int64_t cols, int64_t inner) {
  OwnContext context(backend, backend.linear_scratch_bytes(rows, cols, inner, DType::kF32));
  const DeviceMatrix input(backend, inp, rows, inner), output(backend, rows, cols);
  const DeviceParameter matrix(backend, ParameterKind::kMatrix, weight, cols, inner);
  if (bias == nullptr) {
    ops::linear_forward(context.get(), output.view(), input.view(), matrix.view(), nullptr);
  } else {
    const DeviceParameter vector(backend, ParameterKind::kVector, bias, 1, cols);
    ops::linear_forward(context.get(), output.view(), input.view(), matrix.view(), &vector.view());
  }
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

void run_rope(Backend& backend, float* out, const float* inp, const float* cos_sin, int64_t rows,
              int64_t cols, int32_t head_dim, bool inverse) {
  OwnContext context(backend, 0);
  const DeviceMatrix inout(backend, inp, rows, cols), table(backend, cos_sin, rows, head_dim);
  const DeviceArray<int32_t> positions(backend, first_numbers(rows));
  const auto rotate = inverse ? ops::rope_backward : ops::rope_forward;
  rotate(context.get(), inout.view(), positions.data(), table.data(), head_dim);
  inout.download(out);
}

void run_attention(Backend& backend, float* out, const AttentionOperands& operands) {
  const DeviceAttention attention(backend, operands);
  attention.forward();
  attention.out.download(out);
}

void run_logprob_gather(Backend& backend, float* lp, float* entropy, const HeadOperands& operands) {
  const DeviceHead head(backend, operands);
  head.forward();
  head.lp.download(lp);
  head.entropy.download(entropy);
}

}  // namespace coppice::binding
