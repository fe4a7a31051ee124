// Continuous batching over a paged key/value cache: prompts are computed once for all their samples, a
// finished sequence's place is taken by the next sample at once, and what a sample becomes depends on its own
// key alone (promises 1 to 3).
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "engine/engine.h"
#include "engine/kv_cache.h"
#include "engine/transformer.h"

namespace coppice {

class Generator final : public Generation {
 public:
  // `workspace` is shared with the engine's other jobs: nothing in it outlives a step.
  Generator(Backend& backend, const ModelConfig& config, const ParameterStore& parameters,
            const Transformer& transformer, Workspace& workspace, KeptMemory& kv_memory,
            KeptMemory& prompt_memory, const int32_t* prompt_tokens, const int32_t* prompt_offsets,
            const int64_t* prompt_index, int64_t count, const GenerationParams& params);
  ~Generator() override;
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  bool step() override;
  bool done() const override;
  bool take(GeneratedGroup* group) override;
  int64_t waiting() const override { return static_cast<int64_t>(finished_.size()); }
  void cancel() override;
  int64_t generated_tokens() const override { return generated_tokens_; }
  int64_t live_sequences() const override { return static_cast<int64_t>(live_.size()); }

  // Bytes that a generation takes, prompts of at most `longest_prompt` tokens: of the key/value cache, of the
  // prompts' last hidden rows, of the workspace, and of host memory for what live sequences record.
  static uint64_t cache_bytes(const ModelConfig& config, const GenerationParams& params,
                              int32_t longest_prompt);
  static uint64_t prompt_bytes(const ModelConfig& config, const GenerationParams& params);
  static uint64_t workspace_bytes(const Backend& backend, const ModelConfig& config,
                                  const Transformer& transformer, const GenerationParams& params,
                                  int64_t longest_prompt);
  static uint64_t record_bytes(const ModelConfig& config, const GenerationParams& params);

 private:
  // New prompts are read in at most this many rows a step (a longer prompt alone), so that running sequences
  // are not held up.
  static constexpr int64_t kPrefillRows = 2048;

  struct Group {
    int64_t prompt = 0;
    int32_t admitted = 0;  // samples that were given a place
    int32_t running = 0;
    int32_t hidden_slot = -1;    // row of prompt_hidden_ until the last sample is admitted
    std::vector<int32_t> pages;  // the prompt's
    GeneratedGroup output;
  };
  // What grows with a live sequence's tokens, with room for the longest.
  struct Record {
    GeneratedSample sample;
    std::vector<int32_t> pages;
  };
  struct Live {
    Group* group = nullptr;
    int32_t sample = 0;
    int32_t position = 0;  // of the token to be read next
    int32_t length_limit = 0;
    int32_t reserved = 0;  // pages still promised but not taken
    Record record;
    bool fresh = true;  // its first token comes from the prompt's hidden row
  };
  struct StepSize {
    int64_t rows, segments, pages, samples;
  };
  // Host side of one step; kept between steps for its capacity.
  struct StepBatch {
    std::vector<int32_t> tokens, positions, page_table;
    std::vector<Segment> segments;
    std::vector<int32_t> prompt_last_rows;  // of the new prompts, in order
    std::vector<int32_t>
        sample_rows;  // decode sequences: row of this batch; fresh ones: slot of prompt_hidden_
    std::vector<SampleKey> keys;
    std::vector<SampleParams> params;
    std::vector<int32_t> token;
    std::vector<float> lp, sampler_lp, entropy;
    void clear();
    void reserve(const StepSize& largest);
    void add_segment(const int32_t* tokens, int32_t length, int32_t position,
                     const std::vector<int32_t>& pages);
  };
  // Device side of one step, carved from the workspace.
  struct StepMemory {
    Activations activations;
    int32_t *tokens, *positions, *page_table, *sample_rows, *token;
    Segment* segments;
    Tensor sample_hidden;
    SampleKey* keys;
    SampleParams* params;
    float *lp, *sampler_lp, *entropy;
    Scratch scratch;
  };

  static bool truncates(const SampleParams& sampling);
  // Pages beyond the prompt's whole ones, for a completion of `limit` tokens.
  static int32_t own_pages(int32_t prompt, int32_t limit);
  // Of one sequence, over all prompts of up to `longest_prompt` tokens. A longer prompt may need fewer of its
  // own: one that ends at a page's last position begins its completion on a page that it shares.
  struct SequencePages {
    int32_t own;     // beyond the prompt's whole ones
    int32_t in_all;  // with all of the prompt's
  };
  static SequencePages most_pages(const ModelConfig& config, const GenerationParams& params,
                                  int32_t longest_prompt);
  // Most tokens of a completion behind so many of a prompt.
  static int32_t length_limit(const ModelConfig& config, const GenerationParams& params, int32_t prompt);
  // Pages that `live` sequences need whatever their prompts' lengths, a prompt's own counted once a group.
  static int32_t pages_wanted(const ModelConfig& config, const GenerationParams& params,
                              int32_t longest_prompt, int64_t live);
  // What is taken of them. OUT_OF_MEMORY where params.kv_bytes does not even hold `pages_for_one`.
  static int32_t pages_taken(const ModelConfig& config, const GenerationParams& params,
                             int32_t longest_prompt, int32_t pages_for_one);
  void make_records();
  int32_t prompt_length(int64_t prompt) const;
  int32_t length_limit(int64_t prompt) const;
  void admit();
  bool admit_sample(Group& group);
  Group* open_next_prompt(int64_t* prefill_rows);
  void build_step();
  static void carve_step(Carver& carver, StepMemory& memory, const Backend& backend,
                         const ModelConfig& config, const Transformer& transformer, const StepSize& size);
  static StepSize largest_step(const ModelConfig& config, const GenerationParams& params,
                               int64_t longest_prompt);
  void run_forward(Context& context);
  void fork_fresh(Context& context);
  void draw(Context& context);
  void record();
  bool is_stop(int32_t token) const;
  void finish(Live& live, FinishReason reason);
  void close_group(Group* group);

  Backend& backend_;
  const ModelConfig& config_;
  const ParameterStore& parameters_;
  const Transformer& transformer_;
  Workspace& workspace_;
  GenerationParams params_;
  std::vector<int32_t> prompt_tokens_;
  std::vector<int32_t> prompt_offsets_;
  std::vector<int64_t> prompt_index_;
  int64_t prompt_count_;
  int64_t longest_prompt_ = 0;
  std::unique_ptr<KvCache> cache_;
  int32_t reserved_pages_ = 0;  // promised to live sequences beyond what they hold
  KeptMemory& prompt_memory_;
  Buffer prompt_hidden_;  // [slots, C]
  std::vector<int32_t> free_slots_;
  int64_t next_prompt_ = 0;
  std::vector<std::unique_ptr<Group>> open_;
  std::vector<Live> live_;            // fresh ones last
  std::vector<Record> free_records_;  // of the sequences that are not live
  std::vector<Group*> new_prompts_;   // to be prefilled in this step
  StepBatch step_;
  StepMemory memory_ = {};
  std::deque<GeneratedGroup> finished_;
  int64_t generated_tokens_ = 0;
};

}  // namespace coppice
