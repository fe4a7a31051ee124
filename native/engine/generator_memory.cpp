// What a generation takes: its pages, the prompts' rows, what live sequences record, and the arrays of its
// largest step.
#include <algorithm>

#include "base/error.h"
#include "engine/generator.h"

namespace coppice {
namespace {

constexpr uint64_t kDefaultKvBytes = uint64_t{1} << 30;

}  // namespace

bool Generator::truncates(const SampleParams& s) {
  return s.temperature > 0.0f && (s.top_k > 0 || s.top_p < 1.0f || s.min_p > 0.0f);
}

int32_t Generator::own_pages(int32_t prompt, int32_t limit) {
  return blocks_of(int64_t{prompt} + limit - 1) - prompt / static_cast<int32_t>(kKeyBlock);
}

void Generator::StepBatch::clear() {
  tokens.clear();
  positions.clear();
  page_table.clear();
  segments.clear();
  prompt_last_rows.clear();
  sample_rows.clear();
  keys.clear();
  params.clear();
}

void Generator::StepBatch::reserve(const StepSize& largest) {
  const auto rows = static_cast<size_t>(largest.rows), samples = static_cast<size_t>(largest.samples);
  tokens.reserve(rows);
  positions.reserve(rows);
  page_table.reserve(static_cast<size_t>(largest.pages));
  segments.reserve(static_cast<size_t>(largest.segments));
  prompt_last_rows.reserve(samples);
  sample_rows.reserve(samples);
  keys.reserve(samples);
  params.reserve(samples);
  token.reserve(samples);
  lp.reserve(samples);
  sampler_lp.reserve(samples);
  entropy.reserve(samples);
}

// Host memory for the largest step, and a record for every place with room for the longest completion, so
// that no token allocates.
void Generator::make_records() {
  const auto places = static_cast<size_t>(params_.max_live_sequences);
  const auto tokens = static_cast<size_t>(length_limit(config_, params_, 0));
  const auto pages = static_cast<size_t>(
      blocks_of(std::min<int64_t>(longest_prompt_ + static_cast<int64_t>(tokens), config_.max_positions)) +
      1);
  step_.reserve(largest_step(config_, params_, longest_prompt_));
  live_.reserve(places);
  free_records_.resize(places);
  for (Record& record : free_records_) {
    record.sample.tokens.reserve(tokens);
    record.sample.lp.reserve(tokens);
    record.sample.entropy.reserve(tokens);
    if (truncates(params_.sampling)) record.sample.sampler_lp.reserve(tokens);
    record.pages.reserve(pages);
  }
}

int32_t Generator::length_limit(const ModelConfig& config, const GenerationParams& params, int32_t prompt) {
  return std::min(params.max_completion_length, config.max_positions - prompt);
}

uint64_t Generator::record_bytes(const ModelConfig& config, const GenerationParams& params) {
  const uint64_t arrays = truncates(params.sampling) ? 4 : 3;
  return arrays * sizeof(float) * static_cast<uint64_t>(length_limit(config, params, 0)) *
         static_cast<uint64_t>(params.max_live_sequences);
}

uint64_t Generator::prompt_bytes(const ModelConfig& config, const GenerationParams& params) {
  return (static_cast<uint64_t>(params.max_live_sequences) + 1) * static_cast<uint64_t>(config.hidden_size) *
         sizeof(float);
}

Generator::SequencePages Generator::most_pages(const ModelConfig& config, const GenerationParams& params,
                                               int32_t longest_prompt) {
  SequencePages most = {};
  for (int32_t prompt = 1; prompt <= longest_prompt; ++prompt) {
    // A prompt that fills the model is refused later, and planned as if a token had room.
    const int32_t own = own_pages(prompt, std::max(1, length_limit(config, params, prompt)));
    most.own = std::max(most.own, own);
    most.in_all = std::max(most.in_all, blocks_of(prompt) + own);
  }
  return most;
}

int32_t Generator::pages_wanted(const ModelConfig& config, const GenerationParams& params,
                                int32_t longest_prompt, int64_t live) {
  const int64_t groups = (live + params.num_generations - 1) / params.num_generations + 1;
  return static_cast<int32_t>(std::min<int64_t>(
      groups * blocks_of(longest_prompt) + live * most_pages(config, params, longest_prompt).own,
      int64_t{1} << 30));
}

int32_t Generator::pages_taken(const ModelConfig& config, const GenerationParams& params,
                               int32_t longest_prompt, int32_t pages_for_one) {
  const uint64_t page_bytes = KvCache::page_bytes(config, config.num_layers);
  const int32_t wanted = pages_wanted(config, params, longest_prompt, params.max_live_sequences);
  const uint64_t budget = params.kv_bytes != 0 ? params.kv_bytes : kDefaultKvBytes;
  int32_t pages =
      static_cast<int32_t>(std::min<uint64_t>(static_cast<uint64_t>(wanted), budget / page_bytes));
  if (params.kv_bytes == 0) pages = std::max(pages, pages_for_one);
  if (pages < pages_for_one) {
    fail(ErrorCode::kOutOfMemory,
         "generation: the longest request needs %d pages (%.1f MiB) of key/value cache; kv_bytes allows %d",
         pages_for_one, static_cast<double>(page_bytes * static_cast<uint64_t>(pages_for_one)) / 1048576.0,
         pages);
  }
  return pages;
}

uint64_t Generator::cache_bytes(const ModelConfig& config, const GenerationParams& params,
                                int32_t longest_prompt) {
  return KvCache::page_bytes(config, config.num_layers) *
         static_cast<uint64_t>(
             pages_taken(config, params, longest_prompt, most_pages(config, params, longest_prompt).in_all));
}

Generator::StepSize Generator::largest_step(const ModelConfig& config, const GenerationParams& params,
                                            int64_t longest_prompt) {
  const int64_t live = params.max_live_sequences;
  const int64_t prompts = (live + params.num_generations - 1) / params.num_generations;
  const int64_t prefill = std::min(std::max(kPrefillRows, longest_prompt), prompts * longest_prompt);
  const int64_t longest =
      std::min<int64_t>(config.max_positions, longest_prompt + params.max_completion_length);
  // All but the last of the prompts that are opened in a step bring all their samples.
  return {prefill + live, prompts + live, live * blocks_of(longest) + live * blocks_of(longest_prompt), live};
}

void Generator::carve_step(Carver& carver, StepMemory& memory, const Backend& backend,
                           const ModelConfig& config, const Transformer& transformer, const StepSize& size) {
  memory.activations.carve(carver, config, size.rows, Keep::kNothing);
  memory.tokens = carver.ints(size.rows);
  memory.positions = carver.ints(size.rows);
  memory.page_table = carver.ints(size.pages);
  memory.segments = static_cast<Segment*>(carver.bytes(static_cast<size_t>(size.segments) * sizeof(Segment)));
  memory.sample_rows = carver.ints(size.samples);
  memory.sample_hidden = carver.tensor(size.samples, config.hidden_size);
  memory.keys = static_cast<SampleKey*>(carver.bytes(static_cast<size_t>(size.samples) * sizeof(SampleKey)));
  memory.params =
      static_cast<SampleParams*>(carver.bytes(static_cast<size_t>(size.samples) * sizeof(SampleParams)));
  memory.token = carver.ints(size.samples);
  memory.lp = carver.floats(size.samples);
  memory.sampler_lp = carver.floats(size.samples);
  memory.entropy = carver.floats(size.samples);
  memory.scratch.bytes = std::max(
      transformer.scratch_bytes(size.rows),
      backend.sample_scratch_bytes(size.samples, config.vocab_size, config.hidden_size, transformer.dtype()));
  memory.scratch.data = carver.bytes(memory.scratch.bytes);
}

uint64_t Generator::workspace_bytes(const Backend& backend, const ModelConfig& config,
                                    const Transformer& transformer, const GenerationParams& params,
                                    int64_t longest_prompt) {
  Carver measure;
  StepMemory memory;
  carve_step(measure, memory, backend, config, transformer, largest_step(config, params, longest_prompt));
  return measure.used();
}

}  // namespace coppice
