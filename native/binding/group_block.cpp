#include "binding/group_block.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.h"

namespace coppice::binding {
namespace {

// Hands out places in a block, each aligned to 64 bytes.
class Places {
 public:
  template <typename T>
  size_t of(size_t count) {
    const size_t begin = used_;
    used_ += (count * sizeof(T) + 63) / 64 * 64;
    return begin;
  }
  size_t used() const { return used_; }

 private:
  size_t used_ = 0;
};

size_t token_count(const GeneratedGroup& group) {
  size_t tokens = 0;
  for (const GeneratedSample& sample : group.samples) tokens += sample.tokens.size();
  return tokens;
}

bool samples_have(const GeneratedGroup& group, std::vector<float> GeneratedSample::* values) {
  return std::any_of(group.samples.begin(), group.samples.end(),
                     [values](const GeneratedSample& sample) { return !(sample.*values).empty(); });
}

int8_t finish_reason_index(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return 0;
    case FinishReason::kLength:
      return 1;
    case FinishReason::kCancelled:
      return 2;
  }
  return 2;
}

}  // namespace

GroupBlock::GroupBlock(const GeneratedGroup& group, const GroupConstants& constants)
    : prompt_(group.prompt),
      rows_(group.samples.size()),
      prompt_tokens_(rows_ * static_cast<size_t>(constants.prompt_length)),
      completion_tokens_(token_count(group)),
      has_sampler_logprobs_(samples_have(group, &GeneratedSample::sampler_lp)),
      has_entropies_(constants.with_entropies) {
  const size_t most = std::numeric_limits<int32_t>::max();
  if (prompt_tokens_ > most || completion_tokens_ > most) {
    fail(ErrorCode::kOutOfMemory, "a group of %zu prompt and %zu completion tokens exceeds 32-bit offsets",
         prompt_tokens_, completion_tokens_);
  }
  Places places;
  at_.prompt_tokens = places.of<int32_t>(prompt_tokens_);
  at_.prompt_offsets = places.of<int32_t>(rows_ + 1);
  at_.completion_tokens = places.of<int32_t>(completion_tokens_);
  at_.completion_offsets = places.of<int32_t>(rows_ + 1);
  at_.completion_mask = places.of<uint8_t>(completion_tokens_);
  at_.logprobs = places.of<float>(completion_tokens_);
  at_.sampler_logprobs = places.of<float>(has_sampler_logprobs_ ? completion_tokens_ : 0);
  at_.entropies = places.of<float>(has_entropies_ ? completion_tokens_ : 0);
  at_.finish_reasons = places.of<int8_t>(rows_);
  at_.group_ids = places.of<int32_t>(rows_);
  at_.sample_index = places.of<int32_t>(rows_);
  at_.temperature = places.of<float>(rows_);
  at_.seed = places.of<uint64_t>(rows_);
  at_.policy_step = places.of<int32_t>(rows_);
  block_ = allocate_block(places.used());

  std::fill_n(block_.at<uint8_t>(at_.completion_mask), completion_tokens_, uint8_t{1});
  std::fill_n(block_.at<int32_t>(at_.group_ids), rows_, constants.group_id);
  std::fill_n(block_.at<float>(at_.temperature), rows_, constants.temperature);
  std::fill_n(block_.at<uint64_t>(at_.seed), rows_, constants.seed);
  std::fill_n(block_.at<int32_t>(at_.policy_step), rows_, constants.policy_step);
  size_t tokens = 0;
  for (size_t row = 0; row < rows_; ++row) {
    const GeneratedSample& sample = group.samples[row];
    const size_t prompt_begin = row * static_cast<size_t>(constants.prompt_length);
    std::copy_n(constants.prompt_tokens, constants.prompt_length,
                block_.at<int32_t>(at_.prompt_tokens) + prompt_begin);
    block_.at<int32_t>(at_.prompt_offsets)[row] = static_cast<int32_t>(prompt_begin);
    block_.at<int32_t>(at_.completion_offsets)[row] = static_cast<int32_t>(tokens);
    std::copy(sample.tokens.begin(), sample.tokens.end(), block_.at<int32_t>(at_.completion_tokens) + tokens);
    std::copy(sample.lp.begin(), sample.lp.end(), block_.at<float>(at_.logprobs) + tokens);
    if (has_sampler_logprobs_) {
      std::copy(sample.sampler_lp.begin(), sample.sampler_lp.end(),
                block_.at<float>(at_.sampler_logprobs) + tokens);
    }
    if (has_entropies_) {
      std::copy(sample.entropy.begin(), sample.entropy.end(), block_.at<float>(at_.entropies) + tokens);
    }
    block_.at<int8_t>(at_.finish_reasons)[row] = finish_reason_index(sample.finish);
    block_.at<int32_t>(at_.sample_index)[row] = static_cast<int32_t>(row);
    tokens += sample.tokens.size();
  }
  block_.at<int32_t>(at_.prompt_offsets)[rows_] = static_cast<int32_t>(prompt_tokens_);
  block_.at<int32_t>(at_.completion_offsets)[rows_] = static_cast<int32_t>(completion_tokens_);
}

Napi::Object GroupBlock::to_js(Napi::Env env, Environment& environment) {
  const Napi::ArrayBuffer buffer = to_array_buffer(env, environment, std::move(block_));
  Napi::Object group = Napi::Object::New(env);
  group.Set("prompt", Napi::Number::New(env, static_cast<double>(prompt_)));
  group.Set("rows", Napi::Number::New(env, static_cast<double>(rows_)));
  const auto set = [&]<typename Array>(const char* name, size_t length, size_t offset) {
    group.Set(name, Array::New(env, length, buffer, offset));
  };
  set.operator()<Napi::Int32Array>("promptTokens", prompt_tokens_, at_.prompt_tokens);
  set.operator()<Napi::Int32Array>("promptOffsets", rows_ + 1, at_.prompt_offsets);
  set.operator()<Napi::Int32Array>("completionTokens", completion_tokens_, at_.completion_tokens);
  set.operator()<Napi::Int32Array>("completionOffsets", rows_ + 1, at_.completion_offsets);
  set.operator()<Napi::Uint8Array>("completionMask", completion_tokens_, at_.completion_mask);
  set.operator()<Napi::Float32Array>("logprobs", completion_tokens_, at_.logprobs);
  if (has_sampler_logprobs_) {
    set.operator()<Napi::Float32Array>("samplerLogprobs", completion_tokens_, at_.sampler_logprobs);
  }
  if (has_entropies_) set.operator()<Napi::Float32Array>("entropies", completion_tokens_, at_.entropies);
  set.operator()<Napi::Int8Array>("finishReasons", rows_, at_.finish_reasons);
  set.operator()<Napi::Int32Array>("groupIds", rows_, at_.group_ids);
  set.operator()<Napi::Int32Array>("sampleIndex", rows_, at_.sample_index);
  set.operator()<Napi::Float32Array>("temperature", rows_, at_.temperature);
  set.operator()<Napi::BigUint64Array>("seed", rows_, at_.seed);
  set.operator()<Napi::Int32Array>("policyStep", rows_, at_.policy_step);
  return group;
}

}  // namespace coppice::binding
