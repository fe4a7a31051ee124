#include "engine/generator.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "ops/ops.h"

namespace coppice {
namespace {

void check_params(const GenerationParams& p) {
  const SampleParams& s = p.sampling;
  const auto refuse = [](const char* what, double value) {
    fail(ErrorCode::kInvalidArgument, "generation: %s; received %g", what, value);
  };
  if (p.num_generations < 1) refuse("num_generations must be at least 1", p.num_generations);
  if (p.max_completion_length < 1)
    refuse("max_completion_length must be at least 1", p.max_completion_length);
  if (p.max_live_sequences < 1) refuse("max_live_sequences must be at least 1", p.max_live_sequences);
  if (p.max_waiting_groups < 1) refuse("max_waiting_groups must be at least 1", p.max_waiting_groups);
  if (!(s.temperature >= 0.0f && s.temperature < 1e6f))
    refuse("temperature must be a number from 0", static_cast<double>(s.temperature));
  if (!(s.top_p > 0.0f && s.top_p <= 1.0f)) refuse("top_p must lie in (0, 1]", static_cast<double>(s.top_p));
  if (!(s.min_p >= 0.0f && s.min_p <= 1.0f)) refuse("min_p must lie in [0, 1]", static_cast<double>(s.min_p));
  if (s.top_k < 0) refuse("top_k must be at least 0", s.top_k);
}

}  // namespace

void Generator::StepBatch::add_segment(const int32_t* from, int32_t length, int32_t position,
                                       const std::vector<int32_t>& pages) {
  segments.push_back(
      {static_cast<int32_t>(tokens.size()), length, -1, position, static_cast<int32_t>(page_table.size())});
  page_table.insert(page_table.end(), pages.begin(), pages.end());
  for (int32_t t = 0; t < length; ++t) {
    tokens.push_back(from[t]);
    positions.push_back(position + t);
  }
}

Generator::Generator(Backend& backend, const ModelConfig& config, const ParameterStore& parameters,
                     const Transformer& transformer, Workspace& workspace, KeptMemory& kv_memory,
                     KeptMemory& prompt_memory, const int32_t* prompt_tokens, const int32_t* prompt_offsets,
                     const int64_t* prompt_index, int64_t count, const GenerationParams& params)
    : backend_(backend),
      config_(config),
      parameters_(parameters),
      transformer_(transformer),
      workspace_(workspace),
      params_(params),
      prompt_count_(count),
      prompt_memory_(prompt_memory) {
  check_params(params_);
  for (int32_t token : params_.stop_tokens) {
    if (token < 0 || token >= config.vocab_size) {
      fail(ErrorCode::kInvalidArgument, "generation: stop token %d is not in [0, %d)", token,
           config.vocab_size);
    }
  }
  prompt_offsets_.push_back(0);
  for (int64_t i = 0; i < count; ++i) {
    prompt_tokens_.insert(prompt_tokens_.end(), prompt_tokens + prompt_offsets[i],
                          prompt_tokens + prompt_offsets[i + 1]);
    prompt_offsets_.push_back(static_cast<int32_t>(prompt_tokens_.size()));
    prompt_index_.push_back(prompt_index == nullptr ? i : prompt_index[i]);
  }
  // Empty completions: check_rows is what a packed batch of these prompts has to pass.
  const std::vector<int32_t> no_completions(static_cast<size_t>(count) + 1, 0);
  check_rows({count, prompt_tokens_.data(), prompt_offsets_.data(), nullptr, no_completions.data(), nullptr},
             config.vocab_size, config.max_positions - 1);
  int32_t pages_for_one = 0;
  for (int64_t i = 0; i < count; ++i) {
    longest_prompt_ = std::max<int64_t>(longest_prompt_, prompt_length(i));
    pages_for_one =
        std::max(pages_for_one, blocks_of(prompt_length(i)) + own_pages(prompt_length(i), length_limit(i)));
  }
  params_.max_live_sequences = static_cast<int32_t>(
      std::min<int64_t>(params_.max_live_sequences, std::max<int64_t>(count * params_.num_generations, 1)));
  cache_ = std::make_unique<KvCache>(
      kv_memory, config, pages_taken(config, params_, static_cast<int32_t>(longest_prompt_), pages_for_one));
  prompt_hidden_ = prompt_memory.take(prompt_bytes(config, params_));
  for (int32_t slot = params_.max_live_sequences; slot >= 0; --slot) free_slots_.push_back(slot);
  make_records();
  workspace_.reserve(workspace_bytes(backend_, config_, transformer_, params_, longest_prompt_));
}

Generator::~Generator() {
  prompt_memory_.give_back(std::move(prompt_hidden_));
}

int32_t Generator::prompt_length(int64_t prompt) const {
  return prompt_offsets_[static_cast<size_t>(prompt) + 1] - prompt_offsets_[static_cast<size_t>(prompt)];
}

int32_t Generator::length_limit(int64_t prompt) const {
  return length_limit(config_, params_, prompt_length(prompt));
}

bool Generator::done() const {
  return next_prompt_ == prompt_count_ && open_.empty();
}

bool Generator::take(GeneratedGroup* group) {
  if (finished_.empty()) return false;
  *group = std::move(finished_.front());
  finished_.pop_front();
  return true;
}

bool Generator::step() {
  if (done() || waiting() >= params_.max_waiting_groups) return false;
  admit();
  if (live_.empty()) fail(ErrorCode::kInternal, "generation: no sequence could be admitted");
  build_step();
  const StepSize size = {static_cast<int64_t>(step_.tokens.size()),
                         static_cast<int64_t>(step_.segments.size()),
                         static_cast<int64_t>(step_.page_table.size()), static_cast<int64_t>(live_.size())};
  workspace_.carve(
      [&](Carver& carver) { carve_step(carver, memory_, backend_, config_, transformer_, size); });
  Context context{&backend_, memory_.scratch, true};
  if (size.rows > 0) run_forward(context);
  fork_fresh(context);
  draw(context);
  record();
  return true;
}

// Fills free places: samples of the prompt that is being admitted first, then the next prompts.
void Generator::admit() {
  new_prompts_.clear();
  int64_t prefill_rows = 0;
  while (live_.size() < static_cast<size_t>(params_.max_live_sequences)) {
    Group* group = open_.empty() ? nullptr : open_.back().get();
    if (group == nullptr || group->admitted == params_.num_generations)
      group = open_next_prompt(&prefill_rows);
    if (group == nullptr || !admit_sample(*group)) return;
  }
}

Generator::Group* Generator::open_next_prompt(int64_t* prefill_rows) {
  if (next_prompt_ == prompt_count_ || free_slots_.empty()) return nullptr;
  const int32_t length = prompt_length(next_prompt_);
  if (*prefill_rows > 0 && *prefill_rows + length > kPrefillRows) return nullptr;
  const int32_t pages = blocks_of(length);
  if (cache_->free_pages() - reserved_pages_ < pages + own_pages(length, length_limit(next_prompt_)))
    return nullptr;
  *prefill_rows += length;
  auto group = std::make_unique<Group>();
  group->prompt = next_prompt_++;
  group->hidden_slot = free_slots_.back();
  free_slots_.pop_back();
  for (int32_t p = 0; p < pages; ++p) group->pages.push_back(cache_->take());
  group->output.prompt = group->prompt;
  group->output.samples.resize(static_cast<size_t>(params_.num_generations));
  open_.push_back(std::move(group));
  new_prompts_.push_back(open_.back().get());
  return open_.back().get();
}

bool Generator::admit_sample(Group& group) {
  Live live;
  live.length_limit = length_limit(group.prompt);
  live.reserved = own_pages(prompt_length(group.prompt), live.length_limit);
  if (cache_->free_pages() - reserved_pages_ < live.reserved) return false;
  live.group = &group;
  live.sample = group.admitted++;
  ++group.running;
  reserved_pages_ += live.reserved;
  live.record = std::move(free_records_.back());
  free_records_.pop_back();
  live_.push_back(std::move(live));
  return true;
}

void Generator::build_step() {
  step_.clear();
  for (const Group* group : new_prompts_) {
    const int32_t length = prompt_length(group->prompt);
    step_.add_segment(
        &prompt_tokens_[static_cast<size_t>(prompt_offsets_[static_cast<size_t>(group->prompt)])], length, 0,
        group->pages);
    step_.prompt_last_rows.push_back(static_cast<int32_t>(step_.tokens.size()) - 1);
  }
  for (Live& live : live_) {
    const GeneratedSample& output = live.record.sample;
    if (live.fresh) {
      step_.sample_rows.push_back(live.group->hidden_slot);
    } else {
      if (live.position / static_cast<int32_t>(kKeyBlock) >= static_cast<int32_t>(live.record.pages.size())) {
        live.record.pages.push_back(cache_->take());
        --live.reserved;
        --reserved_pages_;
      }
      step_.sample_rows.push_back(static_cast<int32_t>(step_.tokens.size()));
      step_.add_segment(&output.tokens.back(), 1, live.position, live.record.pages);
    }
    step_.keys.push_back({params_.seed, params_.step,
                          static_cast<uint32_t>(prompt_index_[static_cast<size_t>(live.group->prompt)]),
                          static_cast<uint32_t>(live.sample), static_cast<uint32_t>(output.tokens.size())});
    step_.params.push_back(params_.sampling);
  }
}

void Generator::run_forward(Context& context) {
  upload(backend_, memory_.tokens, step_.tokens);
  upload(backend_, memory_.positions, step_.positions);
  upload(backend_, memory_.page_table, step_.page_table);
  upload(backend_, memory_.segments, step_.segments);
  DeviceBatch batch;
  batch.rows = static_cast<int64_t>(step_.tokens.size());
  batch.tokens = memory_.tokens;
  batch.positions = memory_.positions;
  batch.attention = {memory_.segments, static_cast<int32_t>(step_.segments.size()), memory_.page_table};
  transformer_.forward(context, batch, cache_->layers(), memory_.activations, Keep::kNothing);
  const size_t row_bytes = static_cast<size_t>(config_.hidden_size) * sizeof(float);
  for (size_t i = 0; i < new_prompts_.size(); ++i) {
    backend_.copy(static_cast<char*>(prompt_hidden_.data()) +
                      static_cast<size_t>(new_prompts_[i]->hidden_slot) * row_bytes,
                  memory_.activations.hidden.row_range(step_.prompt_last_rows[i], 1).data, row_bytes);
  }
}

// A fresh sequence reads the prompt's full pages and gets a copy of its own of the page in which the prompt
// ends.
void Generator::fork_fresh(Context& context) {
  for (Live& live : live_) {
    if (!live.fresh) continue;
    Group& group = *live.group;
    const int32_t length = prompt_length(group.prompt), block = static_cast<int32_t>(kKeyBlock);
    const size_t full = static_cast<size_t>(length / block);
    for (size_t p = 0; p < full; ++p) {
      cache_->share(group.pages[p]);
      live.record.pages.push_back(group.pages[p]);
    }
    if (length % block != 0 && live.length_limit > 1) {
      live.record.pages.push_back(cache_->take());
      --live.reserved;
      --reserved_pages_;
      cache_->copy_slots(context, live.record.pages.back(), group.pages[full], length % block);
    }
  }
}

void Generator::draw(Context& context) {
  const int64_t samples = static_cast<int64_t>(live_.size());
  const int64_t decoding =
      std::count_if(live_.begin(), live_.end(), [](const Live& live) { return !live.fresh; });
  upload(backend_, memory_.sample_rows, step_.sample_rows);
  if (decoding > 0) {
    ops::gather_rows(context, memory_.sample_hidden.row_range(0, decoding), memory_.activations.hidden,
                     memory_.sample_rows);
  }
  if (decoding < samples) {
    const Tensor slots(prompt_hidden_.data(), params_.max_live_sequences + 1, config_.hidden_size);
    ops::gather_rows(context, memory_.sample_hidden.row_range(decoding, samples - decoding), slots,
                     memory_.sample_rows + decoding);
  }
  upload(backend_, memory_.keys, step_.keys);
  upload(backend_, memory_.params, step_.params);
  ops::sample(context, memory_.token, memory_.lp, memory_.sampler_lp, memory_.entropy, memory_.sample_hidden,
              parameters_.head(), memory_.keys, memory_.params);
  const size_t count = static_cast<size_t>(samples);
  step_.token.resize(count);
  step_.lp.resize(count);
  step_.sampler_lp.resize(count);
  step_.entropy.resize(count);
  backend_.download(step_.token.data(), memory_.token, count * sizeof(int32_t));
  backend_.download(step_.lp.data(), memory_.lp, count * sizeof(float));
  backend_.download(step_.sampler_lp.data(), memory_.sampler_lp, count * sizeof(float));
  backend_.download(step_.entropy.data(), memory_.entropy, count * sizeof(float));
}

void Generator::record() {
  const bool truncated = truncates(params_.sampling);
  for (size_t i = 0; i < live_.size(); ++i) {
    Live& live = live_[i];
    Group& group = *live.group;
    if (!(step_.lp[i] <= 0.0f)) {
      cache_->spoil();
      fail(ErrorCode::kNonFinite, "generation: prompt %lld, sample %d: the log-prob of token %d is %g",
           static_cast<long long>(group.prompt), live.sample,
           static_cast<int>(live.record.sample.tokens.size()), static_cast<double>(step_.lp[i]));
    }
    GeneratedSample& output = live.record.sample;
    output.tokens.push_back(step_.token[i]);
    output.lp.push_back(step_.lp[i]);
    output.entropy.push_back(step_.entropy[i]);
    if (truncated) output.sampler_lp.push_back(step_.sampler_lp[i]);
    ++generated_tokens_;
    const int32_t length = static_cast<int32_t>(output.tokens.size());
    live.fresh = false;
    live.position = prompt_length(group.prompt) + length - 1;
    if (is_stop(step_.token[i])) {
      finish(live, FinishReason::kStop);
    } else if (length == live.length_limit) {
      finish(live, FinishReason::kLength);
    }
  }
  // Groups whose last sample was forked no longer need their own references: what is shared, the samples
  // hold.
  for (auto& group : open_) {
    if (group->admitted < params_.num_generations || group->hidden_slot < 0) continue;
    for (int32_t page : group->pages) cache_->drop(page);
    group->pages.clear();
    free_slots_.push_back(group->hidden_slot);
    group->hidden_slot = -1;
  }
  std::erase_if(live_, [](const Live& live) { return live.group == nullptr; });
  for (size_t g = 0; g < open_.size();) {
    Group* group = open_[g].get();
    if (group->admitted == params_.num_generations && group->running == 0) {
      close_group(group);
    } else {
      ++g;
    }
  }
}

bool Generator::is_stop(int32_t token) const {
  return std::find(params_.stop_tokens.begin(), params_.stop_tokens.end(), token) !=
         params_.stop_tokens.end();
}

void Generator::finish(Live& live, FinishReason reason) {
  Record& record = live.record;
  record.sample.finish = reason;
  live.group->output.samples[static_cast<size_t>(live.sample)] = record.sample;  // a copy without spare room
  for (int32_t page : record.pages) cache_->drop(page);
  record.sample.tokens.clear();
  record.sample.lp.clear();
  record.sample.sampler_lp.clear();
  record.sample.entropy.clear();
  record.pages.clear();
  free_records_.push_back(std::move(record));
  reserved_pages_ -= live.reserved;
  --live.group->running;
  live.group = nullptr;  // swept by record()
}

void Generator::close_group(Group* group) {
  finished_.push_back(std::move(group->output));
  std::erase_if(open_, [group](const std::unique_ptr<Group>& open) { return open.get() == group; });
}

void Generator::cancel() {
  for (Live& live : live_) finish(live, FinishReason::kCancelled);
  live_.clear();
  next_prompt_ = prompt_count_;
  for (auto& group : open_) {
    bool any = false;
    for (GeneratedSample& sample : group->output.samples) {
      any = any || !sample.tokens.empty();
      if (sample.tokens.empty()) sample.finish = FinishReason::kCancelled;
    }
    if (any) finished_.push_back(std::move(group->output));
  }
  open_.clear();
  cache_->drop_all();
}

}  // namespace coppice
