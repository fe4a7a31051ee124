// The methods of KernelsObject that give gradients, and the optimiser's step.
#include <algorithm>
#include <utility>

#include "binding/kernel_arguments.h"
#include "binding/kernels_object.h"

namespace coppice::binding {

// linearBackward(dout, inp, weight, rows, cols, inner): { dinp, dweight, dbias }
Napi::Value KernelsObject::linear_backward(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const int64_t rows = read_size(info[3], "rows"), cols = read_size(info[4], "cols"),
                  inner = read_size(info[5], "inner");
    return run_op(
        info.Env(),
        {{"dinp", static_cast<size_t>(rows * inner)},
         {"dweight", static_cast<size_t>(cols * inner)},
         {"dbias", static_cast<size_t>(cols)}},
        [dout = read_matrix(info[0], "dout", rows, cols), inp = read_matrix(info[1], "inp", rows, inner),
         weight = read_matrix(info[2], "weight", cols, inner), rows, cols,
         inner](Backend& backend, const std::vector<float*>& out) {
          run_linear_backward(backend, out[0], out[1], out[2], dout.data(), inp.data(), weight.data(), rows,
                              cols, inner);
        });
  });
}

// rmsnormBackward(dout, inp, weight, rows, eps): { dinp, dweight }
Napi::Value KernelsObject::rmsnorm_backward(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto weight = read_array<float>(info[2], "weight");
    const int64_t rows = read_size(info[3], "rows"), cols = static_cast<int64_t>(weight.length);
    const double eps = read_number(info[4], "eps");
    return run_op(
        info.Env(), {{"dinp", static_cast<size_t>(rows * cols)}, {"dweight", weight.length}},
        [dout = read_matrix(info[0], "dout", rows, cols), inp = read_matrix(info[1], "inp", rows, cols),
         weight = weight.values(), rows, cols, eps](Backend& backend, const std::vector<float*>& out) {
          run_rmsnorm_backward(backend, out[0], out[1], dout.data(), inp.data(), weight.data(), rows, cols,
                               static_cast<float>(eps));
        });
  });
}

// swigluBackward(dout, gateUp, rows)
Napi::Value KernelsObject::swiglu_backward(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto given = read_array<float>(info[0], "dout");
    const int64_t rows = read_size(info[2], "rows");
    const int64_t cols = static_cast<int64_t>(given.length) / rows;
    return run_op(info.Env(), {{"dgateUp", static_cast<size_t>(2 * rows * cols)}},
                  [dout = read_matrix(info[0], "dout", rows, cols),
                   gate_up = read_matrix(info[1], "gateUp", rows, 2 * cols), rows,
                   cols](Backend& backend, const std::vector<float*>& out) {
                    run_swiglu_backward(backend, out[0], dout.data(), gate_up.data(), rows, cols);
                  });
  });
}

// attentionBackward(dout, q, k, v, offsets, shape): { dq, dk, dv }
Napi::Value KernelsObject::attention_backward(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    AttentionArguments given = read_attention(info, 1);
    const auto cols = static_cast<int64_t>(given.q.size()) / given.rows();
    const std::vector<Output> outputs = {
        {"dq", given.q.size()}, {"dk", given.k.size()}, {"dv", given.v.size()}};
    return run_op(info.Env(), outputs,
                  [dout = read_matrix(info[0], "dout", given.rows(), cols), given = std::move(given)](
                      Backend& backend, const std::vector<float*>& out) {
                    run_attention_backward(backend, out[0], out[1], out[2], dout.data(), given.view());
                  });
  });
}

// logprobGatherBackward(dLogprobs, dEntropies or undefined, hidden, head, targets, temperature or undefined,
// hiddenSize): { dhidden, dhead }
Napi::Value KernelsObject::logprob_gather_backward(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    HeadArguments given = read_head(info, 2);
    const auto count = static_cast<int64_t>(given.targets.size());
    std::vector<float> g_entropy;
    if (!info[1].IsUndefined()) g_entropy = read_matrix(info[1], "dEntropies", count, 1);
    const std::vector<Output> outputs = {{"dhidden", given.hidden.size()}, {"dhead", given.head.size()}};
    return run_op(info.Env(), outputs,
                  [g_lp = read_matrix(info[0], "dLogprobs", count, 1), g_entropy = std::move(g_entropy),
                   given = std::move(given)](Backend& backend, const std::vector<float*>& out) {
                    run_logprob_gather_backward(backend, out[0], out[1], g_lp.data(),
                                                g_entropy.empty() ? nullptr : g_entropy.data(), given.view());
                  });
  });
}

// adamw(params, grad, m, v, { learningRate, beta1, beta2, eps, weightDecay, step, gradScale }):
// { params, m, v }
Napi::Value KernelsObject::adamw(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto first = read_array<float>(info[0], "params");
    const auto count = static_cast<int64_t>(first.length);
    const Napi::Object given = read_object(info[4], "options");
    const auto number = [&](const char* name) { return read_number(given.Get(name), name); };
    AdamwParams params;
    params.learning_rate = number("learningRate");
    params.beta1 = number("beta1");
    params.beta2 = number("beta2");
    params.eps = number("eps");
    params.weight_decay = number("weightDecay");
    params.step = read_integer(given.Get("step"), "step", 1, kMaxSafeInteger);
    params.grad_scale = number("gradScale");
    return run_op(info.Env(), {{"params", first.length}, {"m", first.length}, {"v", first.length}},
                  [values = first.values(), grad = read_matrix(info[1], "grad", count, 1),
                   m = read_matrix(info[2], "m", count, 1), v = read_matrix(info[3], "v", count, 1), count,
                   params](Backend& backend, const std::vector<float*>& out) {
                    std::copy(values.begin(), values.end(), out[0]);
                    std::copy(m.begin(), m.end(), out[1]);
                    std::copy(v.begin(), v.end(), out[2]);
                    run_adamw(backend, out[0], out[1], out[2], grad.data(), count, params);
                  });
  });
}

}  // namespace coppice::binding
