// Structured arguments from JavaScript, as src/native/types.ts describes them. JavaScript thread only.
#pragma once

#include <napi.h>

#include <vector>

#include "binding/arguments.h"
#include "engine/engine.h"

namespace coppice::binding {

// { promptTokens, promptOffsets, completionTokens, completionOffsets, temperature? }. Offsets and temperatures are copied when
// they are read; tokens are read in place, once, when the job begins: JavaScript may change them at any time, and the id
// that was checked must be the id that indexes.
struct RowsArgument {
  ArrayArgument<int32_t> prompt_tokens;
  ArrayArgument<int32_t> completion_tokens;
  std::vector<int32_t> prompt_offsets;
  std::vector<int32_t> completion_offsets;
  std::vector<float> temperature;  // empty: 1

  size_t completion_token_count() const;
  void keep_in(Job& job) const;

  // On the worker's thread: takes the tokens, and points into this object.
  RolloutRows take();

 private:
  std::vector<int32_t> taken_prompts_;
  std::vector<int32_t> taken_completions_;
};

RowsArgument read_rows(const Napi::Value& value);
ModelConfig read_model_config(const Napi::Value& value);
BackendOptions read_backend_options(const Napi::Value& value);
std::vector<TensorInFile> read_tensors(const Napi::Value& value);
PolicyLossParams read_loss_params(const Napi::Value& value);
OptimizerParams read_optimizer(const Napi::Value& value);
GenerationParams read_generation_params(const Napi::Object& object);

// All of it but the loss.
Napi::Object loss_stats_to_js(Napi::Env env, const PolicyLossStats& stats);

}  // namespace coppice::binding
