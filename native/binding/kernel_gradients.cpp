// The gradients of kernel_ops.h, and the optimiser's step.
#include "binding/kernel_operands.h"
#include "binding/kernel_ops.h"
#include "ops/ops.h"

namespace coppice::binding {
namespace {

// Parameter gradients add up, from nothing here.
DeviceMatrix zeros(Backend& backend, int64_t rows, int64_t cols) {
  DeviceMatrix matrix(backend, rows, cols);
  matrix.zero();
  return matrix;
}

}  // namespace

void run_linear_backward(Backend& backend, float* dinp, float* dweight, float* dbias, const float* dout,
                         const float* inp, const float* weight, int64_t rows, int64_t cols, int64_t inner) {
  OwnContext context(backend, backend.linear_scratch_bytes(rows, cols, inner, DType::kF32));
  const DeviceMatrix gradient(backend, dout, rows, cols), input(backend, inp, rows, inner),
      dinput(backend, rows, inner), dmatrix = zeros(backend, cols, inner), dvector = zeros(backend, 1, cols);
  const DeviceParameter matrix(backend, ParameterKind::kMatrix, weight, cols, inner);
  ops::linear_backward_input(context.get(), dinput.view(), gradient.view(), matrix.view());
  ops::linear_backward_weight(context.get(), dmatrix.data(), dvector.data(), gradient.view(), input.view(),
                              DType::kF32);
  dinput.download(dinp);
  dmatrix.download(dweight);
  dvector.download(dbias);
}

void run_rmsnorm_backward(Backend& backend, float* dinp, float* dweight, const float* dout, const float* inp,
                          const float* weight, int64_t rows, int64_t cols, float eps) {
  OwnContext context(backend, backend.linear_scratch_bytes(rows, 1, cols, DType::kF32));
  const DeviceMatrix gradient(backend, dout, rows, cols), input(backend, inp, rows, cols),
      out(backend, rows, cols), rstd(backend, rows, 1), dscale = zeros(backend, 1, cols);
  const DeviceParameter scale(backend, ParameterKind::kVector, weight, 1, cols);
  ops::rmsnorm_forward(context.get(), out.view(), rstd.data(), input.view(), scale.view(), eps);
  ops::rmsnorm_backward(context.get(), gradient.view(), dscale.data(), gradient.view(), input.view(),
                        scale.view(), rstd.data(), false);
  gradient.download(dinp);
  dscale.download(dweight);
}

void run_swiglu_backward(Backend& backend, float* dgate_up, const float* dout, const float* gate_up,
                         int64_t rows, int64_t cols) {
  OwnContext context(backend, 0);
  const DeviceMatrix gradient(backend, dout, rows, cols), input(backend, gate_up, rows, 2 * cols),
      dinput(backend, rows, 2 * cols);
  ops::swiglu_backward(context.get(), dinput.view(), gradient.view(), gradient.view(), input.view());
  dinput.download(dgate_up);
}

void run_attention_backward(Backend& backend, float* dq, float* dk, float* dv, const float* dout,
                            const AttentionOperands& operands) {
  const DeviceAttention a(backend, operands);
  a.forward();
  const DeviceMatrix gradient(backend, dout, a.rows, a.q_cols), dqueries(backend, a.rows, a.q_cols),
      dkeys(backend, a.rows, a.kv_cols), dvalues(backend, a.rows, a.kv_cols);
  ops::attention_backward(a.context.get(), dqueries.view(), dkeys.view(), dvalues.view(), gradient.view(),
                          a.out.view(), a.lse.data(), a.q.view(), a.k.view(), a.v.view(), a.pages.batch(),
                          a.shape);
  dqueries.download(dq);
  dkeys.download(dk);
  dvalues.download(dv);
}

void run_logprob_gather_backward(Backend& backend, float* dhidden, float* dhead, const float* g_lp,
                                 const float* g_entropy, const HeadOperands& operands) {
  const DeviceHead head(backend, operands);
  head.forward();
  const DeviceMatrix by_lp(backend, g_lp, head.count, 1),
      by_entropy = g_entropy == nullptr ? zeros(backend, head.count, 1)
                                        : DeviceMatrix(backend, g_entropy, head.count, 1),
      dinput(backend, head.count, operands.cols), dweight = zeros(backend, operands.vocab, operands.cols);
  ops::head_backward(head.context.get(), dinput.view(), dweight.data(), head.hidden.view(),
                     head.weight.view(), head.items(), head.lse.data(), head.entropy.data(), by_lp.data(),
                     g_entropy == nullptr ? nullptr : by_entropy.data());
  dinput.download(dhidden);
  dweight.download(dhead);
}

void run_adamw(Backend& backend, float* master, float* m, float* v, const float* grad, int64_t count,
               const AdamwParams& params) {
  OwnContext context(backend, 0);
  const DeviceMatrix values(backend, master, 1, count), gradient(backend, grad, 1, count),
      first(backend, m, 1, count), second(backend, v, 1, count);
  AdamwStats stats;
  ops::adamw_step(context.get(), &stats, values.data(), gradient.data(), first.data(), second.data(), count,
                  params);
  values.download(master);
  first.download(m);
  second.download(v);
}

}  // namespace coppice::binding
