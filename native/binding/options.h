// Structured arguments from JavaScript, as src/native/types.ts describes them. JavaScript thread only.
#pragma once

#include <napi.h>

#include <vector>

#include "binding/arguments.h"
#include "engine/engine.h"

namespace coppice::binding {

// { promptTokens, promptOffsets, completionTokens, completionOffsets, temperature? }, copied out of
// JavaScript's memory: the ids that are checked are then the ids that index, whatever JavaScript does while
// the job runs.
struct RowsArgument {
  std::vector<int32_t> prompt_tokens;
  std::vector<int32_t> completion_tokens;
  std::vector<int32_t> prompt_offsets;      // from 0
  std::vector<int32_t> completion_offsets;  // from 0
  std::vector<float> temperature;           // empty: 1

  size_t completion_token_count() const { return completion_tokens.size(); }
  // Points into this object.
  RolloutRows view() const;
};

RowsArgument read_rows(const Napi::Value& value);
ModelConfig read_model_config(const Napi::Value& value);
BackendOptions read_backend_options(const Napi::Value& value);
// `dtype` of the same object: f32 (also where it is absent) or bf16.
// Of an engine's options: which heads the model has. Default: the one over tokens.
Heads read_heads(const Napi::Value& value);
DType read_compute_dtype(const Napi::Value& value);
int64_t read_token_budget(const Napi::Value& value);
// `tokenBudget` and `activationCheckpointing` of an object.
MicroBatchParams read_micro_batches(const Napi::Value& value);
MemoryRequest read_memory_request(const Napi::Value& value);
std::vector<TensorInFile> read_tensors(const Napi::Value& value);
PolicyLossParams read_loss_params(const Napi::Value& value);
ValueLossParams read_value_loss_params(const Napi::Value& value);
OptimizerParams read_optimizer(const Napi::Value& value);
GenerationParams read_generation_params(const Napi::Object& object);

Napi::Array plan_to_js(Napi::Env env, const MemoryPlan& plan);
// All of it but the loss.
Napi::Object loss_stats_to_js(Napi::Env env, const PolicyLossStats& stats);

}  // namespace coppice::binding
