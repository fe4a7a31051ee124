#include "binding/policy_loss_binding.h"

#include <vector>

#include "backend/backend.h"
#include "base/float_environment.h"
#include "binding/arguments.h"
#include "binding/options.h"
#include "ops/ops.h"

namespace coppice::binding {
namespace {

void run(Context& context, PolicyLossStats* stats, float* g_lp, float* g_entropy, const float* lp,
         const float* entropy, const float* old_lp, const float* ref_lp, const float* advantage,
         const float* norm, const std::vector<int32_t>& offsets, const PolicyLossParams& params) {
  ops::policy_loss(context, stats, g_lp, g_entropy, lp, entropy, old_lp, ref_lp, advantage, norm,
                   offsets.data(), static_cast<int64_t>(offsets.size()) - 1, params);
}

void run(Context& context, PolicyLossStats* stats, double* g_lp, double* g_entropy, const double* lp,
         const double* entropy, const double* old_lp, const double* ref_lp, const double* advantage,
         const double* norm, const std::vector<int32_t>& offsets, const PolicyLossParams& params) {
  ops::policy_loss_f64(context, stats, g_lp, g_entropy, lp, entropy, old_lp, ref_lp, advantage, norm,
                       offsets.data(), static_cast<int64_t>(offsets.size()) - 1, params);
}

template <typename T, typename Array>
Napi::Value policy_loss_of(Napi::Env env, const Napi::Object& inputs, const Napi::Value& given_params) {
  const auto lp = read_array<T>(inputs.Get("logprobs"), "logprobs");
  const auto per_token = [&](const char* name, bool required) {
    const auto array =
        required ? read_array<T>(inputs.Get(name), name) : read_optional_array<T>(inputs.Get(name), name);
    if (array.given) require_length(array.length, lp.length, name, "a token");
    return array;
  };
  const auto old_lp = per_token("oldLogprobs", true);
  const auto ref_lp = per_token("refLogprobs", false);
  const auto entropy = per_token("entropies", false);
  const auto advantage = per_token("advantages", true);
  const auto norm = per_token("norm", true);
  const auto old_kl_mask = read_optional_array<float>(inputs.Get("oldKlMask"), "oldKlMask");
  if (old_kl_mask.given) require_length(old_kl_mask.length, lp.length, "oldKlMask", "a token");
  const std::vector<int32_t> offsets = read_offsets(inputs.Get("offsets"), "offsets", lp.length);
  if (offsets.front() != 0 || static_cast<size_t>(offsets.back()) != lp.length) {
    fail(ErrorCode::kShapeMismatch,
         "offsets: expected entries from 0 to %zu, the number of tokens; received %d to %d", lp.length,
         offsets.front(), offsets.back());
  }
  PolicyLossParams params = read_loss_params(given_params);
  if (params.kl_coef != 0 && !ref_lp.given) {
    fail(ErrorCode::kInvalidArgument, "refLogprobs: needed when klCoef is not 0");
  }
  if (params.entropy_coef != 0 && !entropy.given) {
    fail(ErrorCode::kInvalidArgument, "entropies: needed when entropyCoef is not 0");
  }
  if (params.old_kl_coef != 0 && !old_kl_mask.given) {
    fail(ErrorCode::kInvalidArgument, "oldKlMask: needed when oldKlCoef is not 0");
  }
  const float no_token = 0;
  if (old_kl_mask.given) params.old_kl_mask = old_kl_mask.data == nullptr ? &no_token : old_kl_mask.data;
  Array g_lp = Array::New(env, lp.length);
  Array g_entropy = Array::New(env, entropy.given ? lp.length : 0);
  PolicyLossStats stats;
  const std::unique_ptr<Backend> backend = open_backend({"cpu", "", 1});
  Context context{backend.get(), {}, true};
  const ScopedFloatEnvironment environment;
  // An empty typed array has no address, and the op wants one of everything that is there.
  T nothing = 0;
  const auto address = [&](T* data) { return data == nullptr ? &nothing : data; };
  run(context, &stats, address(g_lp.Data()), entropy.given ? address(g_entropy.Data()) : nullptr,
      address(lp.data), entropy.given ? address(entropy.data) : nullptr, address(old_lp.data),
      ref_lp.given ? address(ref_lp.data) : nullptr, address(advantage.data), address(norm.data), offsets,
      params);
  Napi::Object result = Napi::Object::New(env);
  result.Set("loss", stats.loss);
  result.Set("dLogprobs", g_lp);
  result.Set("dEntropies", entropy.given ? g_entropy : env.Null());
  result.Set("stats", loss_stats_to_js(env, stats));
  return result;
}

}  // namespace

Napi::Value policy_loss(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const Napi::Object inputs = read_object(info[0], "inputs");
    const Napi::Value lp = inputs.Get("logprobs");
    const bool is_single =
        lp.IsTypedArray() && lp.As<Napi::TypedArray>().TypedArrayType() == napi_float32_array;
    return is_single ? policy_loss_of<float, Napi::Float32Array>(info.Env(), inputs, info[1])
                     : policy_loss_of<double, Napi::Float64Array>(info.Env(), inputs, info[1]);
  });
}

}  // namespace coppice::binding
