#include "binding/generation_run.h"

#include <chrono>
#include <utility>

#include "binding/worker.h"

namespace coppice::binding {

NextJob::NextJob(Napi::Env env, std::shared_ptr<Environment> environment, std::shared_ptr<GenerationRun> run)
    : Job(env, nullptr), environment_(std::move(environment)), run_(std::move(run)) {}

void NextJob::perform(std::unique_ptr<Job> self, Worker& worker) {
  self.release();  // the same object under its own type
  run_->request(std::unique_ptr<NextJob>(this), worker);
}

Napi::Value NextJob::result(Napi::Env env) {
  if (!group_.has_value()) return env.Null();
  return group_->to_js(env, *environment_);
}

GenerationRun::GenerationRun(GenerationInput input) : input_(std::move(input)) {}

void GenerationRun::open(Engine& engine) noexcept {
  failure_ = catch_all([&] {
    generation_ = engine.generate(input_.prompt_tokens.data(), input_.prompt_offsets.data(),
                                  input_.prompt_index.data(), input_.prompt_count(), input_.params);
  });
}

void GenerationRun::step(Worker& worker) noexcept {
  const auto begin = std::chrono::steady_clock::now();
  failure_ = catch_all([&] { stalled_ = !generation_->step(); });
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  engine_seconds_.store(engine_seconds_.load() + taken.count());  // this thread alone writes it
  if (failure_.has_value()) generation_ = nullptr;
  serve(worker);
}

void GenerationRun::request(std::unique_ptr<NextJob> job, Worker& worker) noexcept {
  requests_.push_back(std::move(job));
  serve(worker);
}

void GenerationRun::cancel(Worker& worker) noexcept {
  if (generation_ == nullptr) return;
  failure_ = catch_all([&] { generation_->cancel(); });
  if (failure_.has_value()) generation_ = nullptr;
  serve(worker);
}

void GenerationRun::close(Worker& worker, std::optional<Failure> failure) noexcept {
  generation_ = nullptr;
  failure_ = std::move(failure);
  serve(worker);
}

void GenerationRun::serve(Worker& worker) noexcept {
  while (!requests_.empty()) {
    NextJob& job = *requests_.front();
    if (failure_.has_value()) {
      job.fail(*failure_);
    } else if (generation_ != nullptr) {
      GeneratedGroup group;
      if (generation_->take(&group)) {
        ++taken_;
        stalled_ = false;  // there is room for another group
        std::optional<Failure> failure = catch_all([&] { job.give(pack(group)); });
        if (failure.has_value()) job.fail(*std::move(failure));
      } else if (!generation_->done()) {
        break;
      }
    }
    worker.complete(std::move(requests_.front()));
    requests_.pop_front();
  }
  if (generation_ == nullptr) {
    live_sequences_.store(0);
    return;
  }
  finished_groups_.store(taken_ + generation_->waiting());
  generated_tokens_.store(generation_->generated_tokens());
  live_sequences_.store(generation_->live_sequences());
  // Its cache is of no more use once every group is taken.
  if (generation_->done() && generation_->waiting() == 0) generation_ = nullptr;
}

GroupBlock GenerationRun::pack(const GeneratedGroup& group) const {
  const auto prompt = static_cast<size_t>(group.prompt);
  const int32_t begin = input_.prompt_offsets[prompt], end = input_.prompt_offsets[prompt + 1];
  GroupConstants constants;
  constants.prompt_tokens = input_.prompt_tokens.data() + begin;
  constants.prompt_length = end - begin;
  constants.group_id = static_cast<int32_t>(input_.prompt_index[prompt]);
  // Greedy log-probs are those at temperature 1.
  constants.temperature = input_.params.sampling.temperature > 0 ? input_.params.sampling.temperature : 1.0f;
  constants.seed = input_.params.seed;
  constants.policy_step = input_.policy_step;
  constants.with_entropies = input_.with_entropies;
  return GroupBlock(group, constants);
}

GenerationRun::Progress GenerationRun::progress() const {
  return {finished_groups_.load(), generated_tokens_.load(), live_sequences_.load(), engine_seconds_.load()};
}

}  // namespace coppice::binding
