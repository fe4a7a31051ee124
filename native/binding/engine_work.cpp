// NativeEngine's work on rollouts: score, topLogprobs, grad, values, update, generate, plan, reserve.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "binding/arguments.h"
#include "binding/engine_object.h"
#include "binding/generation_object.h"
#include "binding/native_memory.h"
#include "binding/options.h"
#include "binding/stop_flag_object.h"

namespace coppice::binding {
namespace {

Napi::Object cancellable(Napi::Env env, bool cancelled) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("cancelled", cancelled);
  return object;
}

// One value a completion token.
std::vector<float> read_per_token(const Napi::Value& value, const RowsArgument& rows, const char* name) {
  const ArrayArgument<float> values = read_array<float>(value, name);
  require_length(values.length, rows.completion_token_count(), name, "a completion token");
  return values.values();
}

std::optional<std::vector<float>> read_optional_per_token(const Napi::Value& value, const RowsArgument& rows,
                                                          const char* name) {
  if (value.IsUndefined() || value.IsNull()) return std::nullopt;
  return read_per_token(value, rows, name);
}

const float* data_or_null(const std::optional<std::vector<float>>& values) {
  return values.has_value() ? values->data() : nullptr;
}

Napi::Object update_stats_to_js(Napi::Env env, const UpdateStats& stats) {
  const auto number = [env](auto value) { return Napi::Number::New(env, static_cast<double>(value)); };
  Napi::Object object = loss_stats_to_js(env, stats.loss);
  object.Set("cancelled", stats.cancelled);
  object.Set("loss", number(stats.loss.loss));
  object.Set("valueLoss", number(stats.value.loss));
  object.Set("valueTokens", number(stats.value.active_tokens));
  object.Set("valueClipped", number(stats.value.clipped));
  object.Set("gradNorm", number(stats.grad_norm));
  object.Set("changedElements", number(stats.adamw.changed));
  object.Set("lostInBf16", number(stats.adamw.lost_in_bf16));
  object.Set("optimizerStep", number(stats.optimizer_step));
  object.Set("microBatches", number(stats.micro_batches));
  object.Set("packedTokens", number(stats.packed_tokens));
  object.Set("secondsForward", number(stats.seconds_forward));
  object.Set("secondsBackward", number(stats.seconds_backward));
  object.Set("secondsOptimizer", number(stats.seconds_optimizer));
  return object;
}

}  // namespace

Napi::Value EngineObject::score(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    struct State {
      RowsArgument rows;
      Block logprobs, entropies;
      bool cancelled = false;
    };
    const auto state = std::make_shared<State>();
    state->rows = read_rows(info[0]);
    const bool with_entropies = read_bool(info[1], "entropies");
    const int64_t budget = read_token_budget(info[2]);
    return submit(make_job(
        info.Env(), StopFlagObject::read(info[3]),
        [worker = worker_.get(), state, with_entropies, budget](StopFlag& stop) {
          const size_t bytes = state->rows.completion_token_count() * sizeof(float);
          state->logprobs = allocate_block(bytes);
          state->entropies = allocate_block(with_entropies ? bytes : 0);
          state->cancelled =
              worker->engine()
                  .score(state->rows.view(), state->logprobs.at<float>(0),
                         with_entropies ? state->entropies.at<float>(0) : nullptr, budget, &stop)
                  .cancelled;
        },
        [environment = environment_, state](Napi::Env env) -> Napi::Value {
          Napi::Object result = cancellable(env, state->cancelled);
          result.Set("logprobs", to_float32_array(env, *environment, std::move(state->logprobs)));
          result.Set("entropies", to_float32_array(env, *environment, std::move(state->entropies)));
          return result;
        }));
  });
}

Napi::Value EngineObject::top_log_probs(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    struct State {
      RowsArgument rows;
      std::vector<int32_t> places, ids;
      TopLogProbsInput input;
      Block top_ids, top_lp, ids_lp;
      bool cancelled = false;
    };
    const auto state = std::make_shared<State>();
    state->rows = read_rows(info[0]);
    state->places = read_array<int32_t>(info[1], "places").values();
    TopLogProbsInput& input = state->input;
    input.rows = state->rows.view();
    input.places = state->places.data();
    input.count = static_cast<int64_t>(state->places.size());
    input.top = static_cast<int32_t>(read_integer(info[2], "top", 0, kMaxInt32));
    if (const auto ids = read_optional_array<int32_t>(info[3], "ids"); ids.given) {
      state->ids = ids.values();
      const size_t each = state->places.empty() ? 0 : ids.length / state->places.size();
      require_length(ids.length, each * state->places.size(), "ids", "a place, or as many for each");
      input.ids = state->ids.data();
      input.ids_per_place = static_cast<int32_t>(each);
    }
    const int64_t budget = read_token_budget(info[4]);
    return submit(make_job(
        info.Env(), StopFlagObject::read(info[5]),
        [worker = worker_.get(), state, budget](StopFlag& stop) {
          const int32_t vocab = worker->engine().config().vocab_size;
          // A `top` that is refused is not to take memory first.
          const auto top = static_cast<size_t>(std::min(state->input.top, vocab)) * state->places.size();
          state->top_ids = allocate_block(top * sizeof(int32_t));
          state->top_lp = allocate_block(top * sizeof(float));
          state->ids_lp = allocate_block(state->ids.size() * sizeof(float));
          const TopLogProbsOutput output{state->top_ids.at<int32_t>(0), state->top_lp.at<float>(0),
                                         state->ids_lp.at<float>(0)};
          state->cancelled = worker->engine().top_log_probs(state->input, output, budget, &stop).cancelled;
        },
        [environment = environment_, state](Napi::Env env) -> Napi::Value {
          Napi::Object result = cancellable(env, state->cancelled);
          result.Set("topIds", to_int32_array(env, *environment, std::move(state->top_ids)));
          result.Set("topLogprobs", to_float32_array(env, *environment, std::move(state->top_lp)));
          result.Set("logprobs", to_float32_array(env, *environment, std::move(state->ids_lp)));
          return result;
        }));
  });
}

Napi::Value EngineObject::grad(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    struct State {
      RowsArgument rows;
      std::vector<float> weights;
      double loss = 0;
      bool cancelled = false;
    };
    const auto state = std::make_shared<State>();
    state->rows = read_rows(info[0]);
    state->weights = read_per_token(info[1], state->rows, "tokenWeights");
    const MicroBatchParams micro_batches = read_micro_batches(info[2]);
    return submit(make_job(
        info.Env(), StopFlagObject::read(info[3]),
        [worker = worker_.get(), state, micro_batches](StopFlag& stop) {
          state->cancelled =
              worker->engine()
                  .grad(state->rows.view(), state->weights.data(), &state->loss, micro_batches, &stop)
                  .cancelled;
        },
        [state](Napi::Env env) -> Napi::Value {
          Napi::Object result = cancellable(env, state->cancelled);
          result.Set("loss", state->loss);
          return result;
        }));
  });
}

Napi::Value EngineObject::values(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    struct State {
      RowsArgument rows;
      Block values;
      bool cancelled = false;
    };
    const auto state = std::make_shared<State>();
    state->rows = read_rows(info[0]);
    const int64_t budget = read_token_budget(info[1]);
    return submit(make_job(
        info.Env(), StopFlagObject::read(info[2]),
        [worker = worker_.get(), state, budget](StopFlag& stop) {
          state->values = allocate_block(state->rows.completion_token_count() * sizeof(float));
          state->cancelled = worker->engine()
                                 .values(state->rows.view(), state->values.at<float>(0), budget, &stop)
                                 .cancelled;
        },
        [environment = environment_, state](Napi::Env env) -> Napi::Value {
          Napi::Object result = cancellable(env, state->cancelled);
          result.Set("values", to_float32_array(env, *environment, std::move(state->values)));
          return result;
        }));
  });
}

Napi::Value EngineObject::update(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    struct State {
      RowsArgument rows;
      std::vector<float> norm;
      std::optional<std::vector<float>> advantages, old_logprobs, ref_logprobs, old_kl_mask, returns,
          old_values;
      UpdateInput input;
      UpdateStats stats;
    };
    worker_->require_no_generation("update");
    const auto state = std::make_shared<State>();
    state->rows = read_rows(info[0]);
    const Napi::Object object = read_object(info[1], "update");
    state->advantages = read_optional_per_token(object.Get("advantages"), state->rows, "advantages");
    state->norm = read_per_token(object.Get("norm"), state->rows, "norm");
    state->old_logprobs = read_optional_per_token(object.Get("oldLogprobs"), state->rows, "oldLogprobs");
    state->ref_logprobs = read_optional_per_token(object.Get("refLogprobs"), state->rows, "refLogprobs");
    state->old_kl_mask = read_optional_per_token(object.Get("oldKlMask"), state->rows, "oldKlMask");
    state->returns = read_optional_per_token(object.Get("returns"), state->rows, "returns");
    state->old_values = read_optional_per_token(object.Get("oldValues"), state->rows, "oldValues");
    UpdateInput& input = state->input;
    input.rows = state->rows.view();
    input.advantage = data_or_null(state->advantages);
    input.norm = state->norm.data();
    input.old_lp = data_or_null(state->old_logprobs);
    input.ref_lp = data_or_null(state->ref_logprobs);
    if (state->advantages.has_value()) input.loss = read_loss_params(object.Get("loss"));
    input.loss.old_kl_mask = data_or_null(state->old_kl_mask);
    input.value.returns = data_or_null(state->returns);
    input.value.old_value = data_or_null(state->old_values);
    if (state->returns.has_value()) input.value.loss = read_value_loss_params(object.Get("valueLoss"));
    input.optimizer = read_optimizer(object.Get("optimizer"));
    input.micro_batches = read_micro_batches(object.Get("microBatches"));
    return submit(make_job(
        info.Env(), StopFlagObject::read(info[2]),
        [worker = worker_.get(), state](StopFlag& stop) {
          try {
            state->stats = worker->engine().update(state->input, &stop);
          } catch (...) {
            // Updates that wait behind it under the same flag were meant for the parameters it would have
            // made.
            stop.store(true);
            throw;
          }
        },
        [state](Napi::Env env) -> Napi::Value { return update_stats_to_js(env, state->stats); }));
  });
}

Napi::Value EngineObject::generate(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    GenerationInput input;
    const ArrayArgument<int32_t> tokens = read_array<int32_t>(info[0], "promptTokens");
    input.prompt_offsets = read_offsets(info[1], "promptOffsets", tokens.length);
    input.prompt_tokens = tokens.values();
    const ArrayArgument<int32_t> index = read_array<int32_t>(info[2], "promptIndex");
    require_length(index.length, input.prompt_offsets.size() - 1, "promptIndex", "a prompt");
    input.prompt_index.assign(index.data, index.data + index.length);
    const Napi::Object params = read_object(info[3], "generation");
    input.params = read_generation_params(params);
    input.with_entropies = read_bool(params.Get("entropies"), "generation.entropies");
    input.policy_step = static_cast<int32_t>(read_integer(info[4], "policyStep", 0, kMaxInt32));
    return GenerationObject::open(info.Env(), worker_, Value(), std::move(input));
  });
}

Napi::Value EngineObject::plan(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto plan = std::make_shared<MemoryPlan>();
    return submit(make_job(
        info.Env(), nullptr,
        [worker = worker_.get(), request = read_memory_request(info[0]), plan](StopFlag&) {
          *plan = worker->engine().plan(request);
        },
        [plan](Napi::Env env) -> Napi::Value { return plan_to_js(env, *plan); }));
  });
}

Napi::Value EngineObject::reserve(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    worker_->require_no_generation("reserve");
    return submit(make_job(info.Env(), [worker = worker_.get(), request = read_memory_request(info[0])](
                                           StopFlag&) { worker->engine().reserve(request); }));
  });
}

}  // namespace coppice::binding
