// A finished group as one block of native memory that holds every numeric column of its rows, ready to be
// seen by JavaScript as typed arrays.
#pragma once

#include <napi.h>

#include <cstdint>

#include "binding/native_memory.h"
#include "engine/engine.h"

namespace coppice::binding {

// What the rows of a group have in common.
struct GroupConstants {
  const int32_t* prompt_tokens = nullptr;
  int32_t prompt_length = 0;
  int32_t group_id = 0;
  float temperature = 1.0f;  // of the recorded log-probs
  uint64_t seed = 0;
  int32_t policy_step = 0;
  bool with_entropies = false;
};

class GroupBlock {
 public:
  // On the worker's thread.
  GroupBlock(const GeneratedGroup& group, const GroupConstants& constants);
  // On the JavaScript thread, once.
  Napi::Object to_js(Napi::Env env, Environment& environment);

 private:
  // Where each column begins in the block, in bytes.
  struct Offsets {
    size_t prompt_tokens, prompt_offsets, completion_tokens, completion_offsets, completion_mask, logprobs;
    size_t sampler_logprobs, entropies, finish_reasons, group_ids, sample_index, temperature, seed,
        policy_step;
  };

  int64_t prompt_;
  size_t rows_;
  size_t prompt_tokens_;      // of all rows
  size_t completion_tokens_;  // of all rows
  bool has_sampler_logprobs_;
  bool has_entropies_;
  Offsets at_{};
  Block block_;
};

}  // namespace coppice::binding
