// Single ops on host arrays: memory of the backend is made, filled, used and freed within a call. Matrices
// are row-major and contiguous; outputs come first. No Node here.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"

namespace coppice::binding {

// ---- forward ----
// out [rows, cols] = inp [rows, inner] weight^T + bias, weight [cols, inner], bias [cols] or null.
void run_linear(Backend& backend, float* out, const float* inp, const float* weight, const float* bias,
                int64_t rows, int64_t cols, int64_t inner);
// out [rows, cols] = inp / sqrt(mean of its row's squares + eps) * weight [cols].
void run_rmsnorm(Backend& backend, float* out, const float* inp, const float* weight, int64_t rows,
                 int64_t cols, float eps);
// out [rows, cols] = silu(gate_up[:, :cols]) * gate_up[:, cols:], gate_up [rows, 2 cols].
void run_swiglu(Backend& backend, float* out, const float* gate_up, int64_t rows, int64_t cols);
// out, inp [rows, cols of whole heads]; cos_sin [rows, head_dim] as in ops.h, a line for each row. `inverse`
// turns back, which is the gradient's way.
void run_rope(Backend& backend, float* out, const float* inp, const float* cos_sin, int64_t rows,
              int64_t cols, int32_t head_dim, bool inverse);

// Sequences packed one behind the other: q [rows, NH * HD]; k, v [rows, NKV * HD]; offsets [sequences + 1]
// from 0 to rows.
struct AttentionOperands {
  const float *q, *k, *v;
  std::vector<int32_t> offsets;
  AttentionShape shape;
};
// Causal attention within each sequence. out [rows, NH * HD].
void run_attention(Backend& backend, float* out, const AttentionOperands& operands);

// hidden [count, cols], head [vocab, cols]; targets and temperature [count].
struct HeadOperands {
  const float *hidden, *head;
  std::vector<int32_t> targets;
  const float* temperature;
  int64_t vocab, cols;

  int64_t count() const { return static_cast<int64_t>(targets.size()); }
};
// lp, entropy [count]: log softmax(head hidden[i] / temperature[i]) at targets[i], and the entropy in nats.
void run_logprob_gather(Backend& backend, float* lp, float* entropy, const HeadOperands& operands);

// ---- gradients: of a loss whose gradient by the output is given; formulas in ops/ops.h ----
void run_linear_backward(Backend& backend, float* dinp, float* dweight, float* dbias, const float* dout,
                         const float* inp, const float* weight, int64_t rows, int64_t cols, int64_t inner);
void run_rmsnorm_backward(Backend& backend, float* dinp, float* dweight, const float* dout, const float* inp,
                          const float* weight, int64_t rows, int64_t cols, float eps);
void run_swiglu_backward(Backend& backend, float* dgate_up, const float* dout, const float* gate_up,
                         int64_t rows, int64_t cols);
void run_attention_backward(Backend& backend, float* dq, float* dk, float* dv, const float* dout,
                            const AttentionOperands& operands);
// g_entropy may be null.
void run_logprob_gather_backward(Backend& backend, float* dhidden, float* dhead, const float* g_lp,
                                 const float* g_entropy, const HeadOperands& operands);

// ---- optimiser ----
// One step on [count] elements, in place.
void run_adamw(Backend& backend, float* master, float* m, float* v, const float* grad, int64_t count,
               const AdamwParams& params);

}  // namespace coppice::binding
