// An open generation on an engine's thread: stepped between jobs, it answers requests for the next finished
// group as groups finish, in the order of the requests.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "binding/group_block.h"
#include "binding/job.h"
#include "engine/engine.h"

namespace coppice::binding {

struct GenerationInput {
  std::vector<int32_t> prompt_tokens;
  std::vector<int32_t> prompt_offsets;
  std::vector<int64_t> prompt_index;
  GenerationParams params;
  bool with_entropies = false;
  int32_t policy_step = 0;

  int64_t prompt_count() const { return static_cast<int64_t>(prompt_index.size()); }
};

class GenerationRun;

// Resolves with the next finished group, or with null when there is none left.
class NextJob final : public Job {
 public:
  NextJob(Napi::Env env, std::shared_ptr<Environment> environment, std::shared_ptr<GenerationRun> run);
  void perform(std::unique_ptr<Job> self, Worker& worker) override;
  void give(GroupBlock group) { group_.emplace(std::move(group)); }

 private:
  void execute() override {}
  Napi::Value result(Napi::Env env) override;

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<GenerationRun> run_;
  std::optional<GroupBlock> group_;
};

class GenerationRun {
 public:
  explicit GenerationRun(GenerationInput input);

  // ---- the worker's thread ----
  // Nothing is thrown: what goes wrong is what the next requests are rejected with.
  void open(Engine& engine) noexcept;
  bool runnable() const { return generation_ != nullptr && !stalled_; }
  void step(Worker& worker) noexcept;
  void request(std::unique_ptr<NextJob> job, Worker& worker) noexcept;
  // Ends live sequences; their groups still come.
  void cancel(Worker& worker) noexcept;
  // Frees the generation; requests are answered with null, or with `failure`.
  void close(Worker& worker, std::optional<Failure> failure) noexcept;

  // ---- any thread ----
  struct Progress {
    int64_t finished_groups = 0;
    int64_t generated_tokens = 0;
    int64_t live_sequences = 0;
    double engine_seconds = 0;  // spent in token steps
  };
  Progress progress() const;

  // JavaScript thread only: while it is set, jobs that change parameters are refused.
  bool counts_as_open = true;

 private:
  void serve(Worker& worker) noexcept;
  GroupBlock pack(const GeneratedGroup& group) const;

  GenerationInput input_;
  std::unique_ptr<Generation> generation_;
  std::deque<std::unique_ptr<NextJob>> requests_;
  std::optional<Failure> failure_;
  bool stalled_ = false;
  int64_t taken_ = 0;
  std::atomic<int64_t> finished_groups_{0};
  std::atomic<int64_t> generated_tokens_{0};
  std::atomic<int64_t> live_sequences_{0};
  std::atomic<double> engine_seconds_{0};
};

}  // namespace coppice::binding
