#include "binding/options.h"

#include <initializer_list>
#include <limits>
#include <utility>

namespace coppice::binding {
namespace {

// Fields of one object, named "where.key" in errors.
class Fields {
 public:
  Fields(const Napi::Value& value, const char* where) : where_(where), object_(read_object(value, where)) {}

  Napi::Value get(const char* key) const { return object_.Get(key); }
  bool has(const char* key) const { return !get(key).IsUndefined(); }
  double number(const char* key) const { return read_number(get(key), name(key).c_str()); }
  bool flag(const char* key) const { return read_bool(get(key), name(key).c_str()); }
  std::string text(const char* key) const { return read_string(get(key), name(key).c_str()); }
  int64_t integer(const char* key, int64_t min, int64_t max) const {
    return read_integer(get(key), name(key).c_str(), min, max);
  }
  int32_t int32(const char* key, int64_t min = 0) const {
    return static_cast<int32_t>(integer(key, min, kMaxInt32));
  }
  std::vector<int32_t> int32_list(const char* key) const {
    const Napi::Value value = get(key);
    if (!value.IsArray()) fail(ErrorCode::kInvalidArgument, "%s: expected an array", name(key).c_str());
    const Napi::Array array = value.As<Napi::Array>();
    std::vector<int32_t> list;
    for (uint32_t i = 0; i < array.Length(); ++i) {
      list.push_back(static_cast<int32_t>(read_integer(array.Get(i), name(key).c_str(), 0, kMaxInt32)));
    }
    return list;
  }
  // The value that belongs to the word found.
  template <typename T>
  T word(const char* key, std::initializer_list<std::pair<const char*, T>> words) const {
    const std::string found = text(key);
    std::string expected;
    for (const auto& [word, value] : words) {
      if (found == word) return value;
      expected += (expected.empty() ? "" : ", ") + std::string(word);
    }
    fail(ErrorCode::kInvalidArgument, "%s: expected one of %s; received '%s'", name(key).c_str(),
         expected.c_str(), found.c_str());
  }
  std::string name(const char* key) const { return std::string(where_) + "." + key; }

 private:
  const char* where_;
  Napi::Object object_;
};

// A list column's values; its offsets then count from 0.
std::vector<int32_t> read_lists(const Fields& fields, const char* values_key, const char* offsets_key,
                                std::vector<int32_t>* offsets) {
  const ArrayArgument<int32_t> values = read_array<int32_t>(fields.get(values_key), values_key);
  *offsets = read_offsets(fields.get(offsets_key), offsets_key, values.length);
  const int32_t first = offsets->front(), last = offsets->back();
  for (int32_t& offset : *offsets) offset -= first;
  return std::vector<int32_t>(values.data + first, values.data + last);
}

}  // namespace

RolloutRows RowsArgument::view() const {
  RolloutRows rows;
  rows.count = static_cast<int64_t>(prompt_offsets.size()) - 1;
  rows.prompt_tokens = prompt_tokens.data();
  rows.prompt_offsets = prompt_offsets.data();
  rows.completion_tokens = completion_tokens.data();
  rows.completion_offsets = completion_offsets.data();
  rows.temperature = temperature.empty() ? nullptr : temperature.data();
  return rows;
}

RowsArgument read_rows(const Napi::Value& value) {
  const Fields fields(value, "rows");
  RowsArgument rows;
  rows.prompt_tokens = read_lists(fields, "promptTokens", "promptOffsets", &rows.prompt_offsets);
  rows.completion_tokens =
      read_lists(fields, "completionTokens", "completionOffsets", &rows.completion_offsets);
  require_length(rows.completion_offsets.size(), rows.prompt_offsets.size(), "completionOffsets",
                 "a row and one more");
  const ArrayArgument<float> temperature =
      read_optional_array<float>(fields.get("temperature"), "temperature");
  if (temperature.given) {
    require_length(temperature.length, rows.prompt_offsets.size() - 1, "temperature", "a row");
    rows.temperature = temperature.values();
  }
  return rows;
}

ModelConfig read_model_config(const Napi::Value& value) {
  const Fields fields(value, "config");
  ModelConfig config;
  config.vocab_size = fields.int32("vocabSize");
  config.hidden_size = fields.int32("hiddenSize");
  config.num_layers = fields.int32("numLayers");
  config.num_heads = fields.int32("numHeads");
  config.num_kv_heads = fields.int32("numKvHeads");
  config.head_dim = fields.int32("headDim");
  config.intermediate_size = fields.int32("intermediateSize");
  config.max_positions = fields.int32("maxPositions");
  config.rms_norm_eps = static_cast<float>(fields.number("rmsNormEps"));
  config.rope_theta = fields.number("ropeTheta");
  config.rope_scaling = fields.word<RopeScaling>(
      "ropeScaling", {{"default", RopeScaling::kDefault}, {"llama3", RopeScaling::kLlama3}});
  config.rope_factor = fields.number("ropeFactor");
  config.rope_low_freq_factor = fields.number("ropeLowFreqFactor");
  config.rope_high_freq_factor = fields.number("ropeHighFreqFactor");
  config.rope_original_max_positions = fields.int32("ropeOriginalMaxPositions");
  config.qkv_bias = fields.flag("qkvBias");
  config.qk_norm = fields.flag("qkNorm");
  config.tie_embeddings = fields.flag("tieEmbeddings");
  config.layer_windows = fields.int32_list("layerWindows");
  return config;
}

BackendOptions read_backend_options(const Napi::Value& value) {
  const Fields fields(value, "options");
  BackendOptions options;
  if (fields.has("device")) options.device = fields.text("device");
  if (fields.has("isa")) options.instruction_set = fields.text("isa");
  if (fields.has("threads")) options.threads = fields.int32("threads", 1);
  return options;
}

Heads read_heads(const Napi::Value& value) {
  const Fields fields(value, "options");
  if (!fields.has("heads")) return Heads::kTokens;
  return fields.word<Heads>(
      "heads",
      {{"tokens", Heads::kTokens}, {"value", Heads::kValue}, {"tokens-and-value", Heads::kTokensAndValue}});
}

DType read_compute_dtype(const Napi::Value& value) {
  const Fields fields(value, "options");
  if (!fields.has("dtype")) return DType::kF32;
  return fields.word<DType>("dtype", {{"f32", DType::kF32}, {"bf16", DType::kBF16}});
}

int64_t read_token_budget(const Napi::Value& value) {
  return read_integer(value, "tokenBudget", 1, INT32_MAX);
}

MicroBatchParams read_micro_batches(const Napi::Value& value) {
  const Fields fields(value, "microBatches");
  MicroBatchParams params;
  params.token_budget = read_token_budget(fields.get("tokenBudget"));
  params.checkpointing = fields.word<ActivationCheckpointing>(
      "activationCheckpointing",
      {{"none", ActivationCheckpointing::kNone}, {"layer", ActivationCheckpointing::kLayer}});
  return params;
}

MemoryRequest read_memory_request(const Napi::Value& value) {
  const Fields fields(value, "memory");
  MemoryRequest request;
  request.training = fields.flag("training");
  request.generation = fields.flag("generation");
  request.micro_batches = read_micro_batches(fields.get("microBatches"));
  request.params = read_generation_params(read_object(fields.get("params"), "memory.params"));
  request.longest_prompt = fields.int32("longestPrompt", 1);
  request.longest_row = fields.int32("longestRow", 1);
  return request;
}

std::vector<TensorInFile> read_tensors(const Napi::Value& value) {
  if (!value.IsArray()) fail(ErrorCode::kInvalidArgument, "tensors: expected an array");
  const Napi::Array array = value.As<Napi::Array>();
  std::vector<TensorInFile> tensors;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Fields fields(array.Get(i), "tensor");
    tensors.push_back(
        {fields.text("name"), fields.text("path"),
         static_cast<uint64_t>(fields.integer("offset", 0, kMaxSafeInteger)),
         fields.word<DType>("dtype", {{"f32", DType::kF32}, {"bf16", DType::kBF16}, {"f16", DType::kF16}})});
  }
  return tensors;
}

PolicyLossParams read_loss_params(const Napi::Value& value) {
  const Fields fields(value, "lossParams");
  PolicyLossParams params;
  params.importance = fields.word<Importance>("importance", {{"none", Importance::kNone},
                                                             {"token", Importance::kToken},
                                                             {"sequence", Importance::kSequence},
                                                             {"sequence-token", Importance::kSequenceToken}});
  params.clip = fields.flag("clip");
  params.clip_low = fields.number("clipLow");
  params.clip_high = fields.number("clipHigh");
  params.dual_clip = fields.number("dualClip");
  params.kl_kind =
      fields.word<KlKind>("klKind", {{"k1", KlKind::kK1}, {"k2", KlKind::kK2}, {"k3", KlKind::kK3}});
  params.kl_coef = fields.number("klCoef");
  params.entropy_coef = fields.number("entropyCoef");
  if (fields.has("surrogate")) {
    params.surrogate = fields.word<Surrogate>("surrogate", {{"clip", Surrogate::kClip},
                                                            {"cispo", Surrogate::kCispo},
                                                            {"gmpo", Surrogate::kGmpo},
                                                            {"sapo", Surrogate::kSapo},
                                                            {"topr", Surrogate::kTopr}});
  }
  if (fields.has("sapoTemperaturePos")) params.sapo_temperature_pos = fields.number("sapoTemperaturePos");
  if (fields.has("sapoTemperatureNeg")) params.sapo_temperature_neg = fields.number("sapoTemperatureNeg");
  if (fields.has("oldKlCoef")) params.old_kl_coef = fields.number("oldKlCoef");
  return params;
}

ValueLossParams read_value_loss_params(const Napi::Value& value) {
  const Fields fields(value, "valueLoss");
  ValueLossParams params;
  params.clip = fields.number("clip");
  params.coef = fields.number("coef");
  return params;
}

OptimizerParams read_optimizer(const Napi::Value& value) {
  const Fields fields(value, "optimizer");
  OptimizerParams params;
  params.adamw.learning_rate = fields.number("learningRate");
  params.adamw.beta1 = fields.number("beta1");
  params.adamw.beta2 = fields.number("beta2");
  params.adamw.eps = fields.number("eps");
  params.adamw.weight_decay = fields.number("weightDecay");
  params.max_grad_norm = fields.number("maxGradNorm");
  return params;
}

GenerationParams read_generation_params(const Napi::Object& object) {
  const Fields fields(object, "generation");
  GenerationParams params;
  params.num_generations = fields.int32("numGenerations", 1);
  params.sampling.temperature = static_cast<float>(fields.number("temperature"));
  params.sampling.top_k = fields.int32("topK");
  params.sampling.top_p = static_cast<float>(fields.number("topP"));
  params.sampling.min_p = static_cast<float>(fields.number("minP"));
  params.max_completion_length = fields.int32("maxCompletionLength", 1);
  params.stop_tokens = read_array<int32_t>(fields.get("stopTokens"), "generation.stopTokens").values();
  params.seed = read_uint64(fields.get("seed"), "generation.seed");
  params.step = static_cast<uint32_t>(fields.integer("step", 0, std::numeric_limits<uint32_t>::max()));
  params.max_live_sequences = fields.int32("maxLiveSequences", 1);
  params.max_waiting_groups = fields.int32("maxWaitingGroups", 1);
  return params;
}

Napi::Array plan_to_js(Napi::Env env, const MemoryPlan& plan) {
  Napi::Array rows = Napi::Array::New(env, plan.rows.size());
  for (uint32_t i = 0; i < plan.rows.size(); ++i) {
    Napi::Object row = Napi::Object::New(env);
    row.Set("what", plan.rows[i].what);
    row.Set("bytes", static_cast<double>(plan.rows[i].bytes));
    rows.Set(i, row);
  }
  return rows;
}

Napi::Object loss_stats_to_js(Napi::Env env, const PolicyLossStats& stats) {
  const auto number = [env](auto value) { return Napi::Number::New(env, static_cast<double>(value)); };
  Napi::Object object = Napi::Object::New(env);
  object.Set("activeTokens", number(stats.active_tokens));
  object.Set("clippedLow", number(stats.clipped_low));
  object.Set("clippedHigh", number(stats.clipped_high));
  object.Set("klSum", number(stats.kl_sum));
  object.Set("entropySum", number(stats.entropy_sum));
  object.Set("ratioSum", number(stats.ratio_sum));
  object.Set("maxAbsLogRatio", number(stats.max_abs_log_ratio));
  return object;
}

}  // namespace coppice::binding
