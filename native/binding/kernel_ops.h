// Single ops on host arrays: memory of the backend is made, filled, used and freed within a call. Matrices
// are row-major and contiguous. No Node here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace coppice::binding {

// out [rows, cols] = inp [rows, inner] weight^T, weight [cols, inner].
void run_matmul(Backend& backend, float* out, const float* inp, const float* weight, int64_t rows,
                int64_t cols, int64_t inner);
// out [rows, cols] = inp / sqrt(mean of its row's squares + eps) * weight [cols].
void run_rmsnorm(Backend& backend, float* out, const float* inp, const float* weight, int64_t rows,
                 int64_t cols, float eps);
// out [rows, cols] = silu(gate_up[:, :cols]) * gate_up[:, cols:], gate_up [rows, 2 cols].
void run_swiglu(Backend& backend, float* out, const float* gate_up, int64_t rows, int64_t cols);
// Causal attention within each sequence of rows, offsets [sequences + 1] from 0. out, q [rows, NH * HD]; k, v
// [rows, NKV * HD].
void run_attention(Backend& backend, float* out, const float* q, const float* k, const float* v,
                   const std::vector<int32_t>& offsets, const AttentionShape& shape);
// lp [count], entropy [count]: log softmax(head hidden[i] / temperature[i]) at targets[i], and the entropy in
// nats.
void run_logprob_gather(Backend& backend, float* lp, float* entropy, const float* hidden, const float* head,
                        const int32_t* targets, const float* temperature, int64_t count, int64_t vocab,
                        int64_t cols);

}  // namespace coppice::binding
